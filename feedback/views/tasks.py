"""The endpoints of tasks."""

from typing import Any, cast

from django.db import IntegrityError, transaction
from msgspec import UNSET
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import Page, PageQuery, malformed, read
from config.errors import NotFound, Problem
from config.schema import documented
from feedback.capture.cleaning import malformed_content, unknown_task
from feedback.errors import TaskExists
from feedback.modalities import MODALITIES
from feedback.models import Task
from feedback.serializers import Slug, TaskBody, TaskChange, task_document
from feedback.task_settings import TaskSettings
from feedback.validation import check_thresholds
from privacy.access import KeyRequest
from privacy.redaction import check_rules


class TasksView(APIView):
    """The project's tasks."""

    @documented(answer="The project's tasks, newest first.", query=PageQuery)
    def get(self, request: KeyRequest) -> Response:
        page = Page()
        tasks = page.paginate_queryset(request.auth.project.tasks.all(), request) or []
        return page.get_paginated_response([task_document(task) for task in tasks])

    @documented(body=TaskBody, gives={201: None}, answer="The new task.", refusals=(409,))
    def post(self, request: KeyRequest) -> Response:
        body = read(request.data, TaskBody)
        if body.modality not in MODALITIES:
            detail = f"One of: {', '.join(MODALITIES)}."
            raise malformed("/modality", detail, "feedback.unknown_modality")
        _check(body.modality, body.labels, body.settings)
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
    def get(self, request: KeyRequest, slug: Slug) -> Response:
        return Response(task_document(task_of(request, slug)))

    @documented(body=TaskChange, answer="The changed task.")
    def patch(self, request: KeyRequest, slug: Slug) -> Response:
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
            _check(task.modality, task.labels, task.options)
            task.save()
        return Response(task_document(task))


def named_task(request: KeyRequest, slug: str) -> Task:
    """Return the task that a body names; raise Malformed."""
    try:
        return task_of(request, slug)
    except NotFound:
        raise unknown_task(slug) from None


def _given_settings(request: KeyRequest) -> dict[str, Any]:
    """Return checked settings as sent: what nobody set goes on following the defaults."""
    sent = cast("dict[str, Any]", request.data)
    return cast("dict[str, Any]", sent.get("settings", {}))


def task_of(request: KeyRequest, slug: str) -> Task:
    task: Task | None = Task.objects.filter(project=request.auth.project, slug=slug).first()
    if task is None:
        raise NotFound
    return task


def _check(modality: str, labels: list[str], settings: TaskSettings) -> None:
    problems = MODALITIES[modality].check_task(labels=labels)
    wrong = [*check_rules(settings.redaction), *check_thresholds(settings.thresholds)]
    problems += [Problem("/settings" + p.pointer, p.code, p.detail) for p in wrong]
    if problems:
        raise malformed_content("", problems)
