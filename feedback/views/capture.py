"""The endpoints of capture: one inference, one feedback, a batch of feedback."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
from django.http import HttpResponse
from rest_framework.response import Response
from rest_framework.views import APIView

from config import json
from config.api import (
    BATCH_BYTES,
    MAX_BATCH_ITEMS,
    PROBLEM_TYPE,
    Page,
    load,
    malformed,
    problem_document,
    read,
)
from config.errors import EmendError
from config.schema import documented
from feedback.capture import Kept, capture_feedback, capture_inferences
from feedback.capture.drafts import Sent
from feedback.errors import Rejected
from feedback.models import Status
from feedback.serializers import (
    BatchBody,
    FeedbackBody,
    InferenceBody,
    InferenceReceipt,
    Receipt,
    feedback_document,
)
from feedback.views.reading import Filters, filtered
from privacy.access import AnyScope, KeyRequest, admit, person_of, require_usable, sender_of
from privacy.idempotency import Answer, answer_once
from privacy.models import Scope
from privacy.redaction import redact

# An item of a batch as it was read, or what is wrong with it.
Body = TypeVar("Body", InferenceBody, FeedbackBody)
Reading: TypeAlias = Sent[FeedbackBody] | EmendError


class InferencesView(APIView):
    """Outputs of models, which may be corrected."""

    permission_classes = [AnyScope]
    asks_key_again = True

    @documented(
        body=InferenceBody,
        gives={200: InferenceReceipt, 201: InferenceReceipt},
        answer="The stored inference; 200 for one that was stored before.",
        is_answered_once=True,
    )
    def post(self, request: KeyRequest) -> HttpResponse:
        return _answer_one(request, InferenceBody, capture_inferences)


class FeedbackListView(APIView):
    """Acts of people on inferences."""

    permission_classes = [AnyScope]

    @property
    def asks_key_again(self) -> bool:
        return self.request.method == "POST"

    @documented(
        body=FeedbackBody,
        gives={200: Receipt, 201: Receipt},
        answer="The stored feedback; 200 for one that was stored before.",
        is_answered_once=True,
    )
    def post(self, request: KeyRequest) -> HttpResponse:
        return _answer_one(request, FeedbackBody, capture_feedback)

    @documented(
        answer="The project's feedback, newest first.",
        query=Filters,
    )
    def get(self, request: KeyRequest) -> Response:
        if request.auth.scope != Scope.MANAGE:
            self.permission_denied(request)
        page = Page()
        rows = page.paginate_queryset(filtered(request), request) or []
        return page.get_paginated_response([feedback_document(row) for row in rows])


class FeedbackBatchView(APIView):
    """Up to 1,000 acts in one request; one bad item harms no other."""

    permission_classes = [AnyScope]
    asks_key_again = True
    max_body_bytes = BATCH_BYTES
    load_body = staticmethod(partial(json.split_items, max_items=MAX_BATCH_ITEMS))

    @documented(body=BatchBody, answer="One result for each item, in order.", is_answered_once=True)
    def post(self, request: KeyRequest) -> HttpResponse:
        items = cast("list[bytes]", request.data)
        if not items:
            raise malformed("/items", "At least one item.")
        body, readings = zip(*(_read_item(request, item) for item in items), strict=True)
        admitted = _admit(request, readings)
        return answered_once(request, list(body), lambda: _answer_batch(request, admitted))


def _answer_one(
    request: KeyRequest, shape: type[Body], capture: Callable[..., list[Any]]
) -> HttpResponse:
    document, reading = _read(request, request.data, shape)
    (reading,) = _admit(request, [reading])

    def answer() -> Answer:
        if isinstance(reading, EmendError):
            raise reading
        return _answer(capture(sender=sender_of(request), sent=[reading])[0])

    return answered_once(request, document, answer)


def _admit(request: KeyRequest, readings: Sequence[Sent[Any] | EmendError]) -> list[Any]:
    """Write on each body how near it comes to a limit; raise Throttled where one is reached."""
    acts = [
        (None, None) if isinstance(reading, EmendError) else reading.subjects
        for reading in readings
    ]
    shares = admit(request, acts)
    return [
        reading if isinstance(reading, EmendError) else reading._replace(burst_share=share)
        for reading, share in zip(readings, shares, strict=True)
    ]


def _answer_batch(request: KeyRequest, readings: Sequence[Reading]) -> Answer:
    sent = [reading for reading in readings if not isinstance(reading, EmendError)]
    captured = iter(capture_feedback(sender=sender_of(request), sent=sent))
    results = [
        _result(reading if isinstance(reading, EmendError) else next(captured))
        for reading in readings
    ]
    states = [result.get("feedback_status") for result in results]
    codes = [result["status"] for result in results]
    return Answer(
        200,
        {
            "results": results,
            "created": codes.count(201),
            "flagged": states.count(Status.FLAGGED),
            "rejected": codes.count(Rejected.status),
            "failed": sum(code not in {200, 201, Rejected.status} for code in codes),
        },
    )


def _read(
    request: KeyRequest, document: Any, shape: type[Body]
) -> tuple[object, Sent[Body] | EmendError]:
    """Return what tells sameness, and the body with the person whose act it is or what is wrong.

    Raises Forbidden for want of a good user token.
    """
    try:
        body = read(document, shape)
    except EmendError as error:
        return document, error
    person = person_of(request, body.user_id, body.user_token)
    if body.user_id is None and person.user_id is not None:
        # The same words of two people are not the same.
        body.user_id, document = person.user_id, document | {"user_id": person.user_id}
    return document, Sent(body, document, person.is_verified)


def _read_item(request: KeyRequest, raw: bytes) -> tuple[object, Reading]:
    try:
        document = load(raw)
    except EmendError as error:
        return raw, error
    try:
        return _read(request, document, FeedbackBody)
    except EmendError as error:
        return document, error


def _result(outcome: Kept | EmendError) -> dict[str, Any]:
    """Return the item's own answer, its HTTP status in `status`."""
    if isinstance(outcome, EmendError):
        # It may quote the item, and the answer is stored.
        document = redact(msgspec.to_builtins(problem_document(outcome))).value
        return cast("dict[str, Any]", document)
    answer = _answer(outcome)
    is_rejected = answer.status_code == Rejected.status
    status = Status.REJECTED if is_rejected else answer.body["status"]
    return answer.body | {"status": answer.status_code, "feedback_status": status}


def _answer(outcome: Kept | EmendError) -> Answer:
    """Answer what was kept; a row that validation refused is answered as the problem it is."""
    if isinstance(outcome, EmendError):
        raise outcome
    if outcome.refusal is not None:
        document = problem_document(outcome.refusal)
        return Answer(Rejected.status, document | {"id": outcome.receipt.id})
    return Answer(201 if outcome.is_new else 200, msgspec.structs.asdict(outcome.receipt))


def answered_once(request: KeyRequest, body: object, answer: Callable[[], Answer]) -> HttpResponse:
    """Answer, or give the stored answer to the same Idempotency-Key with the same body."""
    project, header = request.auth.project, request.META.get("HTTP_IDEMPOTENCY_KEY")
    given = answer_once(project, request.path, header, body, answer)
    if given.is_replay:
        require_usable(request.auth)  # what is answered anew asks on its way
    headers = {"Idempotency-Replayed": "true"} if given.is_replay else {}
    content_type = PROBLEM_TYPE if given.status_code >= 400 else "application/json"
    # DRF's own Response is made for renderers that are chosen late, and takes longer.
    return HttpResponse(
        json.dumps(given.body), content_type, status=given.status_code, headers=headers
    )
