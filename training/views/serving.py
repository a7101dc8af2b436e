"""The endpoints by which a product asks the served model."""

from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import read
from config.schema import documented
from feedback.serializers import Slug
from feedback.views.tasks import task_of
from privacy.access import KeyRequest, sender_of
from training import serving
from training.serializers import (
    RouteQuery,
    served_document,
)
from training.serving import PredictBody


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
