"""The endpoint of balance and bias: what is in a version, and for whom its champion is worse."""

from rest_framework.response import Response
from rest_framework.views import APIView

from config.schema import documented
from feedback.serializers import Slug
from privacy.access import KeyRequest
from training import balance
from training.views.datasets import version_of


class BiasView(APIView):
    @documented(
        answer="What is in the version, its shift and coverage against traffic, worst slices.",
        refusals=(409,),
    )
    def get(self, request: KeyRequest, name: Slug, number: int) -> Response:
        return Response(balance.of_version(version_of(request, name, number)))
