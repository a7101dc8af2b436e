"""The endpoints of datasets, runs, models, rollouts and serving."""

import re
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.http import StreamingHttpResponse
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import BATCH_BYTES, Page, malformed, read
from config.errors import NotFound
from config.json import loads_items
from config.schema import File, documented
from feedback.imports import import_examples
from feedback.serializers import Slug
from feedback.views.reading import feedback_of
from feedback.views.tasks import named_task, task_of
from privacy.access import KeyRequest, sender_of
from privacy.models import Project
from training import datasets, lineage, rollouts, runs, serving
from training.errors import DatasetExists, FormatUnsuitable
from training.formats import FORMATS
from training.models import Dataset, DatasetVersion, ModelAlias, ModelVersion, Rollout, Run
from training.serializers import (
    DatasetBody,
    DiffQuery,
    ExamplesBody,
    ExportQuery,
    LeftOutQuery,
    RolloutBody,
    RouteQuery,
    RunBody,
    left_out_document,
    model_document,
    rollout_document,
    run_document,
    served_document,
    version_document,
)
from training.serving import PredictBody


class DatasetsView(APIView):
    """Named lines of data."""

    @documented(body=DatasetBody, gives={201: None}, answer="The new dataset.", refusals=(409,))
    def post(self, request: KeyRequest) -> Response:
        body = read(request.data, DatasetBody)
        task = named_task(request, body.task)
        try:
            with transaction.atomic():
                dataset = Dataset.objects.create(
                    project=task.project,
                    task=task,
                    name=body.name,
                    purpose=body.purpose,
                    settings=msgspec.to_builtins(body.settings),
                )
        except IntegrityError:
            raise DatasetExists from None
        return Response({"name": dataset.name, "task": task.slug, "purpose": dataset.purpose}, 201)


def dataset_of(project: Project, name: str) -> Dataset:
    dataset = Dataset.objects.filter(project=project, name=name).first()
    if dataset is None:
        raise NotFound
    return dataset


def version_of(request: KeyRequest, name: Slug, number: int) -> DatasetVersion:
    versions = DatasetVersion.objects.filter(dataset__project=request.auth.project, name=name)
    version = versions.select_related("dataset__task").filter(version=number).first()
    if version is None:
        raise NotFound
    return version


class VersionsView(APIView):
    """Versions of one dataset."""

    @documented(gives={202: None}, answer="The version is being built.")
    def post(self, request: KeyRequest, name: Slug) -> Response:
        version = datasets.request_version(dataset_of(request.auth.project, name))
        return Response(version_document(version), 202)


class VersionView(APIView):
    @documented(answer="The dataset version.")
    def get(self, request: KeyRequest, name: Slug, number: int) -> Response:
        return Response(version_document(version_of(request, name, number)))


class ExportView(APIView):
    """The rows of a version in a file format, streamed."""

    @documented(
        gives=File(tuple(format_.content_type for format_ in FORMATS.values())),
        answer="The file.",
        query=ExportQuery,
        refusals=(409, 422),
    )
    def get(self, request: KeyRequest, name: Slug, number: int) -> StreamingHttpResponse:
        version = version_of(request, name, number)
        datasets.require_ready(version)
        chosen = FORMATS.get(request.query_params.get("format", "jsonl"))
        if chosen is None:
            raise FormatUnsuitable(f"One of: {', '.join(FORMATS)}.")
        rows = (_export_row(row) for row in datasets.rows(version))
        response = StreamingHttpResponse(chosen.write(rows), content_type=chosen.content_type)
        filename = f"{version.name}-v{version.version}{chosen.suffix}"
        response["Content-Disposition"] = f'attachment; filename="{filename}"'
        return response


def _export_row(row: datasets.Row) -> dict[str, object]:
    """Return what an export tells of a row: its content and its kind, never a person."""
    fields = ("input", "output", "weight", "split", "case", "source", "signal")
    return {name: getattr(row, name) for name in fields}


class LeftOutPage(Page):
    """By id: a version's rows are stored at once, so their times cannot order them."""

    def get_ordering(self, *_context: Any) -> tuple[str, ...]:
        return ("-pk",)

    def decode_cursor(self, request: Any) -> Any:
        cursor = super().decode_cursor(request)
        if cursor is not None and not re.fullmatch(r"[0-9]{1,18}", cursor.position or "0"):
            raise malformed("/cursor", "Not a cursor of this list.")
        return cursor


class LeftOutView(APIView):
    """The train rows that a version left out for being like a row of its holdout."""

    @documented(
        answer="What was left out, each with the nearest example of the holdout.",
        query=LeftOutQuery,
    )
    def get(self, request: KeyRequest, name: Slug, number: int) -> Response:
        read(request.query_params.dict(), LeftOutQuery)
        rows = version_of(request, name, number).left_out.select_related("example__feedback")
        page = LeftOutPage()
        found = page.paginate_queryset(rows, request) or []
        return page.get_paginated_response([left_out_document(row) for row in found])


class DiffView(APIView):
    @documented(answer="How two versions differ.", query=DiffQuery, refusals=(409,))
    def get(self, request: KeyRequest, name: Slug, number: int) -> Response:
        against = int(read(request.query_params.dict(), DiffQuery).against)
        version, other = version_of(request, name, number), version_of(request, name, against)
        return Response(datasets.diff(version, other))


class VersionLineageView(APIView):
    @documented(answer="Where the version came from and where it went.")
    def get(self, request: KeyRequest, name: Slug, number: int) -> Response:
        return Response(lineage.of_version(version_of(request, name, number)))


class FeedbackLineageView(APIView):
    @documented(answer="What became of the feedback.")
    def get(self, request: KeyRequest, feedback_id: UUID) -> Response:
        return Response(lineage.of_feedback(feedback_of(request, feedback_id)))


class ExamplesView(APIView):
    """Starting data that did not come from feedback."""

    max_body_bytes = BATCH_BYTES
    load_body = staticmethod(partial(loads_items, max_bytes=BATCH_BYTES))

    @documented(body=ExamplesBody, gives={201: None}, answer="How many examples were stored.")
    def post(self, request: KeyRequest) -> Response:
        body = read(request.data, ExamplesBody)
        task = named_task(request, body.task)
        pairs = [(item.input, item.output) for item in body.items]
        return Response({"created": import_examples(task, pairs, split=body.split)}, 201)


class RunsView(APIView):
    @documented(body=RunBody, gives={202: None}, answer="The run is queued.", refusals=(422,))
    def post(self, request: KeyRequest) -> Response:
        body = read(request.data, RunBody)
        task = named_task(request, body.task)
        dataset = dataset_of(task.project, body.dataset) if body.dataset else None
        version = None
        if body.version is not None:
            dataset = dataset or datasets.default_dataset(task)
            version = version_of(request, dataset.name, body.version)
        run = runs.request(task, dataset=dataset, version=version, seed=body.seed)
        return Response(run_document(run), 202)


class RunView(APIView):
    @documented(answer="The run.")
    def get(self, request: KeyRequest, run_id: UUID) -> Response:
        found = Run.objects.filter(task__project=request.auth.project, uuid=run_id)
        run = found.select_related("task", "dataset_version", "model_version").first()
        if run is None:
            raise NotFound
        return Response(run_document(run))


class ModelsView(APIView):
    @documented(answer="The task's model versions, newest first, and which aliases point where.")
    def get(self, request: KeyRequest, slug: Slug) -> Response:
        task = task_of(request, slug)
        versions = task.model_versions.select_related("run").order_by("-version")
        aliases = ModelAlias.objects.filter(task=task).values_list("name", "model_version__version")
        return Response(
            {"aliases": dict(aliases), "versions": [model_document(v) for v in versions]}
        )


def model_of(request: KeyRequest, slug: Slug, number: int) -> ModelVersion:
    versions = ModelVersion.objects.filter(task__project=request.auth.project, task__slug=slug)
    version = versions.select_related("run__dataset_version", "task__project")
    found = version.filter(version=number).first()
    if found is None:
        raise NotFound
    return found


class ModelView(APIView):
    @documented(answer="The model version.")
    def get(self, request: KeyRequest, slug: Slug, number: int) -> Response:
        return Response(model_document(model_of(request, slug, number)))


class ModelLineageView(APIView):
    @documented(answer="What the model learned from and where it served.")
    def get(self, request: KeyRequest, slug: Slug, number: int) -> Response:
        return Response(lineage.of_model(model_of(request, slug, number)))


class PromoteView(APIView):
    @documented(answer="The version now serves everybody.", refusals=(409,))
    def post(self, request: KeyRequest, slug: Slug, number: int) -> Response:
        alias = rollouts.promote(model_of(request, slug, number))
        return Response({"champion": alias.model_version.version})


class RollbackView(APIView):
    @documented(answer="The earlier champion serves everybody again.", refusals=(409,))
    def post(self, request: KeyRequest, slug: Slug) -> Response:
        alias = rollouts.rollback(task_of(request, slug))
        return Response({"champion": alias.model_version.version})


class PredictView(APIView):
    @documented(body=PredictBody, answer="The served model's answer.", refusals=(409,))
    def post(self, request: KeyRequest, slug: Slug) -> Response:
        served = serving.predict(
            sender=sender_of(request),
            is_verified=sender_of(request).is_trusted,
            task=task_of(request, slug),
            body=read(request.data, PredictBody),
            sent=request.data,
        )
        return Response(served_document(served))


class RouteView(APIView):
    @documented(answer="Which version serves this user.", query=RouteQuery, refusals=(409,))
    def get(self, request: KeyRequest, slug: Slug) -> Response:
        chosen = serving.route(task_of(request, slug), request.query_params.get("user_id"))
        return Response(
            {
                "model_version": chosen.model_version.version,
                "arm": chosen.arm,
                "artifact": chosen.model_version.weights_hash,
            }
        )


class RolloutsView(APIView):
    @documented(
        body=RolloutBody, gives={201: None}, answer="The canary has begun.", refusals=(409,)
    )
    def post(self, request: KeyRequest) -> Response:
        body = read(request.data, RolloutBody)
        task = named_task(request, body.task)
        rollout = rollouts.start(model_of(request, task.slug, body.challenger), body.plan)
        return Response(rollout_document(rollout), 201)


def rollout_of(request: KeyRequest, rollout_id: UUID) -> Rollout:
    found = Rollout.objects.filter(task__project=request.auth.project, uuid=rollout_id)
    rollout = found.select_related("task", "champion", "challenger").first()
    if rollout is None:
        raise NotFound
    return rollout


class RolloutView(APIView):
    @documented(answer="The rollout.")
    def get(self, request: KeyRequest, rollout_id: UUID) -> Response:
        return Response(rollout_document(rollout_of(request, rollout_id)))


class AdvanceView(APIView):
    @documented(answer="The challenger now serves everybody.", refusals=(409,))
    def post(self, request: KeyRequest, rollout_id: UUID) -> Response:
        return Response(rollout_document(rollouts.advance(rollout_of(request, rollout_id))))


class AbortView(APIView):
    @documented(answer="The champion serves everybody again.", refusals=(409,))
    def post(self, request: KeyRequest, rollout_id: UUID) -> Response:
        return Response(rollout_document(rollouts.abort(rollout_of(request, rollout_id))))
