"""Who is who: projects, their keys, the people whose data they hold and what these allowed."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from simple_history.models import HistoricalRecords

from config.database import CURRENT_TRANSACTION
from privacy.querysets import ApiKeyQuerySet, DataSubjectQuerySet, IdentitySecretQuerySet

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
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = DataSubjectQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user_id"], name="one_subject_a_user_id")
        ]

    def __str__(self) -> str:
        return self.user_id


class Consent(models.Model):
    """What a person last said about one purpose; what they said before is in its history."""

    subject = models.ForeignKey(
        DataSubject, models.CASCADE, related_name="consents", db_index=False
    )
    purpose = models.CharField(max_length=10, choices=Purpose)
    is_granted = models.BooleanField()
    decided_at = models.DateTimeField()
    touched = models.BigIntegerField(db_default=CURRENT_TRANSACTION, editable=False)
    history = HistoricalRecords(excluded_fields=["touched"], cascade_delete_history=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "purpose"], name="one_consent_a_purpose")
        ]
        indexes = [models.Index(fields=["touched"], name="consent_by_touch")]


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
