"""Questions about keys, identity secrets and people."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class ApiKeyQuerySet(models.QuerySet[Any]):
    def usable(self) -> "ApiKeyQuerySet":
        """Return keys that are neither revoked nor expired by the database's clock."""
        return self.filter(
            Q(expires_at=None) | Q(expires_at__gt=Now()),
            Q(revoked_at=None) | Q(revoked_at__gt=Now()),
        )

    def beginning(self, prefix: str) -> "ApiKeyQuerySet":
        """Return keys that begin so, or did before a rotation whose overlap still runs."""
        return self.filter(
            Q(prefix=prefix) | Q(previous_prefix=prefix, previous_until__gt=Now()),
        )


class IdentitySecretQuerySet(models.QuerySet[Any]):
    def live(self) -> "IdentitySecretQuerySet":
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()))


class ErasureQuerySet(models.QuerySet[Any]):
    def living(self) -> "ErasureQuerySet":
        """Return the erasures whose person is still refused: until it is done, too."""
        return self.filter(Q(tombstone_until__gt=Now()) | ~Q(status="done"))


class DataSubjectQuerySet(models.QuerySet[Any]):
    def withdrawn(self, *purposes: str) -> "DataSubjectQuerySet":
        """Return people whose data may not be used for one of these, by word or by default."""
        found = Q()
        for purpose in purposes:
            said = Q(consents__purpose=purpose)
            silent_and_withheld = Q(project__consent_default="withheld") & ~Q(
                pk__in=self.model.objects.filter(said, consents__is_granted=True).values("pk")
            )
            found |= (said & Q(consents__is_granted=False)) | silent_and_withheld
        return self.filter(found).distinct()
