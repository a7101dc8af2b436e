"""The privacy endpoints."""

from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import read
from config.errors import Forbidden, NotFound
from config.schema import documented
from privacy import consent
from privacy.access import KeyRequest, PersonScope, admit, check_user_id, person_of
from privacy.models import DataSubject, Purpose
from privacy.serializers import ConsentBody, PurposeName, UserId, subject_document


class SubjectView(APIView):
    """What is known of one person; a capture key asks with that person's token."""

    permission_classes = [PersonScope]

    @documented(answer="What this person allowed.")
    def get(self, request: KeyRequest, user_id: UserId) -> Response:
        check_user_id(user_id)
        _require_vouched(request, user_id)
        subject = DataSubject.objects.filter(project=request.auth.project, user_id=user_id).first()
        if subject is None:
            raise NotFound
        return Response(subject_document(subject))


class ConsentView(APIView):
    """One purpose of one person; a capture key sets it with that person's token."""

    permission_classes = [PersonScope]

    @documented(body=ConsentBody, answer="What this person now allows.")
    def put(self, request: KeyRequest, user_id: UserId, purpose: PurposeName) -> Response:
        check_user_id(user_id)
        if purpose not in Purpose.values:
            raise NotFound
        body = read(request.data, ConsentBody)
        _require_vouched(request, user_id, body.user_token)
        subject = consent.decide(
            project=request.auth.project,
            user_id=user_id,
            purpose=Purpose(purpose),
            is_granted=body.granted,
        )
        return Response(subject_document(subject))


def _require_vouched(request: KeyRequest, user_id: str, token: str | None = None) -> None:
    admit(request, [(user_id, None)])
    if not person_of(request, user_id, token).is_verified:
        raise Forbidden("A capture key may do that with this person's user token alone.")
