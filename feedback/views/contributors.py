"""The endpoints about contributors: who is trusted on a task, why, and a moderator's own word."""

from typing import Literal

from django.utils import timezone
from msgspec import UNSET, UnsetType
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import Page, PageQuery, read
from config.errors import Malformed, NotFound
from config.schema import documented
from feedback import contributors
from feedback.models import Contributor, Feedback, Task
from feedback.serializers import Slug, StandingBody, contributor_document
from feedback.views.tasks import task_of
from privacy.access import KeyRequest
from privacy.serializers import UserId


class StandingFilter(PageQuery, kw_only=True):
    standing: Literal["probation", "trusted", "quarantined"] | UnsetType = UNSET


class ContributorsView(APIView):
    """People who said something about a task's answers."""

    @documented(answer="The task's contributors, newest first.", query=StandingFilter)
    def get(self, request: KeyRequest, slug: Slug) -> Response:
        filters = read(request.query_params.dict(), StandingFilter)
        rows = Contributor.objects.filter(task=task_of(request, slug))
        if filters.standing is not UNSET:
            rows = rows.filter(standing=filters.standing)
        page = Page()
        chosen = page.paginate_queryset(rows, request) or []
        return page.get_paginated_response([contributor_document(row) for row in chosen])


class ScoringView(APIView):
    """Scores, which are renewed each hour, asked for now."""

    @documented(gives={202: None}, answer="Begun; the task's `scored_at` tells when it is done.")
    def post(self, request: KeyRequest, slug: Slug) -> Response:
        task = task_of(request, slug)
        if not task.options.trust:
            raise Malformed("The task's setting `trust` is off.")
        is_silent = not Feedback.objects.filter(project=task.project_id, task=task).exists()
        scored_at = timezone.now() if is_silent else None  # of nobody there is nothing to find
        Task.objects.filter(pk=task.pk).update(scored_at=scored_at)
        return Response({"task": task.slug, "scored_at": scored_at}, 202)


class ContributorView(APIView):
    """One of them."""

    @documented(answer="How the person stands, and why.")
    def get(self, request: KeyRequest, slug: Slug, user_id: UserId) -> Response:
        return Response(contributor_document(_contributor_of(request, slug, user_id)))

    @documented(body=StandingBody, answer="How the person stands now.")
    def put(self, request: KeyRequest, slug: Slug, user_id: UserId) -> Response:
        row = _contributor_of(request, slug, user_id)
        body = read(request.data, StandingBody)
        row, _ = Contributor.objects.get_or_create(task=row.task, user_id=row.user_id)
        if body.standing is None:
            contributors.let_go(row, by=body.moderator)
        else:
            contributors.hold(row, standing=body.standing, by=body.moderator, reason=body.reason)
        row.refresh_from_db()
        return Response(contributor_document(row))


def _contributor_of(request: KeyRequest, slug: str, user_id: str) -> Contributor:
    """Return what is known of who said something about the task's answers, if only just now."""
    task = task_of(request, slug)
    row = Contributor.objects.filter(task=task, user_id=user_id).first()
    said = Feedback.objects.filter(project=task.project_id, task=task, user_id=user_id)
    if row is None and not said.exists():
        raise NotFound
    return row or Contributor(task=task, user_id=user_id)
