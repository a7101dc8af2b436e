"""Passwords, keys and tokens: by their known form, beside a word for them, or by randomness."""

import math
import re
from collections import Counter
from hashlib import sha256

from stdnum.bitcoin import b58decode

from privacy.redaction.found import LATIN, Finding, Place, words

# The published forms of well-known issuers' keys, and JSON web tokens.
KNOWN = (
    r"(?:A3T[A-Z0-9]|AKIA|ASIA)[0-9A-Z]{16}|gh[oprsu]_\w{20,255}|github_pat_\w{20,255}|"
    r"glpat-[\w-]{20,64}|xox[abeoprs]-[\w-]{10,255}|(?:sk|rk)_(?:live|test)_\w{16,255}|"
    r"sk-(?=\w*-?\w*\d)[\w-]{20,255}|whsec_[\w+/=]{20,255}|AIza[\w-]{35}|ya29\.[\w-]{20,512}|"
    r"SG\.[\w-]{16,64}\.[\w-]{16,64}|npm_\w{36}|pypi-[\w-]{50,512}|hf_\w{30,64}|"
    r"dop_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}|emd_sk_\w{16,255}|"
    r"eyJ[\w-]{10,4096}\.[\w-]{10,8192}\.[\w-]{0,1024}"
)
PEM = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----[A-Za-z0-9+/=\\\s]{40,20000}"
    r"(?:-----END [A-Z0-9 ]{1,60}-----)?"
)
_PASSWORDS = ["password", "passwd", "passphrase", "passcode", "pwd", "passwort", "kennwort"]
_PASSWORDS += ["contraseña", "mot de passe"]
_TOKENS = [f"{kind}[ _-]?key" for kind in ("api", "access", "private", "signing", "encryption")]
_TOKENS += [f"{kind}[ _-]?token" for kind in ("access", "auth", "bearer", "refresh", "session")]
_TOKENS += ["secret(?:[ _-]?key)?", "client[ _-]?secret"]
_TOKENS += ["api[ _-]?token", "id[ _-]?token", "token", "credentials?", "authorization", "pin"]
_PASSWORD, _TOKEN = words(_PASSWORDS), words(_TOKENS)
# A word for a secret, and what may stand between it and its value.
WORDED = (
    rf"{words(_PASSWORDS + _TOKENS)}(?i:[\"'`]?"
    r"(?:\s{0,3}(?:[:=]>?|(?:is|was|ist|es|est)\b:?))?\s{0,3}[\"'`]?(?:(?:bearer|basic)\s)?)"
)
_PASSWORD_NAME = re.compile(rf"(?:^|[ _-])(?:{_PASSWORD}|[Pp](?i:in))\W*$", re.IGNORECASE)
_TOKEN_NAME = re.compile(rf"(?:^|[ _-])(?:{_TOKEN})\W*$", re.IGNORECASE)
_MARKED = re.compile(r"[:=>]\W*(?:bearer |basic )?$", re.IGNORECASE)
_PASSWORD_IS = re.compile(rf"(?:{_PASSWORD}|[Pp](?i:in))\W+\w+\W+$", re.IGNORECASE)
_VALUE = re.compile(r"[^\s\"'`<>\[\]&]{4,128}")
_DIGITS = re.compile(r"\d{4,12}")
# Words with marks between them, a variable, a link: no secret.
_PLAIN = re.compile(r"[^\W\d_]*(?:[-_./()',:;!?][^\W\d_]*)*|[${%(*].*|(?:https?:)?//.*", re.DOTALL)
_NOT_SET = re.compile(r"none|null|true|false|string|required|hidden|[*x.•]+", re.IGNORECASE)
_LONG = 8

# 32 marks or more in one run, so that the shorter ids of documents stay.
RANDOM = r"(?<![+/=._-])[A-Za-z0-9+/_-]{32,128}={0,2}(?![\w+/=-])"
_HEX = re.compile(r"[0-9a-fA-F-]+")
_ALL_KINDS = re.compile(r"(?=.*[a-z])(?=.*[A-Z]).*\d", re.DOTALL)
_HASH_BEFORE = re.compile(r"(?:sha\d*|md5|integrity|hash|digest|base64)\W{1,3}$", re.IGNORECASE)
_CHANGES = re.compile(r"[a-z][A-Z0-9]|[A-Z]\d|\d[A-Za-z]")
_MARKS_A_CHANGE = 5
_MIN_BITS = 4.0
_BASE64_SHA256 = 44

COIN = (
    r"(?:0x[0-9a-fA-F]{40}|(?:bc|tb|ltc)1[ac-hj-np-z02-9]{25,87}|"
    rf"[13LMDTXrtmn29A][1-9A-HJ-NP-Za-km-z]{{25,34}})(?!_|{LATIN})"
)


def find_known(place: Place) -> list[Finding]:
    return [("SECRET", place.start, place.end)]


def find_worded(place: Place) -> list[Finding]:
    """Judge what follows a word such as password: less is asked for where a mark links them."""
    value = _VALUE.match(place.text, place.end)
    if value is None:
        return []
    end = value.start() + len(value.group().rstrip(".,;:!?)}"))
    run = place.text[place.end : end]
    is_linked = bool(_MARKED.search(place.run) or _PASSWORD_IS.match(place.run))
    if (is_linked and _DIGITS.fullmatch(run)) or _is_secret(run, is_linked=is_linked):
        return [("SECRET", place.end, end)]
    return []


def is_named_secret(value: str, name: str) -> bool:
    """Tell whether all of a JSON value is a secret by the key it stands under."""
    if not 4 <= len(value) <= 4096 or " " in value or "[" in value or _NOT_SET.fullmatch(value):
        return False
    if _PASSWORD_NAME.search(name):
        return "pin" not in name or value.isdigit()
    return _is_secret(value, is_linked=True)


def is_secret_name(name: str) -> bool:
    return bool(_PASSWORD_NAME.search(name) or _TOKEN_NAME.search(name))


def _is_secret(run: str, *, is_linked: bool) -> bool:
    if len(run) < 4 or _PLAIN.fullmatch(run):
        return False
    has_both = any(c.isdigit() for c in run) and any(c.isalpha() for c in run)
    if is_linked:
        return has_both or (len(run) >= _LONG and not run.isdigit())
    return has_both and len(run) >= _LONG and (run.isalnum() or bool(_ALL_KINDS.match(run)))


def find_random(place: Place) -> list[Finding]:
    """Take what only a generator writes; hashes, UUIDs, names in code and paths stay."""
    run, before = place.run, place.before
    if _HEX.fullmatch(run) or not _ALL_KINDS.match(run) or _HASH_BEFORE.search(before[-24:]):
        return []
    if "://" in before.rpartition(" ")[2] or (len(run) == _BASE64_SHA256 and run[-1] == "="):
        return []
    if _MARKS_A_CHANGE * len(_CHANGES.findall(run)) < len(run) or _bits(run) < _MIN_BITS:
        return []
    return [("SECRET", place.start, place.end)]


def _bits(run: str) -> float:
    """Return the Shannon entropy of the marks, in bits a mark."""
    shares = [count / len(run) for count in Counter(run).values()]
    return -sum(share * math.log2(share) for share in shares)


def find_coin(place: Place) -> list[Finding]:
    run = place.run
    if run.startswith(("0x", "bc1", "tb1", "ltc1")) or _is_base58check(run):
        return [("CRYPTO_ADDRESS", place.start, place.end)]
    return []


def _is_base58check(run: str) -> bool:
    raw: bytes = b58decode(run)
    return len(raw) == 25 and sha256(sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]
