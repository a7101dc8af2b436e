"""From a body to the row that it may become: redacted, not judged, not stored."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import uuid4

import msgspec
from django.conf import settings
from msgspec import UNSET

from config.api import malformed
from config.errors import Forbidden
from config.json import JSON
from feedback.capture.cleaning import (
    check_input,
    check_output,
    clean,
    clean_id,
    unknown_inference,
    unknown_task,
)
from feedback.capture.lookups import Known, Person, SeenInference
from feedback.capture.rows import FeedbackRow, InferenceRow, bytea
from feedback.models import ID_LENGTH, Task
from feedback.normalise import content_hash
from feedback.serializers import FeedbackBody, InferenceBody, SentBody, in_utc
from privacy import consent
from privacy.access import Sender
from privacy.errors import Erased
from privacy.models import ConsentDefault
from privacy.tombstones import WITHHELD

Body = TypeVar("Body", bound=SentBody)
NOBODY = Person()
MODEL_VERSION_LENGTH = 200
LATEST_YEAR = 9998  # PostgreSQL knows years after 9999, Python does not


class Sent(NamedTuple, Generic[Body]):
    """A body, the JSON that it was read from, and whether it is known to be that person's.

    `burst_share` is how near its contributor, session or address is to a limit, from 0 to 1.
    """

    body: Body
    document: JSON
    is_verified: bool
    burst_share: float = 0.0

    @property
    def subjects(self) -> tuple[str | None, str | None]:
        return self.body.user_id, self.body.session_id


class Act(NamedTuple):
    """What a named person says of one inference: whose and of which it is, and a digest of it."""

    key: str
    said: str

    def after(self, latest: str) -> str:
        """Return the hash that this act alone has, if it follows the one of that hash.

        A person may come back to what they said first; only the same act twice running is one.
        """
        return self.said + hashlib.sha256(latest.encode()).hexdigest()[:32]


@dataclass(slots=True)
class Draft:
    """One act on its way: about an inference that was `seen`, or `made` with it."""

    row: FeedbackRow
    task: Task
    seen: SeenInference
    made: InferenceRow | None
    act: Act | None
    is_sensitive: bool
    is_change_redacted: bool
    is_low_trust: bool = False
    is_repeat: bool = False
    burst_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Door:
    """Who brings what comes in, and what the database knows of it."""

    sender: Sender
    known: Known

    def document(self, item: Sent[Any]) -> JSON:
        """Return what tells whether the same body is sent again: it names nobody anonymous."""
        if not self._is_anonymous(item.body) or not isinstance(item.document, dict):
            return item.document
        return {name: value for name, value in item.document.items() if name != "user_id"}

    def draft_inference(self, item: Sent[InferenceBody], print_: bytes) -> InferenceRow:
        """Check and redact one output of a model; raise Malformed or a refusal."""
        body = item.body
        self._welcome(body)
        row = self._inference(item, self._task(body.task), print_, body.metadata)
        row.confidence = body.confidence
        if body.target is not None and not self._is_anonymous(body):
            row.target_type = body.target.type
            row.target_id = clean_id(body.target.id, ID_LENGTH)
        if body.parent_inference is not None:
            parent = self.known.inferences.get(body.parent_inference)
            if parent is None:
                raise unknown_inference("/parent_inference")
            row.parent_id = parent.number
        return row

    def draft_feedback(self, item: Sent[FeedbackBody], print_: bytes) -> Draft:
        """Check and redact one act; raise Malformed or a refusal."""
        body = item.body
        _check_subject(body)
        self._welcome(body)
        if body.source == "audit" and not self.sender.is_trusted:
            raise Forbidden("Only a manage key brings audits.")
        if body.inference_id is None:
            task = self._task(body.task or "")
            made = self._inference(item, task, b"")  # the metadata is the feedback's
            seen = SeenInference(
                id=made.id,
                task_id=task.pk,
                input=made.input,
                output=made.output,
                input_hash=made.input_hash,
                is_sensitive=made.is_sensitive,
            )
        elif body.inference_id in self.known.inferences:
            made, seen = None, self.known.inferences[body.inference_id]
            task = self.known.task_by_id(seen.task_id)
        else:
            raise unknown_inference("/inference_id")
        if body.correction_type is not None and body.correction_type not in task.correction_types:
            detail = f"The task has no correction type {body.correction_type!r}."
            raise malformed("/correction_type", detail, "feedback.unknown_correction_type")
        return self._act(item, print_, task, seen, made)

    def _act(
        self,
        item: Sent[FeedbackBody],
        print_: bytes,
        task: Task,
        seen: SeenInference,
        made: InferenceRow | None,
    ) -> Draft:
        body = item.body
        sent = None if body.corrected is UNSET else body.corrected
        found = clean(task, sent, body.comment, body.metadata)
        comment, metadata = found.others
        is_anonymous = self._is_anonymous(body)
        row = FeedbackRow(
            **self._common(item, task, print_),
            metadata={} if is_anonymous else metadata,
            redactions=found.counts,
            input_hash=seen.input_hash,
            inference_id=seen.number,
            inference_uuid=seen.id,
            signal=body.signal,
            correction_type=body.correction_type or "",
            original=seen.output,
            corrected=found.output,
            comment="" if is_anonymous else comment,
            source="audit" if body.source == "audit" else self.sender.source,
            queue=task.kind.queue,
        )
        return Draft(
            row,
            task,
            seen,
            made,
            None if is_anonymous else _act_of(self.sender, item),
            is_sensitive=found.is_sensitive or seen.is_sensitive,
            is_change_redacted=found.output != sent and found.output == seen.output,
            burst_share=item.burst_share,
            is_low_trust=item.is_verified and (task.pk, body.user_id) in self.known.quarantined,
        )

    def _task(self, slug: str) -> Task:
        task = self.known.task_by_slug(slug)
        if task is None:
            raise unknown_task(slug)
        return task

    def _inference(
        self, item: Sent[Any], task: Task, print_: bytes, metadata: Any = None
    ) -> InferenceRow:
        body = item.body
        check_input(task, body.input)
        check_output(task, body.input, body.output, self.known.images)
        version = getattr(body, "model_version", "")
        found = clean(task, body.output, body.input, metadata or {}, version)
        input_, clean_metadata, clean_version = found.others
        return InferenceRow(
            **self._common(item, task, print_) | ({} if print_ else {"id": uuid4()}),
            metadata={} if self._is_anonymous(body) else clean_metadata,
            redactions=found.counts,
            input_hash=bytea(content_hash(task.kind.identity(input_, found.output))),
            input=input_,
            output=found.output,
            is_sensitive=found.is_sensitive,
            model_version=clean_version[:MODEL_VERSION_LENGTH],
        )

    def _common(self, item: Sent[Any], task: Task, print_: bytes) -> dict[str, Any]:
        body = item.body
        user_id, session_id = body.user_id, clean_id(body.session_id, ID_LENGTH)
        if self._is_anonymous(body):
            # What refuses training must refuse it without a name, too.
            user_id, session_id = None if self._may_train(body) else WITHHELD, ""
        return {
            "id": body.id or uuid4(),
            "project_id": self.sender.project.pk,
            "task_id": task.pk,
            "api_key_id": self.sender.key and self.sender.key.pk,
            "user_id": user_id,
            "is_verified": item.is_verified,
            "session_id": session_id,
            "fingerprint": bytea(print_),
            "occurred_at": body.occurred_at and in_utc(body.occurred_at),
        }

    def _person(self, body: SentBody) -> Person:
        return self.known.people.get(body.user_id or "", NOBODY)

    def _is_anonymous(self, body: SentBody) -> bool:
        """Return whether the person wants what they send to be stored without a link to them."""
        return self._person(body).is_anonymous

    def _may_train(self, body: SentBody) -> bool:
        said = self._person(body).training
        return self.known.consent_default == ConsentDefault.GRANTED if said is None else said

    def _welcome(self, body: SentBody) -> None:
        """Refuse whom nobody asked, who said no, and times that could not be read back."""
        if body.user_id is None and not self.sender.is_trusted:
            raise malformed("/user_id", "A capture key says whose act it sends.")
        if body.user_id is not None:
            if body.user_id in self.known.erased:
                raise Erased
            by_default = self.known.consent_default or ConsentDefault.WITHHELD
            consent.check(said=self._person(body).said, by_default=by_default)
        if body.occurred_at is not None and not 1970 <= body.occurred_at.year <= LATEST_YEAR:
            raise malformed("/occurred_at", f"Between the years 1970 and {LATEST_YEAR}.")


def _act_of(sender: Sender, item: Sent[FeedbackBody]) -> Act | None:
    """Return what a body says; None where nobody is named, or the inference comes with it.

    What anybody may send in a person's name is not what that person says.
    """
    body = item.body
    if body.user_id is None or body.inference_id is None:
        return None
    corrected = None if body.corrected is UNSET else body.corrected
    said = [body.signal, corrected, body.comment, body.correction_type]
    whose = [sender.project.pk, item.is_verified, body.user_id, body.inference_id]
    canonical = msgspec.json.encode([*whose, *said], order="sorted")
    digest = hmac.digest(settings.SECRET_KEY.encode(), canonical, "sha256")
    return Act(f"{body.inference_id} {body.user_id}", bytea(digest[:16]))


def _check_subject(body: FeedbackBody) -> None:
    """Refuse a body that names both an inference and the parts of one, or neither."""
    parts = {"task": body.task, "input": body.input, "output": body.output}
    given = [name for name, value in parts.items() if value is not None and value is not UNSET]
    if body.inference_id is not None and given:
        raise malformed(f"/{given[0]}", "Send inference_id, or task, input and output; not both.")
    if body.inference_id is None and len(given) < len(parts):
        missing = next(name for name in parts if name not in given)
        raise malformed(f"/{missing}", "Send inference_id, or task, input and output.")
