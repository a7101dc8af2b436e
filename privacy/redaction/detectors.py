"""What counts as personal data: for each type an anchor to scan for, and a rule that decides."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from stdnum.cn import ric
from stdnum.fi import hetu
from stdnum.it import codicefiscale

from privacy.redaction import likely, numbers, secrets
from privacy.redaction.found import LATIN, LIKELY, Finding, Place, words


@dataclass(frozen=True)
class Detector:
    """One pattern of the combined scan; `find` judges a match of it.

    Every anchor is tried only where no Latin letter or digit stands before.
    """

    anchor: str
    find: Callable[[Place], list[Finding]]
    types: tuple[str, ...]
    # Whether its anchor may be all letters; else a digit, @ or : is near.
    is_word: bool = False


_VERSION_BEFORE = re.compile(
    r"(?:\b(?:v|ver|version|build|release|firmware|driver|sections?|chapter|clause|paragraph|rev)"
    r"\W{1,3}|§\s?)$",
    re.IGNORECASE,
)
_CONTEXT = 24
_SSH_USER = "git@"
_LATIN_TAIL = re.compile(r"(?<=[^\x00-\u024f])[A-Za-z0-9][!-~]{2,}$")
# Lengths by country, from the IBAN registry (ISO 13616).
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD FK", "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK MN", "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ TL OM SO", "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HN HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU YE",
        "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip


def _is_chinese_id(run: str) -> bool:
    try:
        return ric.is_valid(run)
    except KeyError:  # The library's answer to a county that it does not know.
        return False


_ID_SHAPES = [
    (re.compile(r"[A-Z]{6}\w{10}", re.IGNORECASE), codicefiscale.is_valid),
    (re.compile(r"\d{6}[-+A]\w{4}"), hetu.is_valid),
    (re.compile(r"\d{17}\w"), _is_chinese_id),
]
_ID_WORDS = ["ssn", "social security", "national id", "national identity", "identity card", "dni"]
_ID_WORDS += ["id card", "nino", "national insurance", "nhs", "passport", "bsn", "personnummer"]
_ID_WORDS += ["burgerservicenummer", "pesel", "cpr", "cpf", "curp", "nie", "nif", "codice fiscale"]
_ID_WORDS += ["steuer-?id", "aadha+r", "tfn", "tax file", "tax id", "itin", "nric", "hetu", "sin"]
# The value beside a word for a national id.
_ID_VALUE = re.compile(
    r"(?:[\W_]{1,3}(?:number|card|no|nr|num|is|was|my|the|ist|es)\b){0,4}[\W_]{0,3}"
    r"((?:[A-Z]{0,3}[ -]?|[a-z]{1,3})\d(?:[ .\-/]?\d|-?[A-Z](?![a-z])){5,20}(?: [A-D])?)(?![^\W_])"
)


def _find_email(place: Place) -> list[Finding]:
    name = place.run.partition("@")[0]
    start = place.start
    if tail := _LATIN_TAIL.search(name):
        # Words of a script without spaces.
        start += tail.start()
    elif name.startswith(".") or ".." in name:
        # Dots before the name end a sentence or a list: keep them.
        start += len(name) - len(re.split(r"^\.+|\.{2,}", name)[-1])
    if place.text.startswith(("@", _SSH_USER), start):
        return []
    return [("EMAIL", start, place.end)]


def _find_credentials(place: Place) -> list[Finding]:
    return [("URL_CREDENTIALS", place.start + place.run.index("//") + 2, place.end)]


def _find_iban(place: Place) -> list[Finding]:
    """Check ISO 7064 mod 97-10 over as many marks as the country's IBAN has."""
    length = _IBAN_LENGTHS.get(place.run[:2].upper())
    if length is None:
        return []
    written = re.compile(rf"\w(?:[ -]?[A-Za-z0-9]){{{length - 1}}}(?!{LATIN})")
    match = written.match(place.text, place.start)
    if match is None:
        return []
    compact = re.sub(r"[ -]", "", match.group())
    is_valid = int("".join(str(int(mark, 36)) for mark in compact[4:] + compact[:4])) % 97 == 1
    return [("IBAN", *match.span())] if is_valid else []


def _find_ipv4(place: Place) -> list[Finding]:
    return [] if _VERSION_BEFORE.search(place.before[-_CONTEXT:]) else _find_ip(place)


def _find_ipv6(place: Place) -> list[Finding]:
    groups = [group for group in place.run.split(":") if group]
    # `a::b` and `x[::1]` are addresses too, but far more often names in code or slices.
    is_loopback = place.run == "::1" and not re.search(r"[\w)]\[$", place.before)
    if not is_loopback and len(groups) < 8:
        if len(groups) < 2 and not re.match(r"(?i)fe80|f[cd]\w\w|2\w{3}", place.run):
            return []
        if max(map(len, groups)) < 3 or not any(mark.isdigit() for mark in place.run):
            return []
    return _find_ip(place)


def _find_ip(place: Place) -> list[Finding]:
    try:
        ipaddress.ip_address(place.run)
    except ValueError:
        return []
    return [("IP_ADDRESS", place.start, place.end)]


def _find_mac(place: Place) -> list[Finding]:
    # Six pairs of digits between dashes are more often some other number.
    is_number = "-" in place.run and not any(mark.isalpha() for mark in place.run)
    return [] if is_number else [("MAC_ADDRESS", place.start, place.end)]


def _find_id(place: Place) -> list[Finding]:
    run = place.run
    if numbers.is_labelled(place.before):
        return []
    if (
        " " in run
        or len(run) == 9
        or any(shape.fullmatch(run) and is_valid(run) for shape, is_valid in _ID_SHAPES)
    ):
        return [("NATIONAL_ID", place.start, place.end)]
    return []


def _find_worded_id(place: Place) -> list[Finding]:
    """Take any number beside the word: who writes it there says what it is."""
    value = _ID_VALUE.match(place.text, place.end)
    if value is None or sum(mark.isdigit() for mark in value[1]) < 6:
        return []
    return [("NATIONAL_ID", *value.span(1))]


# Anchors bound every repeat, so that a scan stays linear in the text.
DETECTORS = {
    "pem": Detector(secrets.PEM, secrets.find_known, ("SECRET",), is_word=True),
    "credentials": Detector(
        r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/@:?#\[\]]{0,128}:[^\s/@\[\]]{0,256}(?=@)",
        _find_credentials,
        ("URL_CREDENTIALS",),
    ),
    "known": Detector(rf"(?:{secrets.KNOWN})(?!{LATIN})", secrets.find_known, ("SECRET",)),
    "email": Detector(
        r"(?<![A-Za-z0-9_.%+'-])(?:(?<!\w)|(?=[!-?A-~]{1,64}@))[\w.%+'-]{1,64}(?:@|(?<=%40))"
        r"(?![1-9]x\.|\d+\.\d)(?:[^\W_](?:[\w-]{0,62})\.){1,8}(?:xn--[a-z0-9-]{2,59}|"
        rf"[A-Za-z]{{2,24}}(?![A-Za-z\u00c0-\u024f])|[^\W\d_]{{2,24}}(?!{LATIN}))",
        _find_email,
        ("EMAIL",),
    ),
    "iban": Detector(r"[A-Za-z]{2}[0-9]{2}(?=(?:[ -]?[A-Za-z0-9]){11})", _find_iban, ("IBAN",)),
    "coin": Detector(secrets.COIN, secrets.find_coin, ("CRYPTO_ADDRESS",)),
    "worded": Detector(secrets.WORDED, secrets.find_worded, ("SECRET",), is_word=True),
    "worded_id": Detector(
        words(_ID_WORDS),
        _find_worded_id,
        ("NATIONAL_ID",),
        is_word=True,
    ),
    "id": Detector(
        r"(?:[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]|\d{6}[-+A]\d{3}[0-9A-Y]|\d{17}[\dX]|"
        rf"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{{6}}[A-D])(?!_|{LATIN})",
        _find_id,
        ("NATIONAL_ID",),
    ),
    "mac": Detector(
        r"(?<![:.-])(?:[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}|(?:-[0-9A-Fa-f]{2}){5})|"
        rf"[0-9a-f]{{4}}\.[0-9a-f]{{4}}\.[0-9a-f]{{4}})(?![_:]|[.-]?{LATIN})",
        _find_mac,
        ("MAC_ADDRESS",),
    ),
    "ipv6": Detector(
        r"(?<![:.])(?=[0-9A-Fa-f]{0,4}:)(?:[0-9A-Fa-f]{0,4}:){2,7}"
        rf"(?:[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}|[0-9A-Fa-f]{{0,4}})(?![_:]|\.?{LATIN})",
        _find_ipv6,
        ("IP_ADDRESS",),
    ),
    "ipv4": Detector(
        rf"(?<![_.])(?<!\w/)[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}(?!_|{LATIN}|\.\d)",
        _find_ipv4,
        ("IP_ADDRESS",),
    ),
    "card": Detector(numbers.BROKEN_CARD, numbers.find_broken_card, ("CREDIT_CARD",)),
    "number": Detector(numbers.ANCHOR, numbers.find, ("CREDIT_CARD", "NATIONAL_ID", "PHONE")),
    "named": Detector(numbers.NAME, numbers.find_named, ("CREDIT_CARD", "PHONE")),
    "born": Detector(likely.WORD, likely.find_worded, (LIKELY,), is_word=True),
    "street": Detector(likely.STREET, likely.find_street, (LIKELY,)),
    "random": Detector(secrets.RANDOM, secrets.find_random, ("SECRET",)),
}
ALL = frozenset(kind for detector in DETECTORS.values() for kind in detector.types) - {LIKELY}
