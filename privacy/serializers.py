"""The bodies of the privacy endpoints, and the documents they answer with."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from privacy import erasure, holders, subjects
from privacy.models import DataSubject, ErasureRequest

# "$" alone would let a line feed pass at the end, and "\Z" is unknown to JSON Schema.
UserId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:@|+-]+(?!\n)$")]
PurposeName = Literal["collection", "training"]
Token = Annotated[str, Meta(description="A JWT that vouches for this person.")]
Language = Annotated[
    str,
    Meta(
        max_length=35,
        pattern=r"^([A-Za-z0-9]+(-[A-Za-z0-9]+)*)?(?!\n)$",
        description="As in RFC 5646.",
    ),
]


class SaidBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who says it, and as proof with which text."""

    user_token: Token | None = None
    text_version: Annotated[str, Meta(max_length=100, description="Of what was shown.")] = ""
    language: Language = ""
    evidence: Annotated[
        str, Meta(max_length=500, description="Where the product keeps its proof.")
    ] = ""


class ConsentBody(SaidBody, forbid_unknown_fields=True, kw_only=True):
    granted: bool


class PreferencesBody(SaidBody, forbid_unknown_fields=True, kw_only=True):
    """What is absent stays as it is."""

    collection: bool | UnsetType = UNSET
    training: bool | UnsetType = UNSET
    anonymous: Annotated[
        bool | UnsetType,
        Meta(description="True unlinks what is held for ever, and stores later acts unlinked."),
    ] = UNSET


class ErasureBody(msgspec.Struct, forbid_unknown_fields=True):
    user_id: UserId
    user_token: Token | None = None


class SubjectExportQuery(msgspec.Struct, forbid_unknown_fields=True):
    format: Annotated[
        Literal["json", "zip"], Meta(description="zip has the pictures' files, too.")
    ] = "json"


def subject_document(subject: DataSubject) -> dict[str, Any]:
    project = subject.project
    return {
        "user_id": subject.user_id,
        "consents": [
            {"purpose": row.purpose, "granted": row.is_granted, "at": row.decided_at}
            for row in subject.consents.order_by("purpose")
        ],
        "feedback_count": holders.counted(project, subject.user_id).get("feedback", 0),
        "anonymized_at": subject.anonymized_at,
        "preferences": subjects.preferences(project, subject),
    }


def erasure_document(row: ErasureRequest) -> dict[str, Any]:
    progress, doing = erasure.progress(row)
    return {
        "id": row.uuid,
        "status": row.status,
        "progress": round(progress, 3),
        "doing": doing,
        "requested_at": row.created_at,
        "receipt": row.receipt,
    }
