"""Judge one act by pure rules: what refuses it, what a person should look at, how good it is."""

import html
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from config.errors import Problem
from config.json import JSON
from feedback.modalities.base import Modality
from feedback.signals import SIGNALS


@dataclass(frozen=True, kw_only=True)
class Act:
    """One feedback as the rules see it, redacted. None is an absent `corrected`."""

    signal: str
    input: JSON
    output: JSON
    corrected: JSON = None
    comment: str = ""
    modality: Modality
    labels: tuple[str, ...] = ()
    max_chars: int
    # What only the database or the text before redaction can tell.
    is_repeat: bool = False
    is_contradiction: bool = False
    is_change_redacted: bool = False


@dataclass(frozen=True)
class Verdict:
    """Rejections refuse the act; flags ask for a person; `quality` is the product of `parts`."""

    rejections: list[Problem]
    flags: list[str]
    parts: dict[str, float]

    @property
    def quality(self) -> float:
        return math.prod(self.parts.values())


def judge(act: Act) -> Verdict:
    """Hold an act against all rules."""
    rejections = [
        Problem(problem.pointer, code, problem.detail)
        for code, rule in REJECTIONS.items()
        for problem in rule(act)
    ]
    flags = [code for code, is_met in FLAGS.items() if is_met(act)]
    is_bare = _is_missing(act.corrected) and not SIGNALS[act.signal].case
    parts = {
        "valid": 0.0 if rejections else 1.0,
        "signal": SIGNALS[act.signal].weight,
        # Without saying what was right, an act teaches half at most.
        "answer": 0.5 if is_bare else 1.0,
        "unflagged": 0.5 ** len(flags),
    }
    return Verdict(rejections, flags, parts)


def _find_no_change(act: Act) -> Iterator[Problem]:
    if _is_missing(act.corrected) or act.corrected != act.output:
        return
    detail = "`corrected` equals the output."
    if act.is_change_redacted:
        detail = "`corrected` differs from the output in personal data only, which is not kept."
    yield Problem("/corrected", "", detail)


def _find_empty(act: Act) -> Iterator[Problem]:
    is_needed = SIGNALS[act.signal].corrected == "needed"
    if _is_missing(act.corrected) and (is_needed or act.corrected is not None):
        yield Problem("/corrected", "", "A correction without content.")


def _find_schema_mismatch(act: Act) -> Iterator[Problem]:
    if _is_missing(act.corrected):
        return
    if SIGNALS[act.signal].corrected == "refused":
        yield Problem("/corrected", "", f"The signal `{act.signal}` takes no `corrected`.")
        return
    for problem in act.modality.validate_output(act.corrected, labels=act.labels):
        yield replace(problem, pointer="/corrected" + problem.pointer)


def _find_too_long(act: Act) -> Iterator[Problem]:
    for pointer, value in (("/corrected", act.corrected), ("/comment", act.comment)):
        if sum(map(len, _texts(value))) > act.max_chars:
            yield Problem(pointer, "", f"Longer than {act.max_chars} characters.")


def _find_duplicate(act: Act) -> Iterator[Problem]:
    if act.is_repeat:
        yield Problem("", "", "This contributor said the same of this inference already.")


def _has_no_fix(act: Act) -> bool:
    return act.signal == "down" and act.corrected is None


def _has_markup(act: Act) -> bool:
    """Look for all markup in what the contributor wrote; an input may be marked up, not active."""
    own = [html.unescape(text) for text in (*_texts(act.corrected), act.comment)]
    given = [html.unescape(text) for text in _texts(act.input)]
    return any(map(_TAG.search, own)) or any(map(_ACTIVE.search, (*own, *given)))


def _is_contradiction(act: Act) -> bool:
    return act.is_contradiction


REJECTIONS: dict[str, Callable[[Act], Iterator[Problem]]] = {
    "feedback.no_change": _find_no_change,
    "feedback.empty": _find_empty,
    "feedback.schema_mismatch": _find_schema_mismatch,
    "feedback.too_long": _find_too_long,
    "feedback.duplicate": _find_duplicate,
}

FLAGS: dict[str, Callable[[Act], bool]] = {
    "feedback.no_fix": _has_no_fix,
    "feedback.markup": _has_markup,
    "feedback.contradiction": _is_contradiction,
}

# Known names only: `<3`, `a < b` and placeholders such as `<name>` are no markup.
_TAG = re.compile(
    r"<[!?](?:--|doctype|xml|\[)|</?(?:a|abbr|article|aside|audio|b|big|blink|blockquote|body|br|"
    r"button|canvas|center|code|dd|details|dialog|div|dl|dt|em|fieldset|figure|font|footer|"
    r"frameset|h[1-6]|head|header|hr|html|i|img|input|ins|isindex|kbd|label|li|main|map|mark|"
    r"marquee|nav|noscript|ol|option|p|picture|plaintext|pre|q|s|section|select|small|source|span|"
    r"strike|strong|sub|summary|sup|table|tbody|td|textarea|tfoot|th|thead|tr|track|tt|u|ul|var|"
    r"video|wbr|xmp)(?=[\s/>])",
    re.IGNORECASE,
)
_ACTIVE = re.compile(
    r"</?(?:script|iframe|frame|object|embed|applet|svg|math|meta|link|base|form|style|template)"
    r"(?=[\s/>]|$)"
    r"|(?:j\s*a\s*v\s*a|v\s*b)\s*s\s*c\s*r\s*i\s*p\s*t\s*:"
    r"|data\s*:\s*text/html|\bsrcdoc\s*=|\bexpression\s*\("
    r"|[\s\"'/<]on(?:abort|activate|after|animation|auxclick|before|begin|blur|bounce|cancel|canplay|change|"
    r"click|close|content|context|copy|cue|cut|dblclick|drag|drop|duration|emptied|end|error|finish|"
    r"focus|form|fullscreen|gesture|got|hash|input|invalid|key|load|lost|message|mouse|mozfull|"
    r"page|paste|pause|play|pointer|popstate|progress|ratechange|readystate|repeat|reset|resize|"
    r"scroll|search|security|seek|select|show|start|stalled|storage|submit|suspend|time|toggle|"
    r"touch|transition|unhandled|unload|volume|waiting|webkit|wheel)[a-z]{0,24}\s*="
    r"|\{\{[^{}]{0,400}\}\}|\{%[^{}]{0,400}%\}|<%|\$\{[^{}]{0,400}\}",
    re.IGNORECASE,
)


def _is_missing(value: JSON) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], {})


def _texts(value: JSON) -> list[str]:
    """Collect all strings of a value that config.json admitted (32 levels at most)."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for child in value.values() for text in _texts(child)]
    if isinstance(value, list):
        return [text for child in value for text in _texts(child)]
    return []
