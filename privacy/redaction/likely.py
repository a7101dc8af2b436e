"""What is likely personal but has no form to be found by: a person has to look."""

import re

from privacy.redaction.found import LIKELY, Finding, Place, words

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_BIRTH = re.compile(
    r"(?:[\s:,]{1,3}(?:on|is|was|the|date|of)\b){0,3}[\s:,]{1,3}"
    r"(?:\d{1,4}[-./ ]\d{1,2}[-./ ]\d{2,4}|"
    rf"\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH},? \d{{4}}|"
    rf"{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})(?!\d)",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?: (?:number|no|is|code)\b){0,3}[\s:#.]{1,3}(?=[\w-]{0,20}\d)[\w-]{3,20}\b", re.IGNORECASE
)
_HOME = re.compile(
    r"(?:(?: (?:at|to|is|was|in|it)){1,2}[:,]?|:)\s{1,3}\d{1,5}[a-z]? [^\W\d_]{2}", re.IGNORECASE
)
_BOX = re.compile(r" \d{2,6}")
_BY_WORD = [
    (words(["born", "birth", "birthday", "birthdate", "dob"]), _BIRTH),
    (
        words(["live", "lives", "living", "resides?", "address", "shipped", "ship", "deliver"]),
        _HOME,
    ),
    (
        words(["driver'?s? licen[cs]e", "driving licen[cs]e", "bank account", "account number"]),
        _NUMBER,
    ),
    (words(["routing number", "sort code", "cv[vc]2?"]), _NUMBER),
    (words([r"p\.? ?o\.? box"]), _BOX),
]
WORD = "|".join(word for word, _ in _BY_WORD)
_RULES = [(re.compile(word), rest) for word, rest in _BY_WORD]

# A street with its number and, near it, a town with its post code.
STREET = (
    r"\d{1,5}[A-Za-z]? (?:[\w.'-]{1,24} ){1,4}(?i:street|st|avenue|ave|road|rd|lane|ln|drive|dr|"
    r"boulevard|blvd|court|ct|way|place|square|terrace|close|crescent)\b"
    r"[^\d\n]{0,8}(?:[^\W\d_][\w.'-]{1,24}[,\s]{1,3}){1,4}\d{4,6}\b"
)


def find_worded(place: Place) -> list[Finding]:
    is_likely = any(
        word.fullmatch(place.run) and rest.match(place.text, place.end) for word, rest in _RULES
    )
    return find_street(place) if is_likely else []


def find_street(place: Place) -> list[Finding]:
    return [(LIKELY, place.start, place.end)]
