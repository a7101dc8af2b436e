"""Ask validation about drafts and write its verdicts on their rows."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence

import msgspec

from config.errors import Problem
from config.json import JSON
from feedback.capture.cleaning import unknown_images
from feedback.capture.drafts import Draft
from feedback.capture.lookups import Correction, Known, SeenInference, Standing, standings
from feedback.capture.rows import bytea
from feedback.models import Status, Task
from feedback.normalise import content_hash
from feedback.validation import HIGH_IMPACT_USERS, Act, judge

STILL_ASKED = {"feedback.sensitive"}
ALONE = Standing(is_contradiction=False, contradicts_golden=False, users=0)


def judge_all(drafts: Sequence[Draft], known: Known) -> None:
    """Write rejections, flags, quality and status on each row, in the order sent."""
    problems = [_shape_problems(draft, known.images) for draft in drafts]
    corrections = [
        draft
        for draft, wrong in zip(drafts, problems, strict=True)
        if draft.row.corrected is not None and not wrong
    ]
    for draft in corrections:
        _measure(draft)
    asked = [draft for draft in corrections if draft.row.corrected_hash and not draft.seen.is_alone]
    found = zip(asked, standings([_question(draft) for draft in asked]), strict=True)
    standing_of = {draft.row.id: standing for draft, standing in found}
    company = Company(known.acts)
    for draft, wrong in zip(drafts, problems, strict=True):
        standing = company.beside(draft, standing_of.get(draft.row.id, ALONE))
        _decide(draft, wrong, standing)
        company.admit(draft)


class Company:
    """What was said before: of the inference by the same person, or earlier in the request."""

    def __init__(self, acts: Mapping[str, str]) -> None:
        self.acts = dict(acts)
        self.said: defaultdict[tuple[int, str], set[tuple[str | None, str]]] = defaultdict(set)

    def beside(self, draft: Draft, standing: Standing) -> Standing:
        row = draft.row
        if draft.act is not None:
            latest = self.acts.get(draft.act.key, "")
            draft.is_repeat = latest.startswith(draft.act.said)
            row.act_hash = draft.act.after(latest)
        others = self.said[row.task_id, row.input_hash] if row.corrected_hash else ()
        differs = any(
            what != row.corrected_hash and (user is None or user != row.user_id)
            for user, what in others
        )
        if not differs:
            return standing
        return msgspec.structs.replace(standing, is_contradiction=True)

    def admit(self, draft: Draft) -> None:
        row = draft.row
        if draft.act is not None and row.act_hash is not None:
            self.acts[draft.act.key] = row.act_hash
        if row.corrected_hash is not None:
            self.said[row.task_id, row.input_hash].add((row.user_id, row.corrected_hash))


def _shape_problems(draft: Draft, known_images: Container[str]) -> list[Problem]:
    row, kind = draft.row, draft.task.kind
    if row.corrected is None:
        return []
    wrong = kind.validate_corrected(
        row.corrected, labels=draft.task.labels, input_=draft.seen.input
    )
    return wrong or unknown_images(draft.task, row.corrected, known_images)


def _measure(draft: Draft) -> None:
    """Write what follows from the correction alone: its size, and the hash of its answer."""
    row, task = draft.row, draft.task
    row.edit_distance = task.kind.edit_distance(row.original, row.corrected)
    row.disagreement = _disagreement(task, draft.seen, row.corrected)
    digest = answer_hash(task, row.original, row.corrected)
    row.corrected_hash = None if digest is None else bytea(digest)


def answer_hash(task: Task, original: JSON, corrected: JSON) -> bytes | None:
    """Return the hash of the answer that a valid correction names, by which answers contradict.

    Who says no more than that the output is wrong names no answer and contradicts nobody.
    """
    answer = task.kind.answer_of(original, corrected)
    if answer is None:
        return None
    if task.kind.has_label_output:  # `US` and `us` are two labels, not two spellings
        return hashlib.sha256(msgspec.json.encode(answer)).digest()
    return content_hash(answer)


def _disagreement(task: Task, seen: SeenInference, corrected: object) -> float | None:
    """Return 1 - the probability that the model gave to the correction, where it can be known."""
    if not task.kind.has_label_output:
        return None
    if seen.probabilities is not None:
        return 1.0 - seen.probabilities.get(str(corrected), 0.0)
    if seen.confidence is not None and len(task.labels) == 2:
        return seen.confidence if corrected != seen.output else 1.0 - seen.confidence
    return None


def _question(draft: Draft) -> Correction:
    row, task = draft.row, draft.task
    share = task.options.thresholds.get("feedback.high_impact", 0.01)
    enough = (
        0 if share is None else max(HIGH_IMPACT_USERS, math.floor(share * task.weekly_users) + 1)
    )
    answer = task.kind.answer_of(row.original, row.corrected)
    return Correction(
        row.task_id, row.input_hash, answer, row.corrected_hash or "", row.user_id, enough
    )


def _decide(draft: Draft, wrong: list[Problem], standing: Standing) -> None:
    row, task = draft.row, draft.task
    verdict = judge(
        Act(
            signal=row.signal,
            input=draft.seen.input,
            output=row.original,
            corrected=row.corrected,
            comment=row.comment,
            modality=task.kind,
            shape_problems=wrong,
            max_characters=task.options.max_characters,
            thresholds=task.options.thresholds,
            is_repeat=draft.is_repeat,
            is_contradiction=standing.is_contradiction,
            contradicts_golden=standing.contradicts_golden,
            served_share=_share(standing.users, task.weekly_users),
            is_change_redacted=draft.is_change_redacted,
            is_sensitive=draft.is_sensitive,
            burst_share=draft.burst_share,
            is_low_trust=draft.is_low_trust,
            edit_distance=row.edit_distance,
            rewrite_distance=task.rewrite_distance,
        )
    )
    row.rejections = [
        {"pointer": p.pointer, "code": p.code, "detail": p.detail} for p in verdict.rejections
    ]
    is_audit = row.source == "audit"  # what flags ask a moderator about, one has answered
    row.flags = [flag for flag in verdict.flags if flag in STILL_ASKED or not is_audit]
    row.quality, row.quality_parts = verdict.quality, verdict.parts
    if verdict.rejections:
        row.status = Status.REJECTED
        row.act_hash = row.corrected_hash = None  # what was refused stands in nobody's way
    else:
        row.status = Status.FLAGGED if row.flags else Status.PENDING


def _share(users: int, of: int) -> float:
    """Return the share of a week's users; 0 for few, and until the week's are counted."""
    return users / max(of, users) if of and users >= HIGH_IMPACT_USERS else 0.0
