"""The endpoints of capture and review."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, cast
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from msgspec import UNSET
from rest_framework.response import Response
from rest_framework.views import APIView

from config import json
from config.api import (
    BATCH_BYTES,
    MAX_BATCH_ITEMS,
    PROBLEM_TYPE,
    Page,
    malformed,
    problem_document,
    read,
)
from config.errors import EmendError, NotFound, Problem
from config.schema import documented
from feedback import capture, review
from feedback.errors import Rejected, TaskExists
from feedback.modalities import MODALITIES
from feedback.models import Feedback, Status, Task
from feedback.serializers import (
    BatchBody,
    FeedbackBody,
    InferenceBody,
    ReviewBody,
    TaskBody,
    TaskChange,
    Time,
    feedback_document,
    inference_document,
    receipt_document,
    task_document,
)
from privacy.access import AnyScope, KeyRequest
from privacy.idempotency import Answer, answer_once
from privacy.models import Scope
from privacy.redaction import redact


class TasksView(APIView):
    """The project's tasks."""

    @documented(answer="The project's tasks, newest first.")
    def get(self, request: KeyRequest) -> Response:
        page = Page()
        tasks = page.paginate_queryset(request.auth.project.tasks.all(), request) or []
        return page.get_paginated_response([task_document(task) for task in tasks])

    @documented(body=TaskBody, status=201, answer="The new task.", refusals=(409,))
    def post(self, request: KeyRequest) -> Response:
        body = read(request.data, TaskBody)
        if body.modality not in MODALITIES:
            detail = f"One of: {', '.join(MODALITIES)}."
            raise malformed("/modality", detail, "feedback.unknown_modality")
        _check_labels(body.modality, body.labels)
        fields = {name: getattr(body, name) for name in body.__struct_fields__}
        fields["settings"] = _given_settings(request)
        try:
            with transaction.atomic():
                task = Task.objects.create(project=request.auth.project, **fields)
        except IntegrityError:
            raise TaskExists from None
        return Response(task_document(task), 201)


class TaskView(APIView):
    """One task."""

    @documented(answer="The task.")
    def get(self, request: KeyRequest, slug: str) -> Response:
        return Response(task_document(task_of(request, slug)))

    @documented(body=TaskChange, answer="The changed task.")
    def patch(self, request: KeyRequest, slug: str) -> Response:
        body = read(request.data, TaskChange)
        with transaction.atomic():
            found = Task.objects.select_for_update().filter(project=request.auth.project, slug=slug)
            if (task := found.first()) is None:
                raise NotFound
            kept = task.settings
            for name in body.__struct_fields__:
                value = getattr(body, name)
                if value is not UNSET:
                    setattr(task, name, value)
            task.settings = kept | _given_settings(request)
            if body.retrain_every_hours is not UNSET:
                task.next_retrain_at = None  # the scheduler counts from now
            _check_labels(task.modality, task.labels)
            task.save()
        return Response(task_document(task))


def _given_settings(request: KeyRequest) -> dict[str, Any]:
    """Return checked settings as sent: what nobody set goes on following the defaults."""
    sent = cast("dict[str, Any]", request.data)
    return cast("dict[str, Any]", sent.get("settings", {}))


def task_of(request: KeyRequest, slug: str) -> Task:
    task = Task.objects.filter(project=request.auth.project, slug=slug).first()
    if task is None:
        raise NotFound
    return task


def _check_labels(modality: str, labels: list[str]) -> None:
    problems = MODALITIES[modality].check_task(labels=labels)
    if problems:
        raise capture.malformed_content("", problems)


class InferencesView(APIView):
    """Outputs of models, which may be corrected."""

    permission_classes = [AnyScope]

    @documented(body=InferenceBody, status=201, answer="The stored inference.", refusals=(409, 422))
    def post(self, request: KeyRequest) -> Response:
        def answer() -> Answer:
            row, is_new = capture.capture_inference(
                key=request.auth, body=read(request.data, InferenceBody), sent=request.data
            )
            return Answer(201 if is_new else 200, inference_document(row))

        return _answered_once(request, answer)


class FeedbackListView(APIView):
    """Acts of people on inferences."""

    permission_classes = [AnyScope]

    @documented(body=FeedbackBody, status=201, answer="The stored feedback.", refusals=(409, 422))
    def post(self, request: KeyRequest) -> Response:
        return _answered_once(request, lambda: _capture(request, request.data))

    @documented(
        answer="The project's feedback, newest first.",
        query={
            "task": "slug",
            "status": "pending, flagged ...",
            "signal": "up, down, correction ...",
            "user_id": "the contributor",
            "target": "type:id of the host's object",
            "since": "RFC 3339 time of capture",
        },
    )
    def get(self, request: KeyRequest) -> Response:
        if request.auth.scope != Scope.MANAGE:
            self.permission_denied(request)
        page = Page()
        rows = page.paginate_queryset(_filtered(request), request) or []
        return page.get_paginated_response([feedback_document(row) for row in rows])


class Filters(msgspec.Struct, forbid_unknown_fields=True):
    task: Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[-\w]+$")] | None = None
    status: Annotated[str, msgspec.Meta(max_length=10, pattern=r"^[a-z]+$")] | None = None
    signal: Annotated[str, msgspec.Meta(max_length=20, pattern=r"^[a-z]+$")] | None = None
    user_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:@|+-]{1,128}$")] | None = None
    target: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,50}:[^\x00]{1,128}$")] | None = None
    since: Time | None = None


def _filtered(request: KeyRequest) -> QuerySet[Feedback]:
    """Return the project's feedback by the query's explicit filters, with what a page shows."""
    given = {k: v for k, v in request.query_params.items() if k not in {"cursor", "limit"}}
    filters = read(given, Filters)
    rows = _with_all(Feedback.objects.filter(project=request.auth.project))
    if filters.task is not None:
        rows = rows.filter(task__slug=filters.task)
    for name in ("status", "signal", "user_id"):
        if getattr(filters, name) is not None:
            rows = rows.filter(**{name: getattr(filters, name)})
    if filters.target is not None:
        type_, _, id_ = filters.target.partition(":")
        rows = rows.filter(inference__target_type=type_, inference__target_id=id_)
    if filters.since is not None:
        rows = rows.filter(created_at__gte=filters.since)
    return rows


def _with_all(rows: QuerySet[Feedback]) -> QuerySet[Feedback]:
    return rows.select_related("task", "inference", "review").prefetch_related("examples")


class FeedbackBatchView(APIView):
    """Up to 1,000 acts in one request; one bad item harms no other."""

    permission_classes = [AnyScope]
    max_body_bytes = BATCH_BYTES
    load_body = staticmethod(partial(json.split_items, max_items=MAX_BATCH_ITEMS))

    @documented(body=BatchBody, answer="One result for each item, in order.", refusals=(409, 422))
    def post(self, request: KeyRequest) -> Response:
        items = cast("list[bytes]", request.data)
        if not items:
            raise malformed("/items", "At least one item.")

        def answer() -> Answer:
            with transaction.atomic():
                capture.take_turn(request.auth.project)
                results = [_batch_result(request, item) for item in items]
            states = [result.get("feedback_status") for result in results]
            codes = [result["status"] for result in results]
            return Answer(
                200,
                {
                    "results": results,
                    "created": codes.count(201),
                    "flagged": states.count(Status.FLAGGED),
                    "rejected": codes.count(422),
                    "failed": sum(code not in {200, 201, 422} for code in codes),
                },
            )

        return _answered_once(request, answer)


def _batch_result(request: KeyRequest, raw: bytes) -> dict[str, Any]:
    """Return the item's own answer, its HTTP status in `status`."""
    try:
        item = json.loads(raw)
        with transaction.atomic():
            answer = _capture(request, item)
    except json.Malformed as problem:
        return _harmless(malformed(problem.pointer, problem.detail))
    except EmendError as error:
        return _harmless(error)
    return answer.body | {
        "status": answer.status_code,
        "feedback_status": answer.body["status"]
        if answer.status_code != Rejected.status
        else Status.REJECTED,
    }


def _harmless(error: EmendError) -> dict[str, Any]:
    """Return the problem document redacted: it may quote the item, and the answer is stored."""
    document, _ = redact(msgspec.to_builtins(problem_document(error)))
    return cast("dict[str, Any]", document)


def _capture(request: KeyRequest, sent: object) -> Answer:
    """Capture one body; a row that validation refused is answered as the problem it is."""
    row, is_new = capture.capture_feedback(
        key=request.auth, body=read(sent, FeedbackBody), sent=sent
    )
    if row.rejections:
        reasons = [Problem(**reason) for reason in row.rejections]
        detail = reasons[0].detail
        document = problem_document(Rejected(detail, errors=reasons))
        return Answer(Rejected.status, document | {"id": row.uuid})
    return Answer(201 if is_new else 200, receipt_document(row))


def _answered_once(request: KeyRequest, answer: Callable[[], Answer]) -> Response:
    project, key = request.auth.project, request.headers.get("Idempotency-Key")
    given = answer_once(project, key, request.data, answer)
    headers = {"Idempotency-Replayed": "true"} if given.is_replay else {}
    content_type = PROBLEM_TYPE if given.status_code >= 400 else None
    return Response(given.body, given.status_code, headers=headers, content_type=content_type)


class FeedbackView(APIView):
    """One feedback; a capture key sees only what it created, and no content."""

    permission_classes = [AnyScope]

    @documented(answer="The feedback.")
    def get(self, request: KeyRequest, feedback_id: UUID) -> Response:
        row = feedback_of(request, feedback_id)
        if request.auth.scope == Scope.MANAGE:
            return Response(feedback_document(row))
        if row.api_key_id != request.auth.pk:
            raise NotFound
        return Response(
            {
                "id": row.uuid,
                "status": row.status,
                "flags": row.flags,
                "created_at": row.created_at,
                "processed_at": row.processed_at,
            }
        )


def feedback_of(request: KeyRequest, feedback_id: UUID) -> Feedback:
    rows = _with_all(Feedback.objects.filter(project=request.auth.project, uuid=feedback_id))
    row = rows.first()
    if row is None:
        raise NotFound
    return row


class ReviewView(APIView):
    """A decision made in the product's own moderation."""

    @documented(body=ReviewBody, answer="The feedback as decided.", refusals=(409, 422))
    def post(self, request: KeyRequest, feedback_id: UUID) -> Response:
        body = read(request.data, ReviewBody)
        row = feedback_of(request, feedback_id)
        if body.decision != "accept" and (body.corrected is not UNSET or body.pinned):
            raise malformed("/decision", "Only what is accepted has a correction or is pinned.")
        if body.decision == "accept":
            corrected = None if body.corrected is UNSET else body.corrected
            review.accept(
                row,
                by=body.moderator,
                reason=body.reason,
                corrected=corrected,
                is_pinned=body.pinned,
            )
        elif body.decision == "reject":
            review.reject(row, by=body.moderator, reason=body.reason)
        else:
            review.escalate(row, by=body.moderator, reason=body.reason)
        return Response(feedback_document(feedback_of(request, feedback_id)))
