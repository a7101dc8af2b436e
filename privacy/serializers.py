"""The bodies of the privacy endpoints."""

import msgspec

from privacy.models import DataSubject


class ConsentBody(msgspec.Struct, forbid_unknown_fields=True):
    granted: bool


def subject_document(subject: DataSubject) -> dict[str, object]:
    return {
        "user_id": subject.user_id,
        "consents": [
            {"purpose": row.purpose, "granted": row.is_granted, "at": row.decided_at}
            for row in subject.consents.order_by("purpose")
        ],
    }
