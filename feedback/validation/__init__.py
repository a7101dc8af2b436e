"""Judge one act by pure rules: what refuses it, what a person should look at, how good it is."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from config.errors import Problem
from config.json import JSON
from feedback.modalities.base import Modality
from feedback.signals import SIGNALS
from feedback.validation import abuse, gibberish, injection, markup
from feedback.validation.plain import unmask

HIGH_IMPACT_USERS = 3  # fewer are no share of anything
FINE_EDIT = 0.02  # below this distance output and correction make no preference pair


@dataclass(frozen=True, kw_only=True)
class Act:
    """One feedback as the rules see it, redacted. None is an absent `corrected`."""

    signal: str
    input: JSON
    output: JSON
    corrected: JSON = None
    comment: str = ""
    modality: Modality
    shape_problems: Sequence[Problem] = ()  # of `corrected`, pointers relative to it
    max_characters: int
    # What the task sets: a number in place of a rule's own, None to switch a flag off.
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    # What only the database or a step before can tell.
    is_repeat: bool = False
    is_contradiction: bool = False
    is_change_redacted: bool = False
    is_sensitive: bool = False
    is_low_trust: bool = False
    contradicts_golden: bool = False
    burst_share: float = 0.0  # of a limit of the contributor, the session or the address
    served_share: float = 0.0  # of a week's users; 0 for fewer than HIGH_IMPACT_USERS
    edit_distance: float | None = None  # from 0 to 1; None where nothing was corrected
    rewrite_distance: float | None = None  # the task's 99.5th percentile, None until it is known


@dataclass(frozen=True)
class Verdict:
    """Rejections refuse the act; flags ask for a person; `quality` is the product of `parts`."""

    rejections: list[Problem]
    flags: list[str]
    parts: dict[str, float]

    @property
    def quality(self) -> float:
        return math.prod(self.parts.values())


class Texts(NamedTuple):
    """The texts of an act, read once for all rules."""

    corrected: list[str]  # what was written, without names and labels of parts
    given: list[str]  # input and output: what stands here was not brought by this person
    known: list[str]  # the same, but for an output that is approved
    input: str
    own: str  # what is learnt and the comment, like the input without disguise
    folded: str
    words: set[str]


Places: TypeAlias = Iterable[tuple[str, str]]  # pointer, detail ("": the rule's message)
Found = TypeVar("Found", Places, bool)


@dataclass(frozen=True)
class Rule(Generic[Found]):
    """A reason to refuse, or to ask a person, in words for them.

    `threshold` is None where there is no number to set, else up to `most`; `doubt` is a flag's
    factor on quality.
    """

    find: Callable[[Act, Texts, float], Found]
    message: str
    threshold: float | None = None
    doubt: float = 0.5
    most: float = 1.0


def judge(act: Act) -> Verdict:
    """Hold an act against all rules."""
    texts = _read(act)
    rejections = []
    for code, rule in REJECTIONS.items():
        limit = act.thresholds.get(code) or rule.threshold or 0.0
        for pointer, detail in rule.find(act, texts, limit):
            rejections.append(Problem(pointer, code, detail or rule.message))
    flags = []
    for code, flag in FLAGS.items():
        at = act.thresholds.get(code, flag.threshold or 0.0)
        if at is not None and flag.find(act, texts, at):
            flags.append(code)
    return Verdict(rejections, flags, _parts(act, is_valid=not rejections, flags=flags))


def check_thresholds(thresholds: Mapping[str, float | None]) -> list[Problem]:
    """Judge what a task sets; pointers begin at `/thresholds`."""
    problems = []
    for code, number in thresholds.items():
        is_off = number is None and code in FLAGS
        most = (REJECTIONS | FLAGS)[code].most if code in DEFAULT_THRESHOLDS else 0.0
        if not is_off and not (number is not None and 0 < number <= most):
            pointer = "/thresholds/" + code.replace("~", "~0").replace("/", "~1")
            detail = "A number above 0 where the rule has one, or null for a flag."
            detail += f" At most {most:,.0f}." if most else ""
            problems.append(Problem(pointer, "feedback.invalid_threshold", detail))
    return problems


def edit_quality(distance: float) -> float:
    """Return from 0.5 to 1 how much a change teaches: a comma moved less than a sentence mended."""
    return min(1.0, 0.5 + 0.5 * distance / FINE_EDIT)


def _parts(act: Act, *, is_valid: bool, flags: list[str]) -> dict[str, float]:
    is_bare = _is_missing(act.corrected) and not SIGNALS[act.signal].case
    distance = 1.0 if act.edit_distance is None else act.edit_distance
    return {
        "valid": 1.0 if is_valid else 0.0,
        "signal": SIGNALS[act.signal].weight,
        # Without saying what was right, an act teaches half at most; less without saying why.
        "answer": 0.5 if is_bare else 1.0,
        "reason": 0.8 if is_bare and not act.comment.strip() else 1.0,
        "edit": edit_quality(distance),
        "unflagged": math.prod((FLAGS[code].doubt for code in flags), start=1.0),
    }


def _read(act: Act) -> Texts:
    # A label comes from the task's own list, or the shape is wrong.
    is_label = act.modality.has_label_output
    brought = [] if is_label else _strings(act.corrected)
    asked, answered = _strings(act.input), _strings(act.output)
    # What somebody approves is learnt as if they had written it.
    approved = answered if SIGNALS[act.signal].case and not is_label else []
    given = asked + answered
    own = unmask("\n".join([*brought, *approved, act.comment]))
    folded = own.casefold()
    known = asked if approved else given
    words = abuse.words_of(folded)
    corrected = act.modality.written(act.corrected)
    return Texts(corrected, given, known, unmask("\n".join(asked)), own, folded, words)


def _find_no_change(act: Act, _: Texts, __: float) -> Places:
    is_wrong = _is_missing(act.corrected) or act.shape_problems
    if is_wrong or not act.modality.is_same(act.input, act.output, act.corrected):
        return
    detail = "`corrected` differs from the output in personal data only, which is not kept."
    yield "/corrected", detail if act.is_change_redacted else ""


def _find_empty(act: Act, _: Texts, __: float) -> Places:
    is_needed = SIGNALS[act.signal].corrected == "needed"
    if _is_missing(act.corrected) and (is_needed or act.corrected is not None):
        yield "/corrected", ""


def _find_mismatch(act: Act, _: Texts, __: float) -> Places:
    if _is_missing(act.corrected):
        return
    if SIGNALS[act.signal].corrected == "refused":
        yield "/corrected", f"The signal `{act.signal}` takes no `corrected`."
        return
    for problem in act.shape_problems:
        yield "/corrected" + problem.pointer, problem.detail


def _find_gibberish(act: Act, texts: Texts, at: float) -> Places:
    for pointer, written in (("/corrected", texts.corrected), ("/comment", [act.comment])):
        if any(0 < gibberish.share(text, texts.given) >= at for text in written):
            yield pointer, ""


def _find_too_long(act: Act, texts: Texts, __: float) -> Places:
    for pointer, written in (("/corrected", texts.corrected), ("/comment", [act.comment])):
        if sum(map(len, written)) > act.max_characters:
            yield pointer, f"Longer than {act.max_characters:,} characters."


def _find_duplicate(act: Act, _: Texts, __: float) -> Places:
    if act.is_repeat:
        yield "", ""


def _has_markup(_: Act, texts: Texts, at: float) -> bool:
    """Look for all markup in what would be learnt; an input may be marked up, not active."""
    return markup.is_active(texts.input) or 0 < markup.weigh(texts.own) >= at


def _is_rewrite(act: Act, texts: Texts, at: float) -> bool:
    if act.edit_distance is None or act.rewrite_distance is None:
        return False
    return act.edit_distance > act.rewrite_distance and sum(map(len, texts.corrected)) > at


def _has_no_fix(act: Act, _: Texts, __: float) -> bool:
    return act.signal == "down" and act.corrected is None


def _instructs(_: Act, texts: Texts, at: float) -> bool:
    return 0 < injection.weigh(texts.folded, texts.words) >= at


def _abuses(_: Act, texts: Texts, at: float) -> bool:
    return 0 < abuse.weigh(texts.folded, texts.words, texts.known) >= at


def _contradicts(act: Act, _: Texts, __: float) -> bool:
    return act.is_contradiction


def _has_impact(act: Act, _: Texts, at: float) -> bool:
    return act.contradicts_golden or act.served_share > at


def _is_burst(act: Act, _: Texts, at: float) -> bool:
    return act.burst_share > at


def _is_sensitive(act: Act, _: Texts, __: float) -> bool:
    return act.is_sensitive


def _has_low_trust(act: Act, _: Texts, __: float) -> bool:
    return act.is_low_trust


# Contract 4. After the message stand the threshold and, for flags, the doubt; what the threshold
# counts is in the comment.
REJECTIONS: dict[str, Rule[Places]] = {
    "feedback.no_change": Rule(_find_no_change, "`corrected` equals the output."),
    "feedback.empty": Rule(_find_empty, "A correction without content."),
    "feedback.schema_mismatch": Rule(_find_mismatch, "`corrected` is no output of the task."),
    # Share of the characters brought that are no language.
    "feedback.gibberish": Rule(_find_gibberish, "Not language.", 0.5),
    "feedback.too_long": Rule(_find_too_long, "Longer than the task's `max_characters`."),
    "feedback.duplicate": Rule(_find_duplicate, "What this person said last of this inference."),
}
FLAGS: dict[str, Rule[bool]] = {
    # Its doubt is the part `answer` of the quality.
    "feedback.no_fix": Rule(_has_no_fix, "A thumbs down that does not say what is right", None, 1),
    # 0.5: any markup; 1: what would run.
    "feedback.markup": Rule(_has_markup, "Contains markup or a script", markup.ANY),
    # 0.5: orders about an answer too; 1: attempts to take a model over.
    "feedback.prompt_injection": Rule(_instructs, "Instructions to a model", injection.BENDS),
    # 0.5: insults too; 0.75: threats and slurs; 1: slurs.
    "feedback.abusive": Rule(_abuses, "Insults or threatens people", abuse.INSULT),
    # Characters of which a correction must have more.
    "feedback.rewrite": Rule(
        _is_rewrite, "Changes more than nearly all corrections do", 80, most=65_536
    ),
    "feedback.contradiction": Rule(_contradicts, "Someone else corrected the input differently"),
    # Share of a week's users; it says who is concerned, not how good the act is.
    "feedback.high_impact": Rule(_has_impact, "Many saw it, or a golden case differs", 0.01, 1),
    # Share of a burst or rate limit that its contributor, session or address has used.
    "feedback.burst": Rule(_is_burst, "Much in a short time from one person or address", 0.5),
    "feedback.low_trust": Rule(_has_low_trust, "From a contributor in quarantine", None, 1),
    "feedback.sensitive": Rule(_is_sensitive, "Personal data or a secret may remain", None, 1),
}
# What a task's own thresholds are merged into; None there means off, so rules without are absent.
DEFAULT_THRESHOLDS = {
    code: rule.threshold for code, rule in (REJECTIONS | FLAGS).items() if rule.threshold
}


def _is_missing(value: JSON) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], {})


def _strings(value: JSON) -> list[str]:
    """Collect all strings of a value that config.json admitted (32 levels at most)."""
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value
    if isinstance(children, int | float | None):
        return []
    return [text for child in children for text in _strings(child)]
