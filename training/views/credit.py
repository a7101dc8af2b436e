"""The endpoint of credit: what each correction did to a model's loss on its holdout."""

from typing import Annotated, Literal

import msgspec
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import read
from config.schema import documented
from feedback.serializers import Body, Slug
from privacy.access import KeyRequest
from training import crediting
from training.views.models import model_of


class CreditQuery(Body, kw_only=True):
    order: Annotated[
        Literal["harmful", "helpful"],
        msgspec.Meta(description="Which contributors and feedback come first."),
    ] = "harmful"
    limit: Annotated[
        str,
        msgspec.Meta(pattern=r"^[0-9]{1,3}(?!\n)$", description="How many of each, up to 999."),
    ] = "100"


class CreditView(APIView):
    @documented(
        answer="Credit by source, contributor and feedback, with 95% limits.",
        query=CreditQuery,
        refusals=(409,),
    )
    def get(self, request: KeyRequest, slug: Slug, number: int) -> Response:
        query = read(request.query_params.dict(), CreditQuery)
        document = crediting.of_model(
            model_of(request, slug, number),
            is_harmful_first=query.order == "harmful",
            limit=int(query.limit),
        )
        return Response(document)
