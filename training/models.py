"""From examples to a watched model."""

import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from simple_history.models import HistoricalRecords

from config.database import CURRENT_TRANSACTION
from config.leases import Leased
from config.transitions import Transitions
from feedback.models import Example, Feedback, Inference, Task
from privacy.models import Project
from training.errors import TransitionRefused
from training.purposes import PURPOSES
from training.querysets import CheckQuerySet, IntervalQuerySet


def move(row: Any, transitions: Transitions, status: str) -> None:
    """Change a row's status in memory; raise TransitionRefused where no rule allows it."""
    if status not in transitions.get(row.status, frozenset()):
        raise TransitionRefused(f"What is {row.status} cannot become {status}.")
    row.status = status


class Dataset(models.Model):
    """A named line of data of one task."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="datasets")
    task = models.ForeignKey(Task, models.PROTECT, related_name="datasets")
    name = models.SlugField(max_length=120)
    purpose = models.CharField(
        max_length=10, choices=[(name, name) for name in PURPOSES], default="train"
    )
    settings = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    history = HistoricalRecords()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="one_dataset_a_name")
        ]

    def __str__(self) -> str:
        return self.name


VERSION_TRANSITIONS: Transitions = {"building": frozenset({"ready", "failed"})}


class DatasetVersion(Leased):
    """An immutable, numbered, content-hashed snapshot; what is in it stands in Membership."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="versions")
    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField()
    parent = models.PositiveIntegerField(
        null=True, help_text="The version of the same dataset that this one was built upon."
    )
    status = models.CharField(
        max_length=10,
        choices=[(name, name) for name in ("building", "ready", "failed")],
        default="building",
    )
    content_hash = models.CharField(max_length=64, default="")
    current_hash = models.CharField(max_length=64, default="")
    hash_state = models.BinaryField(default=b"")
    current_state = models.BinaryField(
        default=b"", help_text="What erasures left of hash_state; the next version builds on it."
    )
    rules = models.CharField(
        max_length=64, default="", help_text="Digest of what decided besides the rows."
    )
    cluster = models.BigIntegerField(null=True, help_text="The database that `seen_to` counts in.")
    seen_to = models.BigIntegerField(
        null=True, help_text="Transactions from this one on may not be in the version."
    )
    counts = models.JSONField(default=dict)
    feedback_source = models.JSONField(default=dict)
    is_compared = models.BooleanField(
        default=True,
        help_text="Nearly equal texts were kept apart; false where too many are alike for that.",
    )
    as_of = models.DateTimeField(null=True)
    task_history_id = models.BigIntegerField(null=True)
    dataset_history_id = models.BigIntegerField(null=True)
    build_seconds = models.FloatField(null=True)

    class Meta:
        db_table = "training_datasets"
        constraints = [
            models.UniqueConstraint(fields=["dataset", "version"], name="one_version_a_number")
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def move_to(self, status: str) -> None:
        move(self, VERSION_TRANSITIONS, status)


class Reason(models.TextChoices):
    """Why an example is not in a version: the first that holds."""

    CONSENT = "consent_withdrawn", "a person behind it does not permit training"
    UNVERIFIED = "unverified", "nobody vouched for who sent it"
    QUARANTINED = "quarantined", "its contributor is quarantined"
    UNDECIDED = "undecided", "its feedback is not processed, or not any more"
    OUTDONE = "outdone", "the same person's later act counts"
    LABEL_GONE = "label_gone", "its label is none of the task's any more"
    RANDOM_SLICE = "random_slice", "its input is kept to measure how often models are right"
    SILENT_HOLDOUT = "silent_holdout", "silence proves nothing, so it is not held out"
    NOT_IN_DATASET = "not_in_dataset", "the dataset's settings leave it out"
    TOO_SHORT = "too_short", "too little is written in it"
    NEAR_IDENTICAL = "near_identical", "what was chosen is hardly other than what was rejected"
    IN_HOLDOUT = "in_holdout", "its input lies in the holdout"
    NEAR_HOLDOUT = "near_holdout", "it is nearly the same as a row of the holdout"


class Membership(models.Model):
    """In which versions of a dataset an example is: from `since_version` until before the other.

    This is the only record; `row_hash` identifies the canonical row, and exact twins share one.
    """

    # The version vouches for the dataset: to check a million rows for it takes seconds.
    dataset = models.ForeignKey(
        Dataset, models.PROTECT, related_name="memberships", db_index=False, db_constraint=False
    )
    example = models.ForeignKey(Example, models.CASCADE, related_name="memberships")
    row_hash = models.BinaryField(max_length=32)
    split = models.CharField(max_length=10)
    since_version = models.PositiveIntegerField()
    until_version = models.PositiveIntegerField(null=True)

    objects = IntervalQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "example"],
                name="one_open_membership",
                condition=Q(until_version=None),
            ),
            models.CheckConstraint(
                condition=Q(until_version=None) | Q(until_version__gt=models.F("since_version")),
                name="membership_ends_after_it_began",
            ),
        ]
        indexes = [
            models.Index(fields=["dataset", "row_hash"], name="membership_by_hash"),
            models.Index(fields=["dataset", "since_version"], name="membership_by_since"),
            models.Index(
                fields=["dataset", "until_version"],
                name="membership_by_until",
                condition=Q(until_version__isnull=False),
            ),
        ]


class LeftOut(models.Model):
    """An example that versions might have taken and did not, and why: an interval as Membership."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="left_out")
    example = models.ForeignKey(Example, models.CASCADE, related_name="left_out")
    reason = models.CharField(max_length=20, choices=Reason)
    holdout_example = models.ForeignKey(
        Example, models.SET_NULL, null=True, related_name="+", help_text="Which it is like."
    )
    similarity = models.FloatField(null=True)
    since_version = models.PositiveIntegerField()
    until_version = models.PositiveIntegerField(null=True)

    objects = IntervalQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "left out"
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "example"],
                name="left_out_for_one_reason",
                condition=Q(until_version=None),
            )
        ]
        indexes = [
            models.Index(fields=["dataset", "reason", "-id"], name="left_out_by_reason"),
        ]


class Shard(models.Model):
    """A file of the rows that a version added, ordered by their hash; derived, like an export."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="shards")
    version = models.PositiveIntegerField()
    part = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "version", "part"], name="one_shard_a_part")
        ]


RUN_TRANSITIONS: Transitions = {
    "queued": frozenset({"running", "failed"}),
    "running": frozenset({"passed", "refused", "failed"}),
}


class Run(Leased):
    """One training execution."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, db_column="uuid", editable=False)
    task = models.ForeignKey(Task, models.PROTECT, related_name="runs")
    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="runs")
    dataset_version = models.ForeignKey(
        DatasetVersion, models.PROTECT, null=True, related_name="runs"
    )
    strategy = models.CharField(max_length=12, default="full")
    config = models.JSONField(default=dict)
    seed = models.PositiveIntegerField(default=0)
    weighing = models.JSONField(
        default=dict, help_text="By which trust and silence rows were weighed, and what was capped."
    )
    fingerprint = models.CharField(max_length=64, default="")
    status = models.CharField(
        max_length=10,
        choices=[(name, name) for name in ("queued", "running", "passed", "refused", "failed")],
        default="queued",
    )
    progress_ratio = models.FloatField(default=0)
    metrics = models.JSONField(default=dict)
    cost = models.JSONField(default=dict)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["created_at"],
                name="run_open",
                condition=Q(status__in=["queued", "running"]),
            )
        ]

    def __str__(self) -> str:
        return str(self.uuid)

    def move_to(self, status: str) -> None:
        move(self, RUN_TRANSITIONS, status)


class ModelVersion(models.Model):
    """A trained artefact; which one serves is said by aliases."""

    task = models.ForeignKey(Task, models.PROTECT, related_name="model_versions")
    version = models.PositiveIntegerField()
    run = models.OneToOneField(Run, models.PROTECT, related_name="model_version")
    weights_hash = models.CharField(max_length=64)
    artifact_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    withdrawn_at = models.DateTimeField(
        null=True, help_text="It had learned from an erased person: its file is gone."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "version"], name="one_model_a_number")
        ]

    def __str__(self) -> str:
        return f"{self.task.slug} v{self.version}"


class VersionErasure(models.Model):
    """What one erasure took out of a version, and the hash of what is left."""

    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="erasures")
    erasure = models.UUIDField()
    rows = models.PositiveIntegerField(help_text="Examples, exact twins of others' too.")
    splits = models.JSONField(default=dict, help_text="The same by side.")
    current_hash = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset_version", "erasure"], name="one_erasure_a_version"
            )
        ]
        indexes = [models.Index(fields=["erasure"], name="version_by_erasure")]

    def __str__(self) -> str:
        return f"{self.erasure} in {self.dataset_version}"


class Fate(models.TextChoices):
    """What became of a model that had learned from an erased person."""

    PENDING = "pending", "not decided yet"
    REPLACED = "replaced", "an exact retrain without that person took its place"
    REMOVED = "removed", "it served nobody, and was removed"
    WITHDRAWN = "withdrawn", "what is left cannot train a model, so nothing took its place"


class ModelErasure(models.Model):
    """A model that had learned from an erased person, what became of it, and what people say."""

    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="erasures")
    erasure = models.UUIDField()
    fate = models.CharField(max_length=10, choices=Fate, default=Fate.PENDING)
    run = models.ForeignKey(
        Run, models.PROTECT, null=True, related_name="replacing", help_text="The exact retrain."
    )
    replacement = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="+")
    decision = models.CharField(
        max_length=500, default="", blank=True, help_text="What people decided about it, and why."
    )
    decided_by = models.CharField(max_length=150, default="")
    decided_at = models.DateTimeField(null=True)
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model_version", "erasure"], name="one_erasure_a_model")
        ]
        indexes = [models.Index(fields=["erasure"], name="model_by_erasure")]

    def __str__(self) -> str:
        return f"{self.erasure} in {self.model_version}"


class Archive(models.Model):
    """A compressed file of rows that a promoted model was trained on."""

    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="archives")
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="archives")
    part = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    subjects = ArrayField(
        models.BigIntegerField(),
        default=list,
        help_text="Keyed hashes of who stands in it: tables may have forgotten by now.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model_version", "part"], name="one_archive_a_part")
        ]


CREDIT_TRANSITIONS: Transitions = {"queued": frozenset({"ready", "failed"})}


class ModelCredit(Leased):
    """What a model's rows did to its loss: computed once, by numbers of feedback, without names."""

    model_version = models.OneToOneField(ModelVersion, models.CASCADE, related_name="credit")
    status = models.CharField(
        max_length=10,
        choices=[(name, name) for name in ("queued", "ready", "failed")],
        default="queued",
    )
    document = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"credit of {self.model_version}"

    def move_to(self, status: str) -> None:
        move(self, CREDIT_TRANSITIONS, status)


CHAMPION, CHALLENGER = "champion", "challenger"


class ModelAlias(models.Model):
    """A name that points to a version; its history is the record of promotions."""

    task = models.ForeignKey(Task, models.PROTECT, related_name="aliases")
    name = models.CharField(max_length=20, choices=[(CHAMPION, CHAMPION), (CHALLENGER, CHALLENGER)])
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="aliases")
    _change_reason: str  # simple_history writes it into the history row
    history = HistoricalRecords()

    class Meta:
        verbose_name_plural = "model aliases"
        constraints = [models.UniqueConstraint(fields=["task", "name"], name="one_alias_a_name")]

    def __str__(self) -> str:
        return f"{self.name} of {self.task.slug}"


class GateResult(models.Model):
    """What one gate said of a run's model."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="gate_results")
    name = models.CharField(max_length=30)
    passed = models.BooleanField()
    value = models.FloatField(null=True)
    threshold = models.FloatField(null=True)
    reason = models.CharField(max_length=500)
    details = models.JSONField(default=dict)


ROLLOUT_TRANSITIONS: Transitions = {"canary": frozenset({"full", "rolled_back", "aborted"})}


class Rollout(models.Model):
    """A challenger's way to all users; decisions are in its history."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    task = models.ForeignKey(Task, models.PROTECT, related_name="rollouts")
    challenger = models.ForeignKey(ModelVersion, models.PROTECT, related_name="+")
    champion = models.ForeignKey(ModelVersion, models.PROTECT, related_name="+")
    status = models.CharField(
        max_length=12,
        choices=[(name, name) for name in ("canary", "full", "rolled_back", "aborted")],
        default="canary",
    )
    share = models.FloatField()
    salt = models.CharField(max_length=32)
    plan = models.JSONField(default=dict)
    evidence = models.JSONField(default=dict)
    next_look_at = models.DateTimeField(db_default=Now())
    decision = models.CharField(max_length=300, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    _change_reason: str  # simple_history writes it into the history row
    history = HistoricalRecords(excluded_fields=["evidence", "next_look_at"])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task"], name="one_rollout_at_a_time", condition=Q(status="canary")
            )
        ]

    def __str__(self) -> str:
        return str(self.uuid)

    def move_to(self, status: str) -> None:
        move(self, ROLLOUT_TRANSITIONS, status)


class Prediction(models.Model):
    """Which version answered an inference, and on which arm of which rollout."""

    inference = models.OneToOneField(Inference, models.CASCADE, related_name="prediction")
    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="predictions")
    rollout = models.ForeignKey(Rollout, models.PROTECT, null=True, related_name="predictions")
    arm = models.CharField(max_length=10, default=CHAMPION)


CHECK_TRANSITIONS: Transitions = {
    "open": frozenset({"answered", "gone"}),
    "answered": frozenset({"open"}),  # undone
    "gone": frozenset({"open"}),
}


class AnswerToCheck(models.Model):
    """An answer that nobody reacted to, put before moderators: drawn at random, or by its worth."""

    task = models.ForeignKey(Task, models.PROTECT, related_name="to_check", db_index=False)
    inference = models.OneToOneField(Inference, models.CASCADE, related_name="to_check")
    worth = models.FloatField(default=0.0)
    exposure = models.PositiveIntegerField(default=1, help_text="How often its input was served.")
    alike = models.PositiveIntegerField(default=1, help_text="Silent answers that it stands for.")
    place = models.PositiveIntegerField(default=0, help_text="In the list of its task.")
    is_random = models.BooleanField(default=False)
    propensity = models.FloatField(null=True, help_text="The chance by which it was drawn.")
    drawn_of = models.PositiveIntegerField(null=True, help_text="So many silent answers.")
    status = models.CharField(
        max_length=10, choices=[(name, name) for name in CHECK_TRANSITIONS], default="open"
    )
    feedback = models.OneToOneField(Feedback, models.PROTECT, null=True, related_name="checked")
    answered_by = models.CharField(max_length=150, default="")
    answered_at = models.DateTimeField(null=True)
    seconds = models.FloatField(null=True, help_text="From taking it up until the answer.")
    chosen_at = models.DateTimeField(db_default=Now(), editable=False)
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)

    objects = CheckQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "answers to check"
        indexes = [
            models.Index(fields=["place", "id"], name="to_check_open", condition=Q(status="open")),
            models.Index(fields=["task", "status"], name="to_check_by_task"),
            models.Index(fields=["task", "touched"], name="to_check_by_touch"),
        ]

    def move_to(self, status: str) -> None:
        move(self, CHECK_TRANSITIONS, status)
