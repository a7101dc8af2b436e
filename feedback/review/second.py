"""A second look at a random few of the verdicts, blind to the first: how far moderators agree."""

from secrets import SystemRandom

from django.db import transaction
from django.db.models.functions import Now

from feedback.errors import TransitionRefused
from feedback.models import Decision, Feedback, SecondLook

chance = SystemRandom().random


def draw(feedback: Feedback, decision: Decision, by: str) -> None:
    """Put a verdict before another moderator, as often as its task asks for."""
    is_verdict = decision in (Decision.ACCEPT, Decision.REJECT)
    if is_verdict and chance() < feedback.task.options.second_looks:
        look = SecondLook(feedback=feedback, first=by, is_first_yes=decision == Decision.ACCEPT)
        # Nobody judges anything a third time.
        SecondLook.objects.bulk_create([look], ignore_conflicts=True)


@transaction.atomic
def judge(look: SecondLook, *, by: str, is_yes: bool) -> None:
    """Store what another moderator says; nothing else changes.

    Raises TransitionRefused where it is judged, waits no more, or `by` had a part in the verdict.
    """
    waiting = SecondLook.objects.waiting_for(by).filter(pk=look.pk)
    if not waiting.update(second=by, is_second_yes=is_yes, judged_at=Now()):
        raise TransitionRefused("This waits for no second look of yours any more.")
    look.refresh_from_db()


def undo(look: SecondLook, *, by: str) -> None:
    """Take back what one has just said; raise TransitionRefused for what somebody else said."""
    own = SecondLook.objects.filter(pk=look.pk, second=by)
    if not own.update(second="", is_second_yes=None, judged_at=None):
        raise TransitionRefused("There is nothing of yours to undo.")
