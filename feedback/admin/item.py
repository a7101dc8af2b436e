"""One feedback as a moderator sees it: what is shown, the decision form, what comes next."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery

from config.errors import EmendError
from config.json import JSON
from feedback import claims, review
from feedback.admin import showing
from feedback.admin.correcting import CorrectionForm
from feedback.admin.waiting import Desk
from feedback.admin.words import DONE, REASONS, why
from feedback.errors import TransitionRefused
from feedback.models import (
    Contributor,
    Decision,
    Feedback,
    Review,
    SecondLook,
    Status,
)
from feedback.review.ranking import reason_of_place
from feedback.serializers import weight_document
from feedback.signals import SIGNALS
from privacy.paging import counted

LISTED = 10
DECIDED = ("accept", "edit", "reject", "escalate")
MENDED = ("retry", "discard")  # of what failed
STATE_OF = {
    "accept": "ok",
    "reject": "danger",
    "escalate": "attention",
    "approve": "attention",
    "processed": "ok",
    "rejected": "danger",
    "failed": "danger",
    "trusted": "ok",
    "quarantined": "danger",
}


class DecisionForm(CorrectionForm):
    """All decisions in one form: the button that was pressed says which one is meant."""

    decision = forms.ChoiceField(choices=[(name, name) for name in (*DECIDED, *MENDED)])
    # The newest decision when the page was shown: two moderators must not overwrite each other.
    seen = forms.CharField(required=False, widget=forms.HiddenInput)
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
    is_pinned = forms.BooleanField(
        required=False,
        label="Pin: every later model must get it right",
        label_suffix="",
        widget=forms.CheckboxInput(attrs={"data-key": "p", "data-press": ""}),
    )

    def __init__(self, feedback: Feedback, sent: Mapping[str, Any] | None) -> None:
        self.feedback = feedback
        self.standing = review.standing(feedback)
        # What another moderator said is right, if anybody did.
        self.accepted: JSON = None if self.standing is None else self.standing.corrected
        proposed = feedback.corrected if self.accepted is None else self.accepted
        super().__init__(feedback.task, feedback.original, proposed, sent)
        self.initial["seen"] = newest_decision(feedback)
        self.initial["is_pinned"] = self.standing is not None and self.standing.is_pinned
        self.said = ""  # once it is done
        self.record: int | None = None  # of a decision that may be undone

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        decision = data.get("decision")
        if decision == "reject" and not data.get("ground"):
            self.add_error("ground", "Say why it is rejected.")
        if decision == "reject" and data.get("ground") == "other" and not data.get("note"):
            self.add_error("note", "Say which reason.")
        if decision == "discard" and not data.get("note"):
            self.add_error("note", "Say why it is discarded.")
        return data

    def decide(self, *, by: str) -> bool:
        """Carry the decision out; return False, with the errors on the form, if it is refused."""
        try:
            with transaction.atomic():
                if not Feedback.objects.select_for_update().filter(pk=self.feedback.pk).first():
                    raise TransitionRefused(review.GONE)
                claims.require_free(claims.FEEDBACK, self.feedback.pk, by=by)
                self._check_unseen()
                self._carry_out(by)
        except EmendError as error:
            self.refuse(error)
        return self.is_valid()

    def _check_unseen(self) -> None:
        latest = review.standing(self.feedback)
        if latest is not None and newest_decision(self.feedback) != self.cleaned_data["seen"]:
            raise TransitionRefused(
                f"{latest.moderator} decided this ({latest.decision}) while you looked at it. "
                "Reload the page to see that decision; you may revise it."
            )

    def _carry_out(self, by: str) -> None:
        decision, note = self.cleaned_data["decision"], self.cleaned_data["note"].strip()
        if decision in MENDED:
            if decision == "retry":
                review.retry(self.feedback, by=by)
            else:
                review.discard(self.feedback, by=by, reason=note)
            self.said = DONE[decision]
            return
        made = self._decide(decision, by)
        self.record = made.record
        self.said = DONE["approve" if made.decision == Decision.APPROVE else decision]

    def _decide(self, decision: str, by: str) -> Review:
        data = self.cleaned_data
        note = data["note"].strip()
        if decision == "reject":
            return review.reject(self.feedback, by=by, reason=reason_in_words(data["ground"], note))
        if decision == "escalate":
            return review.escalate(self.feedback, by=by, reason=note)
        return review.accept(
            self.feedback,
            by=by,
            reason=note,
            corrected=data["corrected"] if decision == "edit" else self.accepted,
            is_pinned=data["is_pinned"],
            wait=review.UNDO_AND_WAY,
        )


def reason_in_words(ground: str, note: str) -> str:
    words = "" if ground == "other" else REASONS[ground]
    return ": ".join(part for part in (words, note) if part)


def newest_decision(feedback: Feedback) -> str:
    newest = Review.history.filter(feedback_id=feedback.pk).order_by("-history_id").first()
    return "" if newest is None else str(newest.history_id)


def place_of(feedback: Feedback, desk: Desk) -> dict[str, Any]:
    """Say where in the queue an item is, and why."""
    place, length = desk.place(feedback)
    return {
        "place": counted(place),
        "queue_length": counted(length),
        "place_reason": reason_of_place(feedback),
        "needed": review.approvals_needed(feedback),
        "approvals": list(feedback.approvals.order_by("approved_at")),
        "alike": desk.alike(feedback),
    }


def shown(feedback: Feedback, desk: Desk, standing: Review | None = None) -> dict[str, Any]:
    """Gather what the page shows about a feedback."""
    who = Contributor.objects.filter(task=feedback.task_id, user_id=feedback.user_id).first()
    has_shape = feedback.edit_distance is not None
    changes = feedback.task.kind.diff(feedback.original, feedback.corrected) if has_shape else []
    return {
        "feedback": feedback,
        "standing": standing,
        "standing_state": standing and STATE_OF[standing.decision],
        "state": STATE_OF.get(feedback.status, "info"),
        "why": why(feedback),
        "is_flagged": feedback.status == Status.FLAGGED,
        "is_failed": feedback.status == Status.FAILED,
        "is_decidable": feedback.status in (Status.FLAGGED, Status.PROCESSED, Status.REJECTED),
        **(place_of(feedback, desk) if feedback.status == Status.FLAGGED else {}),
        "redactions": _redactions(feedback),
        "others": _others(feedback)[:LISTED],
        "contributor": who,
        "contributor_state": who and STATE_OF.get(who.standing, "info"),
        "weight": weight_document(feedback, who),
        "is_approval": SIGNALS[feedback.signal].case,
        "sent": _sent(feedback),
        "look": SecondLook.objects.filter(feedback=feedback).exclude(second="").first(),
        "decisions": Review.history.filter(feedback_id=feedback.pk).order_by("-history_id"),
        **showing.of(feedback.inference, feedback.original, feedback.corrected, changes=changes),
    }


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
