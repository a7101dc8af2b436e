"""One feedback as a moderator sees it: what is shown, the decision form, what comes next."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.utils.http import urlencode

from config.errors import EmendError, Problem
from config.json import Malformed, loads
from feedback import review
from feedback.admin.words import REASONS, as_text, sides, why
from feedback.errors import TransitionRefused
from feedback.models import TRANSITIONS, Contributor, Decision, Feedback, Review, Status
from feedback.serializers import weight_document
from feedback.signals import SIGNALS

LISTED = 10
STATE_OF = {
    "accept": "ok",
    "reject": "danger",
    "escalate": "attention",
    "processed": "ok",
    "rejected": "danger",
    "failed": "danger",
    "trusted": "ok",
    "quarantined": "danger",
}
FIELD_OF = {"/corrected": "corrected", "/reason": "ground"}


class DecisionForm(forms.Form):
    """All decisions in one form: the button that was pressed says which one is meant."""

    decision = forms.ChoiceField(
        choices=[(name, name) for name in ("accept", "edit", "reject", "escalate", "retry")]
    )
    # The newest decision when the page was shown: two moderators must not overwrite each other.
    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    corrected = forms.ChoiceField(
        required=False,
        label="What is right",
        widget=forms.Select(attrs={"data-key": "e", "data-enter": "edit"}),
    )
    # The numbers are keys: typed in the open field they choose the reason.
    ground = forms.ChoiceField(
        required=False,
        label="Reason",
        widget=forms.Select(attrs={"data-key": "r", "data-enter": "reject"}),
        choices=[
            ("", "Choose a reason"),
            *((name, f"{n} {words}") for n, (name, words) in enumerate(REASONS.items(), start=1)),
        ],
    )
    note = forms.CharField(
        required=False,
        max_length=400,
        label="Note",
        help_text="Kept with the decision; after a rejection the contributor may read it.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    is_pinned = forms.BooleanField(
        required=False, label="Pin: every later model must get it right", label_suffix=""
    )

    def __init__(self, feedback: Feedback, sent: Mapping[str, Any] | None) -> None:
        super().__init__(sent, initial={"seen": newest_decision(feedback)})
        self.feedback = feedback
        if feedback.task.kind.has_label_output:
            labels = [(label, label) for label in feedback.task.labels]
            self.fields["corrected"].choices = [("", "Choose a label"), *labels]  # type: ignore[attr-defined]
        else:
            self.fields["corrected"] = _written(feedback)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        decision = data.get("decision")
        if decision == "edit":
            self._read_corrected(data)
        if decision == "reject" and not data.get("ground"):
            self.add_error("ground", "Say why it is rejected.")
        if decision == "reject" and data.get("ground") == "other" and not data.get("note"):
            self.add_error("note", "Say which reason.")
        return data

    def _read_corrected(self, data: dict[str, Any]) -> None:
        data["corrected"] = data.get("corrected", "").replace("\r\n", "\n")  # as browsers send it
        if not data["corrected"]:
            self.add_error("corrected", "Choose what is right.")
        elif not isinstance(self.feedback.original, str):
            try:
                data["corrected"] = loads(data["corrected"].encode())
            except Malformed as error:
                self.add_error("corrected", f"Not an object as it was: {error.detail}")

    def decide(self, *, by: str) -> bool:
        """Carry the decision out; return False, with the errors on the form, if it is refused."""
        try:
            with transaction.atomic():
                Feedback.objects.select_for_update().get(pk=self.feedback.pk)
                self._check_unseen()
                self._carry_out(by)
        except EmendError as error:
            for problem in error.errors or [Problem("", error.code, error.detail)]:
                self.add_error(FIELD_OF.get(problem.pointer), problem.detail)
        return self.is_valid()

    def focus_first_error(self) -> None:
        """Let the page open at the field that needs another look."""
        wrong = [name for name in self.fields if name in self.errors]
        for name in wrong[:1]:
            self.fields[name].widget.attrs["autofocus"] = True

    def _check_unseen(self) -> None:
        latest = Review.objects.filter(feedback=self.feedback).first()
        if latest is not None and newest_decision(self.feedback) != self.cleaned_data["seen"]:
            raise TransitionRefused(
                f"{latest.moderator} decided this ({latest.decision}) while you looked at it. "
                "Reload the page to see that decision; you may revise it."
            )

    def _carry_out(self, by: str) -> None:
        data = self.cleaned_data
        note = data["note"].strip()
        if data["decision"] == "reject":
            ground = "" if data["ground"] == "other" else REASONS[data["ground"]]
            reason = ": ".join(part for part in (ground, note) if part)
            review.reject(self.feedback, by=by, reason=reason)
        elif data["decision"] == "escalate":
            review.escalate(self.feedback, by=by, reason=note)
        elif data["decision"] == "retry":
            review.retry(self.feedback, by=by)
        else:
            corrected = data["corrected"] if data["decision"] == "edit" else None
            pin = data["is_pinned"]
            review.accept(self.feedback, by=by, reason=note, corrected=corrected, is_pinned=pin)


def _written(feedback: Feedback) -> forms.CharField:
    """Return the field of a correction that is no label: the person's, to be mended."""
    proposed = feedback.original if feedback.corrected is None else feedback.corrected
    widget = forms.Textarea(attrs={"rows": 4, "data-key": "e", "dir": "auto"})
    field = forms.CharField(required=False, strip=False, label="What is right", widget=widget)
    field.initial = as_text(proposed)
    return field


def newest_decision(feedback: Feedback) -> str:
    newest = Review.history.filter(feedback_id=feedback.pk).order_by("-history_id").first()
    return "" if newest is None else str(newest.history_id)


def narrowed(rows: QuerySet[Any], params: Mapping[str, Any]) -> QuerySet[Any]:
    """Keep the rows that the queue's filters in an address ask for."""
    task, signal, flag = (params.get(name) or "" for name in ("task", "signal", "flag"))
    if task.isdecimal():
        rows = rows.filter(task=task)
    if signal.isidentifier():
        rows = rows.filter(signal=signal)
    return rows.filter(flags__contains=[flag]) if flag.isprintable() and flag else rows


def kept(params: Mapping[str, Any]) -> str:
    """Return the queue's filters as the end of an address, so that they outlive a decision."""
    found = {name: params[name] for name in ("task", "signal", "flag") if params.get(name)}
    return f"?{urlencode(found)}" if found else ""


def queue(params: Mapping[str, Any]) -> QuerySet[Any]:
    """Return what waits for a decision, in the order of the queue."""
    return narrowed(Feedback.objects.flagged(), params).order_by("created_at", "number")


def next_in_queue(feedback: Feedback, params: Mapping[str, Any], *, by: str) -> Feedback | None:
    """Return what to decide after this: the next in order, at the end the first again.

    What this moderator escalated is for somebody else.
    """
    own = Q(review__decision=Decision.ESCALATE, review__moderator=by)
    waiting = queue(params).exclude(pk=feedback.pk).exclude(own)
    following: Feedback | None = waiting.filter(_is_after(feedback)).first() or waiting.first()
    return following


def _is_after(feedback: Feedback) -> Q:
    same_moment = Q(created_at=feedback.created_at, number__gt=feedback.number)
    return Q(created_at__gt=feedback.created_at) | same_moment


def shown(feedback: Feedback, params: Mapping[str, Any]) -> dict[str, Any]:
    """Gather what the page shows about a feedback."""
    standing = Review.objects.filter(feedback=feedback).first()
    waiting = queue(params)
    who = Contributor.objects.filter(task=feedback.task_id, user_id=feedback.user_id).first()
    has_shape = feedback.edit_distance is not None
    changes = feedback.task.kind.diff(feedback.original, feedback.corrected) if has_shape else []
    # Not what an erasure has emptied.
    is_text = feedback.task.modality == "text" and feedback.original is not None
    return {
        "feedback": feedback,
        "inference": feedback.inference,
        "task": feedback.task,
        "standing": standing,
        "standing_state": standing and STATE_OF[standing.decision],
        "state": STATE_OF.get(feedback.status, "info"),
        "confidence": _percent(feedback.inference.confidence),
        "changes": changes,
        "sides": sides(feedback.original, changes) if is_text else (),
        "difference_template": f"emend/review/{feedback.task.modality}.html",
        "is_changed": feedback.corrected is not None and feedback.corrected != feedback.original,
        "why": why(feedback),
        "is_flagged": feedback.status == Status.FLAGGED,
        "is_failed": feedback.status == Status.FAILED,
        "is_decidable": feedback.status == Status.FLAGGED
        or Status.FLAGGED in TRANSITIONS.get(feedback.status, frozenset()),
        "place": waiting.exclude(_is_after(feedback)).count(),
        "queue_length": waiting.count(),
        "redactions": _redactions(feedback),
        "others": _others(feedback)[:LISTED],
        "contributor": who,
        "contributor_state": who and STATE_OF.get(who.standing, "info"),
        "weight": weight_document(feedback, who),
        "is_approval": SIGNALS[feedback.signal].case,
        "sent": _sent(feedback),
        "decisions": Review.history.filter(feedback_id=feedback.pk).order_by("-history_id"),
    }


def _percent(confidence: float | None) -> str:
    return "" if confidence is None else f"{confidence:.0%}"


def _redactions(feedback: Feedback) -> list[tuple[str, int]]:
    found = Counter(feedback.inference.redactions) + Counter(feedback.redactions)
    return sorted(found.items())


def _others(feedback: Feedback) -> QuerySet[Any]:
    """Return what other acts said of the same input, and how their people stand, newest first."""
    people = Contributor.objects.filter(task=OuterRef("task"), user_id=OuterRef("user_id"))
    same = Feedback.objects.filter(task=feedback.task, input_hash=feedback.input_hash)
    if not feedback.input_hash:  # an erasure has emptied it
        same = same.none()
    others: QuerySet[Any] = same.annotate(standing=Subquery(people.values("standing")))
    return others.exclude(pk=feedback.pk).order_by("-created_at")


def _sent(feedback: Feedback) -> list[tuple[str, int]]:
    """Count what became of all that this contributor sent; empty for one without a name."""
    if feedback.user_id is None:
        return []
    own = Feedback.objects.filter(project=feedback.project_id, user_id=feedback.user_id)
    return list(own.values_list("status").annotate(n=Count("pk")).order_by("status"))
