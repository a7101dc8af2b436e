"""The endpoints of model versions and their aliases."""

from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import read
from config.errors import NotFound
from config.schema import documented
from feedback.serializers import Slug
from feedback.views.tasks import task_of
from privacy.access import KeyRequest
from training import lineage, provenance, rollouts
from training.models import ModelAlias, ModelVersion
from training.serializers import LineageQuery, model_document


class ModelsView(APIView):
    @documented(answer="The task's model versions, newest first, and which aliases point where.")
    def get(self, request: KeyRequest, slug: Slug) -> Response:
        task = task_of(request, slug)
        versions = task.model_versions.select_related("run").order_by("-version")
        versions = versions.prefetch_related("erasures__replacement")
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
    @documented(answer="What the model learned from and where it served.", query=LineageQuery)
    def get(self, request: KeyRequest, slug: Slug, number: int) -> Response:
        asked = read(request.query_params.dict(), LineageQuery)
        document = lineage.of_model(model_of(request, slug, number))
        return Response(provenance.of_model(document) if asked.format == "prov" else document)


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
