"""Tell cards, national ids and phone numbers from all the other long numbers."""

import re
from collections.abc import Sequence
from dataclasses import replace

from stdnum import luhn
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.fr import nir
from stdnum.kr import rrn
from stdnum.se import personnummer
from stdnum.us import ssn

from privacy.redaction.found import LATIN, LIKELY, Finding, Place, words
from privacy.redaction.phones import is_international, is_national, is_valid_abroad

_GAP = r"[ .\-/()]"
# Seven digits or more with at most three marks between two of them; an IPv4 address that follows
# after a space is left to its own rule.
_RUN = (
    rf"(?:\+\(?|\()?\d(?:(?:{_GAP}{{1,3}}"
    r"(?!(?<= )\d{1,3}(?:\.\d{1,3}){3}(?![\w.])))?\d){6,}(?!\w*@)"
)
ANCHOR = rf"(?<!_){_RUN}"
_NUMBER = re.compile(_RUN)
# Letters that a number follows without a gap.
NAME = r"(?:[A-Za-z_]{1,24}|%2[Bb])(?=[0-9]{3})"
# A card whose groups a line, a tab or a low line parts; more groups make a table.
BROKEN_CARD = (
    r"(?<!\d[\s_])(?:\d{4}(?:[\s_.-]{1,3}\d{4}){3}|3\d{3}[\s_.-]{1,3}\d{6}[\s_.-]{1,3}\d{5})"
    rf"(?!{LATIN}|[\t_]\d|\s\d{{4}}(?!\d))"
)

_BREAK = re.compile(r"[^\d .-]")
# Lengths and first digits in use (ISO/IEC 7812): Visa, American Express, Diners, JCB, Mastercard,
# Mir, Discover and UnionPay, Maestro. They spare most order numbers that pass Luhn by luck.
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|(?:2131|1800)\d{11}|"
    r"35\d{14}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|2720\d{12}|220[0-4]\d{12,15}|"
    r"6(?:011|4[4-9]\d|5\d\d|2\d\d)\d{12,15}|(?:50|5[6-8]|6\d)\d{10,17}|0604\d{8}"
)
_SHORTEST_CARD = 12
# A card as it is written: in one, or in groups with the same single mark between them.
_CARD_SHAPE = re.compile(
    r"(?<!\d)(?:\d{12,19}|\d{4}([ .\-])\d{4}\1\d{4}(?:\1\d{1,4})?(?:\1\d{1,3})?|"
    r"\d{4}([ .\-])\d{6}\2\d{4,5})(?!\d)"
)
_ID_SHAPES = [
    (re.compile(r"\d{3}-\d\d-\d{4}"), ssn),
    (re.compile(r"\d{3}\.\d{3}\.\d{3}-\d\d"), cpf),
    (re.compile(r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d"), nn),
    (re.compile(r"\d{6}-\d{7}"), rrn),
    (re.compile(r"(?:\d\d)?\d{6}-\d{4}"), personnummer),
    (re.compile(r"[12] ?\d\d ?\d\d ?\d\d ?\d{3} ?\d{3} ?\d\d"), nir),
]

_PHONE_DIGITS = range(7, 16)
_GROUPS_AFTER = 3
# Between two numbers in one run.
_BETWEEN = re.compile(r" ?/ | - | {2,3}")
_EXTENSION = re.compile(r"\s?(?:x|ext\.?)\s?\d{1,6}\b", re.IGNORECASE)
_CONTEXT = 48
_FILLERS = (
    "me us him her them my our your on at to is was now back please number no nr num home work "
)
_FILLERS += "office new or and under auf unter au al ist es est"
_PHONE_WORDS = ["phones?", "telephones?", "phoned", "call(?:s|ed|ing)?", "tel", "mobiles?", "fax"]
_PHONE_WORDS += ["cell(?:phone)?", "whatsapp", "sms", "signal", "dial(?:led|ling)?", "hotline"]
_PHONE_WORDS += ["landline", "desk", "viber", "text(?= to)", "messages?(?= to)"]
_PHONE_WORDS += [
    f"{verb}(?:ed|ing)?(?= (?:me|us|him|her|them|[A-Z]))"
    for verb in ("text", "ring", "reach", "contact")
]
_PHONE_WORDS += ["answer(?:s|ing)?(?= (?:at|on))"]
_PHONE_WORDS += [f"{whose} number(?= is)" for whose in ("my", "our", "his", "her", "their")]
_PHONE_WORDS += ["t[ée]l[ée](?:phone|fono)", "telefon[oe]?", "tlf", "tél", "m[óo]vil", "portable"]
_PHONE_WORDS += ["celular", "handy(?:nummer)?", "rufen", "appelez", "llam[ae]\\w{0,8}", "rufnummer"]
_PHONE_WORDS += ["komórka", "telefonnummer"]
_PHONE_WORDS += ["тел", "телефон", "моб", "звон\\w{0,5}"]
# Words of scripts without spaces, with theirs for `number` and `is`.
_UNSPACED = (
    "(?:电话|電話|手机|手機|携帯|传真|전화|핸드폰)(?:号码|號碼|番号|번호|号)?[是为為はは은는]?"
)
_WORD_BEFORE = re.compile(
    rf"(?:(?<![\[\w]){words(_PHONE_WORDS)}(?:(?: [A-Z][\w.'-]{{0,20}}){{1,4}} (?:at|on)|"
    rf"(?:[\W_]{{1,3}}{words(_FILLERS.split())}){{0,4}})|{_UNSPACED})[\W_]{{0,3}}(?:%2[Bb])?$"
)
_WORD_AFTER = re.compile(
    r"[ \-(,]{1,3}(?:fax|mobile|cell|phone|office|landline|whatsapp)\b", re.IGNORECASE
)
_PHONE_BEFORE = re.compile(r"\[PHONE\](?:\s?(?:,|/|or|and|&)\s?|\s?- | {2,3}){1,2}$", re.IGNORECASE)
# How people group a phone number; only reported.
_PHONE_SHAPE = re.compile(
    r"\(0?\d{2,4}\) ?\d{3,4}[ .\-]?\d{3,4}|0\d{9,10}|0\d{1,4}[ \-/]\d{3,4}[ \-]?\d{3,4}|"
    r"\d{3}([ .\-])\d{3}\1\d{4}|0\d([ .\-])\d\d(?:\2\d\d){3}"
)

_URL_BEFORE = re.compile(r".*(?:://|^www\.|\w\.[A-Za-z]{2,24}/)")
# A field of a URL whose name says that it is a card or a phone.
_FIELD_BEFORE = re.compile(
    r"[?&](?:[\w.-]{0,20}[_.-])?(?:cc|card|pan|tel|phone|mobile|fax|msisdn|whatsapp)\w{0,10}="
    r"(?:%2B)?$",
    re.IGNORECASE,
)
_MONEY_BEFORE = re.compile(r"(?:[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|JPY|INR))\s?-?$")
_MONEY_AFTER = re.compile(r"(?:,\d+)?\s?(?:[$€£¥₹%°元円원₽]|(?:USD|EUR|GBP|CHF|JPY|INR)\b)")
_GOODS = ["orders?", "invoice", "ticket", "tracking", "sku", "isbn", "ean", "imei", "serial"]
_LABELS = [*_GOODS, "ref", "reference", "case", "ids?", "model", "account", "acct", "zip", "apt"]
_LABELS += ["suite", "unit", "box", "licen[cs]e", "card", "cc", "version", "part", "item", "batch"]
_LABELS += ["po", "lat", "lon", "latitude", "longitude"]
_LABEL_LINKS = ["number", "no", "nr", "num", "id", "code", "is"]
_LABEL_END = rf"[\W_]{{0,3}}(?:{words(_LABEL_LINKS)}[\W_]{{0,3}}){{0,2}}$"
_LABEL_BEFORE = re.compile(rf"(?:#|(?<![^\W_]){words(_LABELS)}){_LABEL_END}")
_UNSPACED_GOODS = "(?:订单|訂單|注文|运单|單|单|주문)(?:编号|番号|번호|号|號)?"
_GOODS_BEFORE = re.compile(rf"(?:(?<![^\W_]){words(_GOODS)}|{_UNSPACED_GOODS}){_LABEL_END}")
_CARD_NAME = re.compile(r"(?:card|visa|amex|mastercard|(?<![^\W_])cc)_?$", re.IGNORECASE)
# Any other name that is no code in capitals, and a card that is no file's number.
_PLAIN_NAME = re.compile(r"(?:_|[a-z]{3})$")
_USUAL_CARD = re.compile(r"(?:3[47]\d{13}|(?:4\d|5[1-5]|2[2-7])\d{14})(?![_.-]?\w)")
_DATE = re.compile(
    r"(?:19|20)\d\d([-./ ])\d{1,2}\1\d{1,2}(?!\d)|\d{1,2}([-./ ])\d{1,2}\2(?:19|20)\d\d(?!\d)|"
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)|"
    r"(?:19|20)\d\d ?[-/] ?(?:19|20)\d\d(?!\d)"
)
# A post code, a house number and the street; else two groups are a phone.
_TWO_GROUPS = re.compile(r"\d{5} \d{2,4}|\d{4} \d{2,3}")
_STREET_AFTER = re.compile(r" [^\W\d_]")
_DECIMAL = re.compile(r"\d+\.\d+")
_NO_ADDRESS = re.compile(r"[^!-~]")
_LATIN = re.compile(LATIN)
_HEX_BEFORE = re.compile(r"[0-9a-f]{4,8}-$", re.IGNORECASE)


def find(place: Place) -> list[Finding]:
    """Find the cards in a run of digits, or a national id, or else phone numbers."""
    before, run = place.before[-_CONTEXT:], place.run
    last_word = _NO_ADDRESS.split(place.before)[-1]
    is_in_url = _URL_BEFORE.match(last_word) and not _FIELD_BEFORE.search(last_word)
    if is_in_url or _HEX_BEFORE.search(last_word):
        return []
    after = place.text[place.end : place.end + _CONTEXT]
    extension = _EXTENSION.match(after)
    if not extension and _LATIN.match(after):
        return []
    cards = _find_cards(place, before) if len(run) >= _SHORTEST_CARD else []
    if cards or _MONEY_BEFORE.search(before) or _MONEY_AFTER.match(after):
        return cards
    is_id = any(s.fullmatch(run) and id_.is_valid(run) for s, id_ in _ID_SHAPES)
    if is_id and not is_labelled(before):
        return [("NATIONAL_ID", place.start, place.end)]
    return _find_phones(place, before, after, extension.end() if extension else 0)


def find_named(place: Place) -> list[Finding]:
    """Find a card or a phone that touches the letters before it: `Tel4155552671`."""
    number = _NUMBER.match(place.text, place.end)
    if number is None:
        return []
    before = place.before + place.run
    kinds = set()
    is_plain = _PLAIN_NAME.search(before) and not is_labelled(before)
    if _CARD_NAME.search(before) or (is_plain and _USUAL_CARD.match(place.text, place.end)):
        kinds.add("CREDIT_CARD")
    if not before.endswith("_") and _WORD_BEFORE.search(before[-_CONTEXT:]):
        kinds.add("PHONE")
    rest = replace(place, start=place.end, end=number.end(), before=before)
    return [found for found in find(rest) if found[0] in kinds]


def find_broken_card(place: Place) -> list[Finding]:
    is_card = _BREAK.search(place.run) and _is_card(place.run)
    return [("CREDIT_CARD", place.start, place.end)] if is_card else []


def is_labelled(before: str) -> bool:
    """Tell whether the word before says that this is some other number."""
    return _LABEL_BEFORE.search(before[-_CONTEXT:]) is not None


def _find_cards(place: Place, before: str) -> list[Finding]:
    """Try all stretches of whole groups: a date or a security code may follow the card's number."""
    if place.run.isdigit() and _GOODS_BEFORE.search(before):
        return []
    found: list[Finding] = []
    position = place.start
    while shape := _CARD_SHAPE.search(place.text, position, place.end):
        low, high = shape.span()
        short = low + shape.group().rfind(shape[1]) if shape[1] else low
        taken = next((end for end in (high, short) if _is_card(place.text[low:end])), None)
        if taken is not None:
            found.append(("CREDIT_CARD", low, taken))
        position = low + 1 if taken is None else taken
    return found


def _is_card(run: str) -> bool:
    digits = re.sub(r"\D", "", run)
    return bool(_CARD.fullmatch(digits)) and len(set(digits)) > 1 and luhn.is_valid(digits)


def _find_phones(place: Place, before: str, after: str, extension: int) -> list[Finding]:
    if _is_phone(place.run, before, after, place.regions):
        return [("PHONE", place.start, place.end + extension)]
    if place.run.startswith(("+", "(+", "00")):
        return _find_shorter(place, before)
    found: list[Finding] = []
    start = place.start
    bounds = [match.span() for match in _BETWEEN.finditer(place.text, start, place.end)]
    for low, high in [*bounds, (place.end, place.end)] if bounds else []:
        if _is_phone(place.text[start:low], before, "", place.regions):
            found.append(("PHONE", start, low))
            before = "[PHONE]/"
        start = high
    return found or _report(place, before)


def _find_shorter(place: Place, before: str) -> list[Finding]:
    """Leave out the last groups: another number may follow after a space."""
    run = place.run
    for _ in range(_GROUPS_AFTER):
        run = run.rpartition(" ")[0]
        if run and _is_phone(run, before, "", place.regions):
            return [("PHONE", place.start, place.start + len(run))]
    return []


def _report(place: Place, before: str) -> list[Finding]:
    is_like = _PHONE_SHAPE.fullmatch(place.run) and not _DATE.match(place.run)
    return [(LIKELY, place.start, place.end)] if is_like and not is_labelled(before) else []


def _is_phone(run: str, before: str, after: str, regions: Sequence[str]) -> bool:
    if run.startswith(("+", "(+")):
        return is_international(run)
    digits = sum(mark.isdigit() for mark in run)
    is_long = digits not in _PHONE_DIGITS and not (run.startswith("00") and digits <= 17)
    if is_long or after.startswith(":") or _DATE.match(run) or is_labelled(before):
        return False
    if _WORD_BEFORE.search(before) or _PHONE_BEFORE.search(before) or _WORD_AFTER.match(after):
        return True
    if run.startswith("00"):
        return is_valid_abroad(run) or (len(run) - digits >= 3 and is_international(run))
    if _DECIMAL.fullmatch(run) or (_TWO_GROUPS.fullmatch(run) and _STREET_AFTER.match(after)):
        return False
    return is_national(run, regions)
