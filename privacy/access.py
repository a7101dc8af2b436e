"""Keys and scopes: who asks, for which project, and what that key may do."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef
from django.db.models.functions import Now
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from config import api
from config.errors import Forbidden, Malformed, Problem, Throttled, Unauthenticated
from privacy import limits
from privacy.identity import user_in
from privacy.models import (
    USER_ID_PATTERN,
    ApiKey,
    IdentityMode,
    IdentitySecret,
    Project,
    Scope,
)

PREFIXES = {Scope.CAPTURE: "emd_pk_", Scope.MANAGE: "emd_sk_"}
KEY_FORM = re.compile(r"emd_[ps]k_[A-Za-z0-9_-]{43}")
PREFIX_LENGTH = 15  # "emd_pk_" and eight characters to look the key up by
MAX_SEEN = 10_000
SEEN_SECONDS = 1.0  # how long a process may go by a key and a project that have changed
_seen: dict[bytes, tuple[ApiKey, float]] = {}  # by the key's SHA-256, with when it was read


def _digest(key: str) -> bytes:
    """Return all that is kept of a key beside its beginning."""
    return hashlib.sha256(key.encode()).digest()


def create_key(
    *,
    project: Project,
    name: str,
    scope: str,
    origins: list[str],
    limits: dict[str, Any] | None = None,
) -> str:
    """Store a new key and return it; it cannot be shown again."""
    key, kept = _new_key(scope)
    ApiKey.objects.create(
        project=project, name=name, scope=scope, origins=origins, limits=limits or {}, **kept
    )
    return key


def rotate_key(api_key: ApiKey, *, overlap: timedelta) -> str:
    """Give the key another secret and return it; for `overlap` the earlier one works beside it.

    A second rotation within that time ends the first one's overlap.
    """
    key, kept = _new_key(api_key.scope)
    ApiKey.objects.filter(pk=api_key.pk).update(
        previous_prefix=F("prefix"),
        previous_digest=F("digest"),
        previous_until=Now() + overlap,
        **kept,
    )
    return key


def _new_key(scope: str) -> tuple[str, dict[str, Any]]:
    """Make a key; return it, and what is kept of it."""
    key = PREFIXES[Scope(scope)] + secrets.token_urlsafe(32)
    return key, {
        "prefix": key[:PREFIX_LENGTH],
        "digest": _digest(key),
    }


def find_key(key: str) -> ApiKey:
    """Return the usable key with its project; raise Unauthenticated."""
    prefix, digest = key[:PREFIX_LENGTH], _digest(key)
    live = IdentitySecret.objects.live().filter(project=OuterRef("project"))
    candidates = ApiKey.objects.usable().beginning(prefix).select_related("project")
    for candidate in candidates.annotate(live_nonces=ArraySubquery(live.values("nonce"))):
        is_current = candidate.prefix == prefix
        kept = candidate.digest if is_current else candidate.previous_digest
        if hmac.compare_digest(bytes(kept), digest):
            found: ApiKey = candidate
            return found
    raise Unauthenticated


def recall_key(key: str) -> ApiKey:
    """Return the key as this process saw it, `SEEN_SECONDS` ago at most.

    For views that ask again whether it is usable.
    """
    digest = _digest(key)
    found, read_at = _seen.get(digest, (None, 0.0))
    now = time.monotonic()
    return reread_key(key) if found is None or now - read_at >= SEEN_SECONDS else found


def reread_key(key: str) -> ApiKey:
    """Return the usable key, and remember it."""
    found = find_key(key)
    if len(_seen) >= MAX_SEEN:
        _seen.clear()
    _seen[_digest(key)] = (found, time.monotonic())
    return found


def _sought(key: str, find: Callable[[str], ApiKey], address: str) -> ApiKey:
    """Find a key; what this process has not seen is a guess, and Throttled after too many."""
    if _digest(key) in _seen:
        return find(key)
    with limits.failures(Unauthenticated, {limits.WRONG_KEYS: address}):
        return find(key)


def require_usable(key: ApiKey) -> None:
    """Raise Unauthenticated if a recalled key has been revoked, or has expired."""
    if not ApiKey.objects.usable().filter(pk=key.pk).exists():
        raise Unauthenticated


def check_user_id(user_id: str | None, pointer: str = "/user_id") -> None:
    """Raise Malformed unless it is absent or has the contract's form."""
    if user_id is not None and not re.match(USER_ID_PATTERN, user_id):
        detail = "user_id has 1 to 128 characters of A-Z a-z 0-9 . _ : @ | + -"
        raise Malformed(detail, errors=[Problem(pointer, "api.malformed", detail)])


@dataclass(frozen=True)
class Sender:
    """Who brings something to the door: a product by one of its keys, or a command (no key)."""

    project: Project
    key: ApiKey | None = None
    source: str = "user"

    @property
    def is_trusted(self) -> bool:
        """Return whether what it says of a person is known to be that person's."""
        return self.key is None or self.key.scope == Scope.MANAGE


class KeyAuthentication(BaseAuthentication):
    """Read `Authorization: Bearer emd_...` and `Emend-User`.

    The key is `request.auth`, the user_id that the token vouches for `request.user`.
    """

    def authenticate(self, request: Any) -> tuple[str | None, ApiKey]:
        scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not KEY_FORM.fullmatch(key):
            raise Unauthenticated
        view = request.parser_context["view"]
        find = recall_key if getattr(view, "asks_key_again", False) else reread_key
        api_key = _sought(key, find, limits.address_of(request.META))
        origin = request.META.get("HTTP_ORIGIN")
        if api_key.origins and origin is not None and origin not in api_key.origins:
            raise Forbidden("This key may not be used from that origin.")
        request.uncounted_key = api_key
        token = request.META.get("HTTP_EMEND_USER")
        return None if token is None else _vouched(api_key, token), api_key

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="emend"'


class KeyRequest(Request):
    """A request that KeyAuthentication let in."""

    auth: ApiKey
    user: str | None  # type: ignore[assignment]
    uncounted_key: ApiKey | None  # whose limits know nothing of the request yet


def sender_of(request: KeyRequest) -> Sender:
    return Sender(request.auth.project, request.auth)


def admit(request: KeyRequest, acts: limits.Acts = limits.NOBODYS) -> list[float]:
    """Count what a request brings against the limits of its key, as limits.admit does."""
    request.uncounted_key = None
    return limits.admit(key=request.auth, address=limits.address_of(request.META), acts=acts)


def problem_response(exc: Exception, context: dict[str, Any]) -> Any:
    """Answer an error as config.api does; what was refused uncounted counts as one act too."""
    request = context["request"]
    key = getattr(request, "uncounted_key", None)
    if key is not None:
        try:
            limits.admit(key=key, address=limits.address_of(request.META))
        except Throttled as error:
            exc = error
    return api.problem_response(exc, context)


class Person(NamedTuple):
    """Who acts, and whether a server vouches for it."""

    user_id: str | None
    is_verified: bool


def person_of(request: KeyRequest, user_id: str | None, token: str | None) -> Person:
    """Return who acts, by a body's `user_id` and `user_token` and the header; raise Forbidden."""
    vouched = request.user
    if token is not None:
        vouched = _vouched(request.auth, token)
        if request.user not in {None, vouched}:
            raise Forbidden("The user tokens of body and header are of different people.")
    if vouched is not None:
        if user_id not in {None, vouched}:
            detail = "The user token is of another person than user_id."
            raise Forbidden(detail, errors=[Problem("/user_token", Forbidden.code, detail)])
        return Person(vouched, is_verified=True)
    is_trusted = sender_of(request).is_trusted
    if not is_trusted and request.auth.project.identity_mode == IdentityMode.ENFORCE:
        raise Forbidden("Of a capture key this project takes nothing without a user token.")
    return Person(user_id, is_trusted)


def _vouched(key: ApiKey, token: str) -> str:
    return user_in(token, audience=key.project.slug, nonces=key.live_nonces)


class AnyScope(BasePermission):
    """Both scopes; what a capture key may see is decided by the view."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return isinstance(request.auth, ApiKey)


class PersonScope(AnyScope):
    """Both scopes, but a capture key only with the token of the person that the path names."""


class ManageScope(AnyScope):
    def has_permission(self, request: Any, view: Any) -> bool:
        return super().has_permission(request, view) and request.auth.scope == Scope.MANAGE


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = KeyAuthentication
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "emd_…"}
