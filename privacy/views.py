"""The privacy endpoints."""

from uuid import UUID

from django.db import transaction
from django.http import StreamingHttpResponse
from msgspec import UNSET
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import Page, PageQuery, read
from config.errors import Forbidden, NotFound
from config.schema import File, documented
from privacy import access_log, consent, erasure, exporting, receipts, subjects
from privacy.access import (
    AnyScope,
    KeyRequest,
    PersonScope,
    admit,
    check_user_id,
    person_of,
)
from privacy.access_log import Action
from privacy.consent import Proof
from privacy.models import ErasureRequest, Method, Project, Purpose, Scope
from privacy.serializers import (
    ConsentBody,
    ErasureBody,
    PreferencesBody,
    PurposeName,
    SaidBody,
    SubjectExportQuery,
    UserId,
    erasure_document,
    subject_document,
)
from privacy.subjects import Preferences

CHOICES = ("collection", "training", "anonymous")


class SubjectView(APIView):
    """What is known of one person; a capture key asks with that person's token."""

    permission_classes = [PersonScope]

    @documented(answer="What this person allowed, and how much is held of them.")
    def get(self, request: KeyRequest, user_id: UserId) -> Response:
        project = _require_vouched(request, user_id)
        subject = subjects.find(project, user_id)
        access_log.note(project, user_id, Action.READ, _by(request))
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
        project = _require_vouched(request, user_id, body.user_token)
        with transaction.atomic():
            subject = consent.decide(
                project=project,
                user_id=user_id,
                purpose=Purpose(purpose),
                is_granted=body.granted,
                proof=_proof(request, body),
            )
            access_log.note(project, user_id, Action.CONSENT, _by(request))
        return Response(subject_document(subject))


class PreferencesView(APIView):
    """All that a person may choose, together."""

    permission_classes = [PersonScope]

    @documented(body=PreferencesBody, answer="What this person now allows.")
    def put(self, request: KeyRequest, user_id: UserId) -> Response:
        check_user_id(user_id)
        body = read(request.data, PreferencesBody)
        project = _require_vouched(request, user_id, body.user_token)
        said = {name: getattr(body, name) for name in CHOICES}
        wanted = Preferences(**{name: yes for name, yes in said.items() if yes is not UNSET})
        if wanted == Preferences():  # nothing is chosen, so nobody is made
            return Response(subject_document(subjects.find(project, user_id)))
        access_log.note(project, user_id, Action.CONSENT, _by(request))
        subject = subjects.prefer(project, user_id, wanted, _proof(request, body))
        return Response(subject_document(subject))


class AnonymizeView(APIView):
    """What is held of a person stays, and the link to the person goes for ever."""

    permission_classes = [PersonScope]

    @documented(answer="The person, of whom nothing is held any more by name.")
    def post(self, request: KeyRequest, user_id: UserId) -> Response:
        project = _require_vouched(request, user_id)
        subjects.find(project, user_id)
        # In one transaction with the unlinking its number would lead to what was theirs.
        access_log.note(project, user_id, Action.ANONYMIZE, _by(request))
        subject = subjects.anonymise(project, user_id)
        return Response(subject_document(subject))


class SubjectExportView(APIView):
    """All that is held of a person as one file, streamed."""

    permission_classes = [PersonScope]

    @documented(
        gives=File(("application/json", "application/zip")),
        answer="Everything that is held, by sections.",
        query=SubjectExportQuery,
    )
    def get(self, request: KeyRequest, user_id: UserId) -> StreamingHttpResponse:
        asked = read(request.query_params.dict(), SubjectExportQuery)
        project = _require_vouched(request, user_id)
        file = exporting.export(project, user_id, is_zip=asked.format == "zip")
        access_log.note(project, user_id, Action.EXPORT, _by(request))
        return exporting.streamed(file)


class ErasuresView(APIView):
    """People to be forgotten; a capture key asks for that person alone whose token it brings."""

    permission_classes = [PersonScope]

    @documented(answer="The project's erasures, newest first.", query=PageQuery)
    def get(self, request: KeyRequest) -> Response:
        if not _is_server(request):
            raise Forbidden
        read(request.query_params.dict(), PageQuery)
        rows = ErasureRequest.objects.filter(project=request.auth.project)
        page = Page()
        found = page.paginate_queryset(rows, request) or []
        return page.get_paginated_response([erasure_document(row) for row in found])

    @documented(
        body=ErasureBody,
        gives={202: None},
        answer="The person is refused from now on; the erasure is under way, or was before.",
    )
    def post(self, request: KeyRequest) -> Response:
        body = read(request.data, ErasureBody)
        project = _require_vouched(request, body.user_id, body.user_token)
        access_log.note(project, body.user_id, Action.ERASURE, _by(request))
        asked = erasure.request(project=project, user_id=body.user_id, by=_by(request))
        return Response(erasure_document(asked), 202)


class ErasureView(APIView):
    @documented(answer="How far the erasure is; the receipt once it is done.")
    def get(self, request: KeyRequest, erasure_id: UUID) -> Response:
        found = ErasureRequest.objects.filter(project=request.auth.project, uuid=erasure_id)
        row = found.first()
        if row is None:
            raise NotFound
        return Response(erasure_document(row))


class ReceiptKeyView(APIView):
    """What receipts are verified with: publish it, so that they can be checked by anybody."""

    permission_classes = [AnyScope]

    @documented(answer="The public key, 32 bytes in base64.")
    def get(self, request: KeyRequest) -> Response:
        admit(request)
        return Response({"algorithm": "Ed25519", "public_key": receipts.public_key()})


def _require_vouched(request: KeyRequest, user_id: str, token: str | None = None) -> Project:
    """Return the project, if the key may speak for that person; raise Forbidden, Malformed."""
    check_user_id(user_id)
    admit(request, [(user_id, None)])
    if not person_of(request, user_id, token).is_verified:
        raise Forbidden("A capture key may do that with this person's user token alone.")
    return request.auth.project


def _is_server(request: KeyRequest) -> bool:
    return request.auth.scope == Scope.MANAGE


def _proof(request: KeyRequest, body: SaidBody) -> Proof:
    method = Method.API if _is_server(request) else Method.TOKEN
    return Proof(body.text_version, body.language, method, body.evidence)


def _by(request: KeyRequest) -> str:
    """Return who asks, as the access log has it."""
    return access_log.key(request.auth) if _is_server(request) else access_log.PERSON
