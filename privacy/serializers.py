"""The bodies of the privacy endpoints."""

from typing import Annotated, Literal

import msgspec

from privacy.models import DataSubject

# "$" alone would let a line feed pass at the end, and "\Z" is unknown to JSON Schema.
UserId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:@|+-]+(?!\n)$")
]
PurposeName = Literal["collection", "training"]


class ConsentBody(msgspec.Struct, forbid_unknown_fields=True):
    granted: bool
    user_token: str | None = None


def subject_document(subject: DataSubject) -> dict[str, object]:
    return {
        "user_id": subject.user_id,
        "consents": [
            {"purpose": row.purpose, "granted": row.is_granted, "at": row.decided_at}
            for row in subject.consents.order_by("purpose")
        ],
    }
