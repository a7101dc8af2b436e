"""Take personal data out of text and JSON before the first write. Pure: values in, copies out."""

import re
import sys
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from config.json import JSON
from privacy.redaction.found import LIKELY, Finding, Place
from privacy.redaction.rules import Plan, Rules, check_rules, plan
from privacy.redaction.secrets import is_named_secret, is_secret_name
from privacy.redaction.walk import walk

__all__ = ["Redacted", "Rules", "check_rules", "redact"]

DEFAULT = Rules()
# How many characters before a candidate may speak for or against it.
_CONTEXT = 200
_MAX_KEY = 64
_KEY_BREAK = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\-.]+")
# A UUID as rules read it: nothing by itself, and still a secret beside a word for one.
_NO_UUID = "xxxxxxxx-xxxx-xxxx-xxxx-0xxxxxxxxxxx"
# Whole numbers with fewer digits are no personal data, except under a key for a secret.
_SHORT_NUMBER = 10**6
# Other scripts' digits, full-width marks, dashes and spaces, read as ASCII, one for one.
_PLAIN_MARKS: dict[int, str | int] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(range(0x2010, 0x2014), "-"),
    **dict.fromkeys([0xA0, 0x2007, 0x2009, 0x202F, 0x3000], " "),
    **{
        code: str(unicodedata.digit(chr(code)))
        for code in range(128, sys.maxunicode)
        if chr(code).isdecimal()
    },
}


class Redacted(NamedTuple):
    value: JSON
    # Findings by type.
    counts: dict[str, int]
    # A secret was found, or personal data remains likely.
    is_sensitive: bool


def redact(value: JSON, rules: Rules = DEFAULT) -> Redacted:
    """Copy a JSON value with `[EMAIL]` and the like in place of findings, and count them.

    Texts, keys and whole numbers are covered; a key speaks for its value. Redacting the result
    again changes nothing.
    """
    run = _Run(plan(rules))
    clean = walk(value, run.rewrite)
    while rules.patterns and run.match_own(clean):
        run.is_likely = False
        clean = walk(clean, run.rewrite)
    return Redacted(clean, run.counts, run.is_likely or "SECRET" in run.counts)


class _Run:
    """One call: what it found so far."""

    def __init__(self, plan_: Plan) -> None:
        self.plan = plan_
        self.counts: dict[str, int] = {}
        self.is_likely = False
        self.own: dict[str, str] = {}

    def match_own(self, value: JSON) -> bool:
        """Ask the operator's patterns what is to stand in the place of which text."""
        texts: list[str] = []

        def collect(text: str | int, _: str) -> str | int:
            texts.append(str(text))
            return text

        walk(value, collect)
        replaced = self.plan.replace_own(texts, self.counts)
        self.own = {old: new for old, new in zip(texts, replaced, strict=True) if old != new}
        return bool(self.own)

    def rewrite(self, value: str | int, key: str) -> str | int:
        context, is_secret_key = _read_key(key) if key else ("", False)
        if isinstance(value, str):
            return self._rewrite_text(value, context, is_secret_key=is_secret_key)
        if -_SHORT_NUMBER < value < _SHORT_NUMBER and not is_secret_key:
            return value
        text = self._rewrite_text(str(value), context, is_secret_key=is_secret_key)
        return value if text == str(value) else text

    def _rewrite_text(self, text: str, context: str, *, is_secret_key: bool) -> str:
        text = self.own.get(text, text)
        if is_secret_key and "SECRET" in self.plan.kinds and is_named_secret(text, context):
            self.counts["SECRET"] = self.counts.get("SECRET", 0) + 1
            return "[SECRET]"
        # A placeholder changes what stands beside the next candidate: look until all is done.
        possible, terms = self.plan.possible, self.plan.terms
        while possible.search(text) or (terms and terms.search(text)):
            redacted, is_likely = self._scan(text, context)
            if redacted == text:
                self.is_likely |= is_likely
                break
            text = redacted
        return text

    def _scan(self, text: str, context: str) -> tuple[str, bool]:
        """Redact a text once; say too whether something in it looked personal and stays.

        All that stands before a candidate is seen as it reads redacted: a chain of findings, each
        of which lays the next one bare, is done in one pass.
        """
        # `plain` is the rest of the text as rules read it; its first mark is number `offset` of the
        # text. Up to `kept` it is done.
        plain = context + (text if text.isascii() else text.translate(_PLAIN_MARKS))
        if plain.count("-") >= _NO_UUID.count("-"):
            plain = self.plan.uuid.sub(_NO_UUID, plain)
        offset, kept, seen, position = -len(context), len(context), 0, 0
        pieces, left, is_likely = [], "", False
        while match := self.plan.anchor.search(plain, position):
            before = (left + plain[max(0, match.start() - _CONTEXT) : match.start()])[-_CONTEXT:]
            position, findings = self._judge(match, plain, before)
            for kind, low, high in findings:
                is_likely |= kind == LIKELY
                if kind == LIKELY or low < kept:
                    continue
                pieces += [text[offset + kept : offset + low], f"[{kind}]"]
                left = f"{left}{plain[max(seen, low - _CONTEXT) : low]}[{kind}]"[-_CONTEXT:]
                self.counts[kind] = self.counts.get(kind, 0) + 1
                kept = seen = high
            if seen:
                plain, offset, position = plain[seen:], offset + seen, max(position - seen, 0)
                kept = seen = 0
        return "".join([*pieces, text[offset + kept :]]), is_likely

    def _judge(self, match: re.Match[str], plain: str, before: str) -> tuple[int, list[Finding]]:
        """Ask the rule whose anchor matched, then those after it at the same place."""
        start, end = match.span()
        for name, anchor, find in self.plan.rules_from.get(match.lastgroup, []):
            again = match if name == match.lastgroup else anchor.match(plain, start)
            if again is None:
                continue
            end = max(end, again.end())
            place = Place(plain, start, again.end(), before, self.plan.rules.regions)
            findings = [found for found in find(place) if found[0] in self.plan.kinds]
            if findings:
                return again.end(), findings
        return end, []


@lru_cache(maxsize=4096)
def _read_key(key: str) -> tuple[str, bool]:
    """Return a key as the words before its value, and whether they name a secret."""
    # What a placeholder is called says nothing about the value.
    name = _KEY_BREAK.sub(" ", key.rpartition("]")[2][-_MAX_KEY:]).translate(_PLAIN_MARKS)
    return f"{name}: ", is_secret_name(name)
