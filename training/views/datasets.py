"""The endpoints of datasets, their versions and starting data."""

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
from feedback.imports import Item, import_examples
from feedback.serializers import Slug
from feedback.views.reading import feedback_of
from feedback.views.tasks import named_task
from privacy.access import KeyRequest
from privacy.models import Project
from training import datasets, exports, lineage, provenance
from training.errors import DatasetExists
from training.formats import FORMATS
from training.models import Dataset, DatasetVersion, LeftOut
from training.serializers import (
    DatasetBody,
    DiffQuery,
    ExamplesBody,
    ExportQuery,
    LeftOutQuery,
    LineageQuery,
    left_out_document,
    version_document,
)


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
        asked = read(request.query_params.dict(), ExportQuery)
        file = exports.export(version, asked.format, split=asked.split)
        response = StreamingHttpResponse(file.pieces, content_type=file.content_type)
        response["Content-Disposition"] = f'attachment; filename="{file.name}"'
        return response


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
    """What a version might have taken and did not."""

    @documented(
        answer="What was left out and why; the row of the holdout that it is like, if it is that.",
        query=LeftOutQuery,
        refusals=(409,),
    )
    def get(self, request: KeyRequest, name: Slug, number: int) -> Response:
        asked = read(request.query_params.dict(), LeftOutQuery)
        version = version_of(request, name, number)
        datasets.require_ready(version)
        rows = LeftOut.objects.of_version(version).select_related("example__feedback")
        if asked.reason is not None:
            rows = rows.filter(reason=asked.reason)
        page = LeftOutPage()
        found = page.paginate_queryset(rows, request) or []
        return page.get_paginated_response([left_out_document(row) for row in found])


class DiffView(APIView):
    @documented(answer="How two versions differ.", query=DiffQuery, refusals=(409,))
    def get(self, request: KeyRequest, name: Slug, number: int) -> Response:
        against = int(read(request.query_params.dict(), DiffQuery).against)
        version, other = version_of(request, name, number), version_of(request, name, against)
        datasets.require_ready(version)
        datasets.require_ready(other)
        return Response(datasets.diff(version, other))


class VersionLineageView(APIView):
    @documented(answer="Where the version came from and where it went.", query=LineageQuery)
    def get(self, request: KeyRequest, name: Slug, number: int) -> Response:
        asked = read(request.query_params.dict(), LineageQuery)
        document = lineage.of_version(version_of(request, name, number))
        return Response(provenance.of_version(document) if asked.format == "prov" else document)


class FeedbackLineageView(APIView):
    @documented(
        answer="What became of the feedback; `became` says it to its contributor.",
        query=LineageQuery,
    )
    def get(self, request: KeyRequest, feedback_id: UUID) -> Response:
        asked = read(request.query_params.dict(), LineageQuery)
        document = lineage.of_feedback(feedback_of(request, feedback_id))
        if asked.format == "prov":
            hide = lineage.pseudonym_of(document["project"])
            return Response(provenance.of_feedback(document, hide))
        return Response(document)


class ExamplesView(APIView):
    """Starting data that did not come from feedback."""

    max_body_bytes = BATCH_BYTES
    load_body = staticmethod(partial(loads_items, max_bytes=BATCH_BYTES))

    @documented(body=ExamplesBody, gives={201: None}, answer="How many examples were stored.")
    def post(self, request: KeyRequest) -> Response:
        body = read(request.data, ExamplesBody)
        task = named_task(request, body.task)
        items = (Item(**msgspec.structs.asdict(item)) for item in body.items)
        return Response({"created": import_examples(task, items, split=body.split)}, 201)
