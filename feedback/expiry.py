"""What of feedback goes when it was kept long enough, and how rows go with all that hangs on them.

Which content is over only datasets know: `training.expiry` has the rules for that.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.db import connection
from django.db.models import CharField, Exists, Model, OuterRef, Q
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from feedback.modalities import MODALITIES
from feedback.models import (
    Approval,
    Contributor,
    DeadLetter,
    Example,
    Feedback,
    Image,
    Inference,
    Review,
    SecondLook,
    Task,
)
from privacy.models import DAYS_KEPT, DataSubject, Kept
from privacy.retention import Border, Rows, Rule

# Where a row names an image; of each a task that has images.
_NAMES_IMAGES: tuple[tuple[type[Model], str, str], ...] = (
    (Inference, "task", "output__image"),
    (Feedback, "task", "original__image"),
    (Feedback, "task", "corrected__image"),
    (Review, "feedback__task", "corrected__image"),
    (Example, "task", "output__image"),
    (Example, "task", "rejected_output__image"),
)


def _images(border: Border) -> Rows:
    """Return old pictures that nothing names; their files go with the next look for orphans."""
    with_images = [name for name, modality in MODALITIES.items() if modality.has_images]
    tasks = list(Task.objects.filter(project=border.project, modality__in=with_images))
    rows = Image.objects.filter(project=border.project, created_at__lt=border.before)
    for model, task, place in _NAMES_IMAGES if tasks else ():
        named = model._default_manager.annotate(names=KT(place)).filter(
            **{f"{task}__in": tasks}, names=Cast(OuterRef("uuid"), CharField())
        )
        rows = rows.filter(~Exists(named))
    return rows


def _contributors(border: Border) -> Rows:
    """Return what is thought of people of whom no act is left; what a moderator decided stays."""
    acts = Feedback.objects.filter(
        project=border.project, task=OuterRef("task"), user_id=OuterRef("user_id")
    )
    rows = Contributor.objects.filter(task__project=border.project, is_held=False)
    return rows.filter(~Exists(acts), created_at__lt=border.before)


def _strangers(border: Border) -> Rows:
    """Return people who never said anything about consent, and of whom nothing else is held."""
    silent = DataSubject.objects.filter(
        project=border.project, is_anonymous=False, anonymized_at=None, consents=None
    )
    mine = {"project": border.project, "user_id": OuterRef("user_id")}
    of_tasks = {"task__project": border.project, "user_id": OuterRef("user_id")}
    return silent.filter(
        ~Exists(Feedback.objects.filter(**mine)),
        ~Exists(Image.objects.filter(**mine)),
        ~Exists(Inference.objects.filter(**of_tasks)),
        ~Exists(Contributor.objects.filter(**of_tasks)),
        created_at__lt=border.before,
    )


def _dead_letters(border: Border) -> Rows:
    """Return the project's letters, and those from before letters said whose they are."""
    by_default = timezone.now() - timedelta(days=DAYS_KEPT[Kept.DEAD_LETTERS])
    return DeadLetter.objects.filter(
        Q(project=border.project, created_at__lt=border.before)
        | Q(project=None, created_at__lt=by_default)
    )


# Each asks what the rules after it leave behind, so what those free goes the night after.
RULES = (
    Rule(Kept.DEAD_LETTERS, _dead_letters),
    Rule(Kept.CONTENT, _strangers),
    Rule(Kept.CONTENT, _contributors),
    Rule(Kept.CONTENT, _images),
)


def delete_feedback(numbers: list[int]) -> None:
    """Delete feedback without examples, with its reviews and history, and the answers left alone.

    An answer that stayed behind would count as one that nobody had anything against. Call in a
    transaction that may rewrite history.
    """
    answers = Feedback.objects.filter(pk__in=numbers).values_list("inference", flat=True)
    answered = list(answers.distinct())
    for model, column in (
        (Review.history.model, "feedback_id"),
        (Review, "feedback_id"),
        (Approval, "feedback_id"),
        (SecondLook, "feedback_id"),
        (Feedback.history.model, "number"),
        (Feedback, "number"),
    ):
        # Not by the ORM, which asks and tells about each row of a history.
        with connection.cursor() as cursor:
            table = model._meta.db_table
            cursor.execute(f"DELETE FROM {table} WHERE {column} = ANY(%s)", [numbers])  # noqa: S608
    alone = Inference.objects.filter(pk__in=answered, feedback=None, examples=None)
    delete_answers(alone.values_list("pk", flat=True))


def delete_answers(numbers: Iterable[int]) -> None:
    """Delete answers without feedback and examples; what was made of them has no parent then."""
    keys = list(numbers)
    Inference.objects.filter(parent__in=keys).update(parent=None)
    Inference.objects.filter(pk__in=keys).delete()
