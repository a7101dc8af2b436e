"""The endpoints of rollouts."""

from uuid import UUID

from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import read
from config.errors import NotFound
from config.schema import documented
from feedback.views.tasks import named_task
from privacy.access import KeyRequest
from training import rollouts
from training.models import Rollout
from training.serializers import (
    RolloutBody,
    rollout_document,
)
from training.views.models import model_of


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
