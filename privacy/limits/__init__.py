"""How much may come from one key, contributor, session or address, and how often one may guess.

All subjects of a request are counted together, in one question to Redis, or in this process where
Redis is away. A request that any limit refuses counts for none.
"""

import hmac
import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated, Any, TypeAlias

import msgspec
from django.conf import settings
from msgspec import Meta

from config.errors import Throttled
from privacy.limits.shared import Meter
from privacy.limits.windows import Charge, Window
from privacy.models import ApiKey, Scope

logger = logging.getLogger(__name__)
PERIODS = {"burst": 10, "rate": 60, "quota": 86_400}  # seconds
WORDS = {10: "10 seconds", 60: "a minute", 900: "15 minutes", 86_400: "a day"}
WRONG_KEYS = Window("wrong keys", 60, 20)
FAILED_LOGINS = Window("failed logins", 900, 10)  # of one name from one address
FAILED_LOGINS_OF_ADDRESS = Window("failed logins", 900, 50)
_WITH_PORT = re.compile(r"\[(.*)\](?::\d+)?|([^:]*):\d+")

# Whose acts they are: a user_id and a session_id each.
Acts: TypeAlias = Sequence[tuple[str | None, str | None]]
NOBODYS: Acts = [(None, None)]

Count: TypeAlias = Annotated[int, Meta(ge=1)]


class Limit(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What one subject may send, an item of a batch counting as one; null is any number."""

    burst: Annotated[Count | None, Meta(description="In any 10 seconds.")] = None
    rate: Annotated[Count | None, Meta(description="In any minute.")] = None
    quota: Annotated[Count | None, Meta(description="In any 24 hours.")] = None


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The limits of one key; what the subjects send by another key does not count."""

    key: Limit = Limit(2_000, 6_000)
    contributor: Limit = Limit(20, 60, 2_000)
    session: Limit = Limit(20, 60, 2_000)
    address: Limit = Limit(200, 600, 20_000)


UNLIMITED = Limits(key=Limit(), contributor=Limit(), session=Limit(), address=Limit())


def read_limits(scope: str, given: Any) -> Limits:
    """Fill in what a key's `limits` do not say; a manage key has those that are set alone.

    Raises msgspec.ValidationError.
    """
    defaults = msgspec.to_builtins(Limits() if scope == Scope.CAPTURE else UNLIMITED)
    merged = {
        subject: defaults.get(subject, {}) | limit if isinstance(limit, dict) else limit
        for subject, limit in (defaults | msgspec.convert(given, dict[str, Any])).items()
    }
    return msgspec.convert(merged, Limits)


def admit(*, key: ApiKey, address: str, acts: Acts = NOBODYS) -> list[float]:
    """Count a request's acts; raise Throttled and count none.

    Returns for each act how near its contributor, session or address is to a burst or rate limit,
    from 0 to 1. Asks nothing where the key has no limits.
    """
    named = [(("contributor", user_id), ("session", session_id)) for user_id, session_id in acts]
    costs = Counter(name for names in named for name in names if name[1])
    costs |= {("key", ""): len(acts), ("address", address): len(acts)}
    windows = _windows(key.pk, key.scope, msgspec.json.encode(key.limits))
    charges = {
        (subject, value): Charge(subject, _digest(key.pk, subject, value), cost, windows[subject])
        for (subject, value), cost in costs.items()
        if windows[subject]
    }
    shares = dict(zip(charges, _take(charges.values()), strict=True))
    return [
        max(shares.get(name, 0.0) for name in (*names, ("address", address))) for names in named
    ]


@contextmanager
def failures(failure: type[Exception], counted: Mapping[Window, str]) -> Iterator[None]:
    """Raise Throttled where too many have failed; count the block if it ends in `failure`.

    It is counted before and taken back after, so that guesses made at once count too. `counted`
    names whose failures they are.
    """
    charges = [
        Charge("address", _digest(*window, whose), 1, (window,))
        for window, whose in counted.items()
    ]
    _take(charges)
    try:
        yield
    except failure:
        charges = []
        raise
    finally:
        _take([charge._replace(cost=-1) for charge in charges])


def address_of(environ: Mapping[str, str]) -> str:
    """Return whose address a request counts for; of IPv6 the /64, for that is what one has.

    TRUSTED_PROXIES says which entry of X-Forwarded-For was written by a proxy of ours.
    """
    proxies = settings.TRUSTED_PROXIES
    hops = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")[-proxies:] if proxies else [""]
    written = hops[0].strip() or environ.get("REMOTE_ADDR", "")
    with_port = _WITH_PORT.fullmatch(written)
    try:
        ip = ip_address(with_port[1] or with_port[2] if with_port else written)
    except ValueError:
        return ""  # a socket, or "unknown": all of these are one
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or ip_network((ip.packed, 64), strict=False))
    return str(ip)


@lru_cache(maxsize=1_000)
def _windows(key_id: int, scope: str, given: bytes) -> dict[str, tuple[Window, ...]]:
    try:
        found = read_limits(scope, msgspec.json.decode(given))
    except msgspec.ValidationError:  # written by hand, past the command that checks them
        logger.warning("limits.unreadable key=%d", key_id)
        found = read_limits(scope, {})
    limits = msgspec.to_builtins(found)
    return {
        subject: tuple(
            Window(name, PERIODS[name], most) for name, most in limit.items() if most is not None
        )
        for subject, limit in limits.items()
    }


def _digest(*parts: object) -> bytes:
    """Return an HMAC: of a user id or an address nothing else is kept."""
    said = msgspec.json.encode(["limits", *parts])
    return hmac.digest(settings.SECRET_KEY.encode(), said, "sha256")[:16]


@cache
def _meter() -> Meter:
    return Meter(settings.REDIS_URL, processes=settings.WEB_PROCESSES)


def _take(charges: Iterable[Charge]) -> list[float]:
    """Count the charges, or raise Throttled; return each one's share of its burst or rate limit."""
    sent = list(charges)
    if not sent:
        return []
    windows = [(charge, window) for charge in sent for window in charge.windows]
    for charge, window in windows:
        if charge.cost > window.limit:
            raise _refusal(charge, window, window.seconds)
    asked, reading = _meter().take(sent)
    if reading.wait_us:
        raise _refusal(*windows[reading.refusing], reading.wait_us / 1_000_000)
    totals = iter(reading.totals)
    return [
        max(
            (
                total / window.limit
                for window, total in zip(charge.windows, totals, strict=False)
                if window.name != "quota"
            ),
            default=0.0,
        )
        for charge in asked
    ]


def _refusal(charge: Charge, window: Window, wait_seconds: float) -> Throttled:
    detail = f"At most {window.limit:,} for one {charge.subject}"
    detail += f" in {WORDS[int(window.seconds)]} ({window.name})."
    if charge.cost > window.limit:
        detail += f" This request alone has {charge.cost:,}: send it in parts."
    return Throttled(detail, retry_after_seconds=math.ceil(wait_seconds))
