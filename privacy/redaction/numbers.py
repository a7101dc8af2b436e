"""Tell cards and phone numbers from all the other long numbers."""

import re
from collections.abc import Sequence
from typing import TypeAlias

import phonenumbers
from stdnum import luhn

# Type, start, end.
Finding: TypeAlias = tuple[str, int, int]

_SPACE = r" \u00a0\u202f"
_GAP = rf"[{_SPACE}.\-\u2010-\u2013/()]"
# Seven digits or more with at most three marks between two of them; an IPv4 address that follows
# after a space is left to its own rule.
ANCHOR = (
    rf"(?<!\w)(?:\+\(?|\()?\d(?:(?:{_GAP}{{1,3}}"
    rf"(?!(?<=[{_SPACE}])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![\w.])))?\d){{6,}}(?!\w*@)"
)

# First digits in use: Visa, Mastercard, Mir, American Express, Diners, JCB, Discover, UnionPay,
# Maestro (ISO/IEC 7812). They spare nine in ten of the order numbers that pass Luhn by luck.
_CARD_PREFIX = re.compile(r"4|5|6|3[0-9]|2[2-7]|2131|1800")
_CARD_DIGITS = range(13, 20)
_CARD_GROUPS = 5

_PHONE_DIGITS = range(7, 16)
_EXTENSION = re.compile(r"\s?(?:x|ext\.?)\s?\d{1,6}\b", re.IGNORECASE)
_CONTEXT = 48
_FILLER = r"(?:(?:me|us|him|her|them|my|our|your|on|at|to|is|now|back|please|number|no|nr|num)\b)"
_WORD_BEFORE = re.compile(
    r"(?<![\[\w])(?:(?:tele)?phones?|phoned|call(?:s|ed|ing)?|tel|mobiles?|cell(?:phone)?|fax|"
    r"whatsapp|sms|signal|dial(?:led|ling)?|hotline|landline|desk|"
    r"(?:text|ring|reach|contact)(?:ed|ing)?(?= (?:me|us|him|her|them)\b)|text(?= to\b)|"
    r"messages?(?= to\b)|answer(?:s|ing)?(?= (?:at|on)\b)|"
    r"(?:my|our|his|her|their) number(?= is\b)|"
    r"t[ée]l[ée](?:phone|fono)|telefon[oe]?|tlf|t[ée]l|m[óo]vil|portable|celular|handy|"
    r"rufen|appelez|llam[ae]\w*|rufnummer|komórka)"
    rf"(?:[\W_]{{1,3}}{_FILLER}){{0,4}}[\W_]{{0,3}}$",
    re.IGNORECASE,
)
_WORD_AFTER = re.compile(
    rf"[{_SPACE}\-(,]{{1,3}}(?:fax|mobile|cell|phone|office|landline|whatsapp)\b", re.IGNORECASE
)
_PHONE_BEFORE = re.compile(r"\[PHONE\](?:\s?(?:,|/|or|and|&)\s?){1,2}$", re.IGNORECASE)

_URL_BEFORE = re.compile(r"(?:://|\bwww\.|\w\.[A-Za-z]{2,}/)\S*$")
_MONEY_BEFORE = re.compile(r"(?:[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|JPY|INR))\s?-?$")
_MONEY_AFTER = re.compile(r"(?:,\d+)?\s?(?:[$€£¥₹%°]|(?:USD|EUR|GBP|CHF|JPY|INR)\b)")
_LABEL_BEFORE = re.compile(
    r"(?:#|\b(?:order|invoice|ref|reference|ticket|case|tracking|id|sku|isbn|ean|serial|model|"
    r"account|acct|zip|ssn|social security|licen[cs]e|passport|card|cc|"
    r"version|part|item|batch|po|lat|lon|latitude|longitude)"
    r"\W{0,3}(?:(?:number|no|nr|num|id|code|is)\W{0,3}){0,2})$",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?:19|20)\d\d([-./ ])\d{1,2}\1\d{1,2}(?!\d)|\d{1,2}([-./ ])\d{1,2}\2(?:19|20)\d\d(?!\d)|"
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)|"
    r"(?:19|20)\d\d ?[-\u2010-\u2013/] ?(?:19|20)\d\d(?!\d)"
)
_DECIMAL = re.compile(r"\d+\.\d+")
_UUID_BEFORE = re.compile(r"[0-9a-f]{4,8}-$", re.IGNORECASE)


def find(text: str, start: int, end: int, before: str, regions: Sequence[str]) -> list[Finding]:
    """Find the cards in a run of digits, or else see whether the run is a phone number."""
    if _URL_BEFORE.search(before) or _UUID_BEFORE.search(before):
        return []
    after = text[end : end + _CONTEXT]
    extension = _EXTENSION.match(after)
    if not extension and after[:1].isalnum():
        return []
    cards = _find_cards(text, start, end)
    if cards or _MONEY_BEFORE.search(before) or _MONEY_AFTER.match(after):
        return cards
    if not _is_phone(text[start:end], before[-_CONTEXT:], after, regions):
        return []
    return [("PHONE", start, end + (extension.end() if extension else 0))]


def _find_cards(text: str, start: int, end: int) -> list[Finding]:
    """Try all stretches of whole groups: a date or a security code may follow the card's number."""
    groups = [match.span() for match in re.finditer(r"\d+", text[start:end])]
    found: list[Finding] = []
    first = 0
    while first < len(groups):
        low = start + groups[first][0]
        ends = [start + high for _, high in groups[first : first + _CARD_GROUPS]]
        taken = next((n for n, high in enumerate(ends) if _is_card(text[low:high])), None)
        if taken is not None:
            found.append(("CREDIT_CARD", low, ends[taken]))
        first += 1 if taken is None else taken + 1
    return found


def _is_card(run: str) -> bool:
    gaps = set(re.findall(r"\D+", run))
    if len(gaps) > 1 or any(len(gap) > 1 or gap in "./()" for gap in gaps):
        return False
    groups = re.findall(r"\d+", run)
    if len(groups) > 1 and (len(groups[0]) != 4 or min(map(len, groups[:-1])) < 4):
        return False
    digits = "".join(str(int(digit)) for digit in "".join(groups))
    if len(digits) not in _CARD_DIGITS or not _CARD_PREFIX.match(digits):
        return False
    return len(set(digits)) > 1 and luhn.is_valid(digits)


def _is_phone(run: str, before: str, after: str, regions: Sequence[str]) -> bool:
    digits = sum(mark.isdigit() for mark in run)
    if run.startswith(("+", "(+")):
        return _is_international(run)
    if digits not in _PHONE_DIGITS or _DATE.match(run) or after.startswith(":"):
        return False
    if _LABEL_BEFORE.search(before):
        return False
    if _WORD_BEFORE.search(before) or _PHONE_BEFORE.search(before) or _WORD_AFTER.match(after):
        return True
    return not _DECIMAL.fullmatch(run) and any(_is_national(run, region) for region in regions)


def _is_international(run: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(run, None))
    except phonenumbers.NumberParseException:
        return False


def _is_national(run: str, region: str) -> bool:
    """Where numbers are dialled with a leading 0, ask for it: nearly any digits pass without."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or (metadata.national_prefix == "0" and run.lstrip("(")[0] != "0"):
        return False
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(run, region))
    except phonenumbers.NumberParseException:
        return False
