"""The endpoints of images."""

from typing import Annotated, Any
from uuid import UUID

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpResponse
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from drf_spectacular.utils import OpenApiRequest
from msgspec import UNSET, Meta, UnsetType
from rest_framework.parsers import BaseParser
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import malformed, read
from config.errors import NotFound, TooLarge
from config.schema import File, Shape, documented
from feedback import images
from feedback.models import Image
from feedback.serializers import Body, Identifier
from feedback.views.capture import answered_once
from privacy.access import AnyScope, KeyRequest, admit, person_of, sender_of
from privacy.idempotency import Answer
from privacy.models import Scope

UPLOAD_BYTES = 20 * 1024 * 1024
FILE = {"type": "string", "format": "binary", "description": "PNG, JPEG or WebP"}


class Upload(Body, kw_only=True):
    """The parts of an upload."""

    file: Annotated[Any, Meta(extra_json_schema=FILE)]  # bytes: UploadParser takes nothing else
    user_id: Identifier | UnsetType = UNSET
    user_token: str | UnsetType = UNSET


class InMemory(MemoryFileUploadHandler):
    """Keep files in memory whatever their size: what a picture says of a person stays off disk."""

    def handle_raw_input(self, *args: Any, **options: Any) -> None:
        self.activated = True


class UploadParser(BaseParser):
    """Refuse what is too long before it is read, and parts that were not asked for."""

    media_type = "multipart/form-data"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        meta = parser_context["request"].META
        length = int(meta["CONTENT_LENGTH"])
        if length > UPLOAD_BYTES:
            raise TooLarge(f"The body may have {UPLOAD_BYTES:,} bytes; it has {length:,}.")
        try:
            form: Any = MultiPartParser(meta, stream, [InMemory()], "utf-8").parse()
        except (MultiPartParserError, SuspiciousOperation):
            raise malformed("", "Not a multipart form.") from None
        texts, files = form
        for name in {*texts, *files}:
            if len(texts.getlist(name)) + len(files.getlist(name)) > 1:
                raise malformed(_pointer(name), "Sent twice.")
        if "file" in texts:
            raise malformed("/file", "Send it as a file, with a name.")
        return texts.dict() | {name: file.read() for name, file in files.items()}


class ImagesView(APIView):
    """Pictures that a model made or a person chose."""

    permission_classes = [AnyScope]
    parser_classes = [UploadParser]

    @documented(
        body={
            UploadParser.media_type: OpenApiRequest(
                Shape(Upload), encoding={"file": {"contentType": ", ".join(images.SUFFIXES)}}
            )
        },
        gives={201: None},
        answer="The stored image.",
        is_answered_once=True,
    )
    def post(self, request: KeyRequest) -> HttpResponse:
        form = dict(request.data)
        upload = read(form, Upload)
        token = None if upload.user_token is UNSET else upload.user_token
        person = person_of(request, upload.user_id or None, token)
        admit(request, [(person.user_id, None)])

        def answer() -> Answer:
            image = images.store(
                sender=sender_of(request),
                user_id=person.user_id,
                is_verified=person.is_verified,
                data=upload.file,
            )
            return Answer(201, _receipt(image))

        if person.user_id is not None:
            form["user_id"] = person.user_id  # sameness is told by the form
        return answered_once(request, form, answer)


class ImageView(APIView):
    """What is known of one image; a capture key sees only that it created it."""

    permission_classes = [AnyScope]

    @documented(answer="The image's size, hash and origin.")
    def get(self, request: KeyRequest, image_id: UUID) -> Response:
        admit(request)
        image = _image_of(request, image_id)
        if request.auth.scope == Scope.MANAGE:
            more = {name: getattr(image, name) for name in ("media_type", "user_id", "is_verified")}
            return Response(_receipt(image) | more | {"created_at": image.created_at})
        if image.api_key_id != request.auth.pk:
            raise NotFound
        return Response({"id": image.uuid, "created_at": image.created_at})


class ImageFileView(APIView):
    """The picture itself, to be saved: a page of this address must never show it."""

    @documented(gives=File(tuple(images.SUFFIXES)), answer="The picture.", refusals=(500,))
    def get(self, request: KeyRequest, image_id: UUID) -> HttpResponse:
        image = _image_of(request, image_id)
        filename = f"{image.uuid}{images.SUFFIXES[image.media_type]}"
        return HttpResponse(
            images.load(image),
            content_type=image.media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{filename}"',
                "X-Content-Type-Options": "nosniff",
            },
        )


def _image_of(request: KeyRequest, image_id: UUID) -> Image:
    image = Image.objects.filter(project=request.auth.project, uuid=image_id).first()
    if image is None:
        raise NotFound
    return image


def _receipt(image: Image) -> dict[str, Any]:
    return {
        "id": image.uuid,
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
    }


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
