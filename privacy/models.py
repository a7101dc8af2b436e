"""Who is who: projects, their keys, the people whose data they hold and what these allowed."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from simple_history.models import HistoricalRecords

from config.database import CURRENT_TRANSACTION
from config.leases import Leased
from config.transitions import Transitions
from privacy.querysets import (
    ApiKeyQuerySet,
    DataSubjectQuerySet,
    ErasureQuerySet,
    IdentitySecretQuerySet,
)

USER_ID_PATTERN = r"^[A-Za-z0-9._:@|+-]{1,128}\Z"


class Scope(models.TextChoices):
    CAPTURE = "capture", "capture: publishable, may send feedback"
    MANAGE = "manage", "manage: a server's secret, may do everything in its project"


class Purpose(models.TextChoices):
    COLLECTION = "collection", "Store what this person sends"
    TRAINING = "training", "Train models on it"


class ConsentDefault(models.TextChoices):
    GRANTED = "granted", "Granted unless withdrawn"
    WITHHELD = "withheld", "Withheld unless granted"


class IdentityMode(models.TextChoices):
    OBSERVE = "observe", "Store what comes without a token as not verified"
    ENFORCE = "enforce", "Refuse what comes without a token"


class Project(models.Model):
    """One product; nobody sees another project's data."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    consent_default = models.CharField(
        max_length=10,
        choices=ConsentDefault,
        default=ConsentDefault.GRANTED,
        help_text="What counts for a person who has said nothing.",
    )
    identity_mode = models.CharField(
        max_length=10,
        choices=IdentityMode,
        default=IdentityMode.OBSERVE,
        help_text="What happens to acts that a capture key brings without a user's token.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    history = HistoricalRecords()
    _change_reason: str  # simple_history writes it into the history row

    def __str__(self) -> str:
        return self.slug


class StaffProject(models.Model):
    """A project given to a member of the staff, who sees the rows of no other."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="given_projects"
    )
    project = models.ForeignKey(Project, models.CASCADE, related_name="staff")

    class Meta:
        verbose_name = "project given"
        verbose_name_plural = "projects given"
        constraints = [
            models.UniqueConstraint(fields=["user", "project"], name="one_gift_of_a_project")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}"


class IdentitySecret(models.Model):
    """What a project's server signs user tokens with.

    Only the nonce is kept; the secret follows from it and SECRET_KEY.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="identity_secrets")
    nonce = models.BinaryField(max_length=32, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = IdentitySecretQuerySet.as_manager()


class ApiKey(models.Model):
    """A bearer key; only its SHA-256 is kept, the key itself is shown once."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100)
    scope = models.CharField(max_length=10, choices=Scope)
    prefix = models.CharField(max_length=24, unique=True, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    # What the key was before its last rotation, and until when that still opens the door.
    previous_prefix = models.CharField(max_length=24, unique=True, null=True, editable=False)  # noqa: DJ001
    previous_digest = models.BinaryField(max_length=32, null=True, editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    origins = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Origins of pages that may use this key; empty: any.",
    )
    limits = models.JSONField(
        default=dict, blank=True, help_text="In place of the defaults; see docs/operations.md."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    live_nonces: list[bytes]  # of the project's identity secrets, where `find_key` read it

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"


class DataSubject(models.Model):
    """A person as one project knows them."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="subjects", db_index=False)
    user_id = models.CharField(max_length=128, validators=[RegexValidator(USER_ID_PATTERN)])
    is_anonymous = models.BooleanField(
        db_default=False, help_text="What this person sends is stored without a link to them."
    )
    anonymized_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = DataSubjectQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user_id"], name="one_subject_a_user_id")
        ]

    def __str__(self) -> str:
        return self.user_id


class Method(models.TextChoices):
    """How a person's word reached Emend."""

    API = "api", "told by the product's server"
    TOKEN = "token", "told by the person's browser, with a user token"
    PAGE = "page", "on the privacy page"
    ERASURE = "erasure", "with a request for erasure"


class Consent(models.Model):
    """What a person last said about one purpose; what they said before is in its history.

    The history is append-only: with which text, in which language and how they said it.
    """

    subject = models.ForeignKey(
        DataSubject, models.CASCADE, related_name="consents", db_index=False
    )
    purpose = models.CharField(max_length=10, choices=Purpose)
    is_granted = models.BooleanField()
    decided_at = models.DateTimeField()
    text_version = models.CharField(
        max_length=100, default="", blank=True, help_text="Of the text that was shown."
    )
    language = models.CharField(max_length=35, default="", blank=True, help_text="As in RFC 5646.")
    method = models.CharField(max_length=10, choices=Method, default=Method.API)
    evidence = models.CharField(
        max_length=500, default="", blank=True, help_text="Where the product keeps its proof."
    )
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)
    history = HistoricalRecords(excluded_fields=["touched"], cascade_delete_history=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "purpose"], name="one_consent_a_purpose")
        ]
        indexes = [models.Index(fields=["touched"], name="consent_by_touch")]

    def __str__(self) -> str:
        return self.get_purpose_display()


ERASURE_TRANSITIONS: Transitions = {
    "running": frozenset({"done", "failed"}),
    "failed": frozenset({"running"}),
    "done": frozenset({"running"}),  # a restore brought the person back
}


class ErasureRequest(Leased):
    """One person's wish to be forgotten: the tombstone, the work and what came of it.

    While `tombstone_until` lies ahead nothing of that person is stored. The person is known by a
    keyed hash; `user_id` stands here only until the work is done.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, models.PROTECT, related_name="erasures", db_index=False)
    subject_digest = models.BinaryField(max_length=32, editable=False)
    user_id = models.CharField(max_length=128, null=True, editable=False)  # noqa: DJ001
    status = models.CharField(
        max_length=10,
        choices=[(name, name) for name in ("running", "done", "failed")],
        default="running",
    )
    requested_by = models.CharField(max_length=200)
    tombstone_until = models.DateTimeField()
    # More than a build has: whoever wants to be forgotten is not given up.
    attempts = models.PositiveIntegerField(default=0)
    horizon = models.BigIntegerField(
        null=True, help_text="Transactions before this one may not have seen the tombstone."
    )
    steps = models.JSONField(default=dict, help_text="What each step has done, by its name.")
    files = models.JSONField(default=dict, help_text="Files to remove, by folder.")
    receipt = models.JSONField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = ErasureQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["project", "subject_digest"], name="erasure_by_subject"),
            models.Index(
                fields=["created_at"], name="erasure_open", condition=models.Q(status="running")
            ),
            # Few, and asked by every capture: whose answers and pictures are about to go.
            models.Index(
                fields=["project"], name="erasure_unfinished", condition=~models.Q(status="done")
            ),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class AccessRecord(models.Model):
    """Who looked at, took or changed whose data; append-only.

    The person is known by a keyed hash, so that the record may outlive an erasure.
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="+", db_index=False)
    subject_digest = models.BinaryField(max_length=32, editable=False)
    action = models.CharField(max_length=30)
    by = models.CharField(max_length=200, help_text="A key, a member of the staff, or the person.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["project", "subject_digest", "id"], name="access_by_subject"),
            models.Index(fields=["created_at"], name="access_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.by}"


class Kept(models.TextChoices):
    """What retention rules are about."""

    REJECTED = "rejected", "Rejected feedback, from when it was rejected"
    CONTENT = "content", "Content, from its last inclusion in a dataset version"
    IDEMPOTENCY = "idempotency", "First answers to Idempotency-Keys"
    DEAD_LETTERS = "dead_letters", "Messages of a stream that could not be stored"
    ARCHIVES = "archives", "Archives of what promoted models learned from"
    ACCESS_LOG = "access_log", "The record of who looked at whose data"
    TOMBSTONE = "tombstone", "Refusal of what arrives for an erased person"


DAYS_KEPT = {
    Kept.REJECTED: 30,
    Kept.CONTENT: 180,
    Kept.IDEMPOTENCY: 7,
    Kept.DEAD_LETTERS: 30,
    Kept.ARCHIVES: 365,
    Kept.ACCESS_LOG: 730,
    Kept.TOMBSTONE: 90,
}
LEAST_ACCESS_LOG_DAYS = 30  # nobody of the staff wipes the record of their own looks


class RetentionRule(models.Model):
    """How long a project keeps one kind of data, where it is not the default."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="retention_rules")
    kind = models.CharField(max_length=20, choices=Kept)
    days = models.PositiveIntegerField()
    history = HistoricalRecords()
    _change_reason: str  # simple_history writes it into the history row

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "kind"], name="one_rule_a_kind"),
            models.CheckConstraint(
                condition=~models.Q(kind=Kept.ACCESS_LOG)
                | models.Q(days__gte=LEAST_ACCESS_LOG_DAYS),
                name="looks_stay_on_record",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.days} days"


def days_kept(project: Project) -> dict[str, int]:
    """Return for how many days the project keeps each kind."""
    rules = RetentionRule.objects.filter(project=project)
    by_default = {str(kind): days for kind, days in DAYS_KEPT.items()}
    return by_default | dict(rules.values_list("kind", "days"))


class Upkeep(models.Model):
    """When a task that is due once a day was last done."""

    task = models.CharField(max_length=60, primary_key=True)
    done_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.task


class IdempotencyKey(models.Model):
    """The first answer to a request with an Idempotency-Key; holds no content of the request."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    key_digest = models.BinaryField(max_length=32)
    fingerprint = models.BinaryField(max_length=32)
    status_code = models.PositiveSmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key_digest"], name="one_answer_a_key")
        ]
