"""The endpoints of training runs."""

from uuid import UUID

from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import read
from config.errors import NotFound
from config.schema import documented
from feedback.views.tasks import named_task
from privacy.access import KeyRequest
from training import datasets, runs
from training.models import Run
from training.serializers import (
    RunBody,
    run_document,
)
from training.views.datasets import dataset_of, version_of


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
