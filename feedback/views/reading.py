"""The endpoints that read feedback, and the decision of a product's own moderators."""

from typing import Annotated
from uuid import UUID

from django.db.models import QuerySet
from msgspec import UNSET, Meta, UnsetType
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import PageQuery, malformed, read
from config.errors import NotFound
from config.schema import documented
from feedback import review
from feedback.models import Feedback
from feedback.serializers import Identifier, ReviewBody, Slug, Time, in_utc, whole_document
from privacy import access_log
from privacy.access import AnyScope, KeyRequest, admit
from privacy.models import Scope

Word = Annotated[str, Meta(max_length=20, pattern=r"^[a-z]+(?!\n)$")]
TargetName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z_]{1,50}:[A-Za-z0-9._:@|+-]{1,128}(?!\n)$",
        description="type:id of the host's object",
    ),
]


class Filters(PageQuery, kw_only=True):
    task: Slug | UnsetType = UNSET
    status: Word | UnsetType = UNSET
    signal: Word | UnsetType = UNSET
    user_id: Identifier | UnsetType = UNSET
    target: TargetName | UnsetType = UNSET
    since: Time | UnsetType = UNSET


def filtered(request: KeyRequest) -> QuerySet[Feedback]:
    """Return the project's feedback by the query's explicit filters, with what a page shows.

    Whose acts are asked for by name is noted.
    """
    filters = read(request.query_params.dict(), Filters)
    rows = _with_all(Feedback.objects.filter(project=request.auth.project))
    if filters.task is not UNSET:
        rows = rows.filter(task__slug=filters.task)
    for name in ("status", "signal", "user_id"):
        if getattr(filters, name) is not UNSET:
            rows = rows.filter(**{name: getattr(filters, name)})
    if filters.target is not UNSET:
        type_, _, id_ = filters.target.partition(":")
        rows = rows.filter(inference__target_type=type_, inference__target_id=id_)
    if filters.since is not UNSET:
        rows = rows.filter(created_at__gte=in_utc(filters.since))
    if filters.user_id is not UNSET and rows.exists():
        access_log.note_look(request.auth.project, filters.user_id, access_log.key(request.auth))
    return rows


def _with_all(rows: QuerySet[Feedback]) -> QuerySet[Feedback]:
    return rows.select_related("task", "inference", "review").prefetch_related("examples")


class FeedbackView(APIView):
    """One feedback; a capture key sees only what it created, and no content."""

    permission_classes = [AnyScope]

    @documented(answer="The feedback, how its contributor stands and what it weighs.")
    def get(self, request: KeyRequest, feedback_id: UUID) -> Response:
        admit(request)
        row = feedback_of(request, feedback_id)
        if request.auth.scope == Scope.MANAGE:
            access_log.note_look(row.project, row.user_id, access_log.key(request.auth))
            return Response(whole_document(row))
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


DECIDED = (
    "The feedback as decided. Where several moderators must accept the same, it stays `flagged` "
    "with the decision `approve` until they have."
)


class ReviewView(APIView):
    """A decision made in the product's own moderation."""

    @documented(body=ReviewBody, answer=DECIDED, refusals=(409, 422))
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
        return Response(whole_document(feedback_of(request, feedback_id)))
