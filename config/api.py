"""How the API reads bodies, answers, pages and fails; the same for every endpoint."""

import logging
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from config import errors
from config.json import Malformed as MalformedJSON
from config.json import loads

logger = logging.getLogger(__name__)
Body = TypeVar("Body")
ITEM_BYTES = 256 * 1024
BATCH_BYTES = 8 * 1024 * 1024
MAX_BATCH_ITEMS = 1_000
RETRY_AFTER_SECONDS = 2


class StrictJSONParser(BaseParser):
    """Refuse what is too long or not strict JSON before anything is built from it."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        context = parser_context or {}
        length = int(context["request"].META["CONTENT_LENGTH"])
        limit = getattr(context["view"], "max_body_bytes", ITEM_BYTES)
        if length > limit:
            raise errors.TooLarge(f"The body may have {limit:,} bytes; it has {length:,}.")
        return load(stream.read(length), getattr(context["view"], "load_body", loads))


def load(raw: bytes, decode: Callable[[bytes], Any] = loads) -> Any:
    """Decode strict JSON; raise Malformed with the place where it is none."""
    try:
        return decode(raw)
    except MalformedJSON as problem:
        raise malformed(problem.pointer, problem.detail) from None


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        return b"" if data is None else msgspec.json.encode(data)


class JSONOnly(BaseContentNegotiation):
    """Answer in JSON whatever the client accepts; there is nothing else to choose from."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        content_type = (request.content_type or "").split(";")[0].strip().lower()
        return next((p for p in parsers if p.media_type == content_type), None)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class Page(CursorPagination):
    """Newest first; `?limit=` up to 200 rows; `next` is an address or null."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = ("-created_at", "-pk")

    def decode_cursor(self, request: Any) -> Any:
        try:
            return super().decode_cursor(request)
        except exceptions.NotFound:
            raise malformed("/cursor", "Not a cursor of this list.") from None

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link()})


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every list may be asked for."""

    cursor: Annotated[str, msgspec.Meta(description="Where a page begins; `next` has it.")] = ""
    limit: Annotated[str, msgspec.Meta(description="Rows of a page, up to 200; 50 by default.")] = (
        ""
    )


def malformed(pointer: str, detail: str, code: str = "api.malformed") -> errors.Malformed:
    return errors.Malformed(detail, errors=[errors.Problem(pointer, code, detail)])


def read(value: object, shape: type[Body]) -> Body:
    """Convert decoded JSON to `shape`, a msgspec Struct; raise Malformed with the place."""
    try:
        return msgspec.convert(value, shape, strict=True, str_keys=False)
    except msgspec.ValidationError as problem:
        detail, _, path = str(problem).partition(" - at `$")
        pointer = re.sub(r"[.\[]", "/", path.rstrip("`").replace("]", ""))
        unknown = re.search(r"(?:unknown|required) field `([^`]+)`", detail)
        if unknown:
            pointer += "/" + unknown[1].replace("~", "~0").replace("/", "~1")
        raise malformed(pointer, detail) from None


def problem_document(error: errors.EmendError) -> dict[str, Any]:
    """Return the RFC 9457 document of an error."""
    return {
        "type": f"urn:emend:error:{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "errors": error.errors,
    }


def _emend_error(exc: Exception) -> errors.EmendError | None:
    """Translate what Django, DRF and the database raise into an error of ours."""
    translations: list[tuple[tuple[type[Exception], ...], type[errors.EmendError]]] = [
        ((exceptions.NotAuthenticated, exceptions.AuthenticationFailed), errors.Unauthenticated),
        ((exceptions.PermissionDenied, PermissionDenied), errors.Forbidden),
        ((exceptions.NotFound, Http404), errors.NotFound),
        ((exceptions.MethodNotAllowed,), errors.MethodNotAllowed),
        ((exceptions.UnsupportedMediaType,), errors.UnsupportedMediaType),
        ((exceptions.Throttled,), errors.Throttled),
        # A cursor or filter that is no time or number reaches the database before it fails.
        ((exceptions.APIException, ValidationError, DataError), errors.Malformed),
        ((OperationalError, InterfaceError), errors.Unavailable),
    ]
    if isinstance(exc, errors.EmendError):
        return exc
    return next((ours() for theirs, ours in translations if isinstance(exc, theirs)), None)


def problem_response(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer any documented error as `application/problem+json`; None lets Django answer 500."""
    error = _emend_error(exc)
    if error is None:
        return None
    headers = _headers(error)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="emend"'
    if isinstance(error, errors.Unavailable):
        logger.warning("api.unavailable")
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return Response(
        problem_document(error), error.status, headers=headers, content_type=PROBLEM_TYPE
    )


PROBLEM_TYPE = "application/problem+json"


def _headers(error: errors.EmendError) -> dict[str, str]:
    if isinstance(error, errors.Throttled):
        return {"Retry-After": str(error.retry_after_seconds)}
    comes_again = isinstance(error, errors.Unavailable)
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if comes_again else {}


def plain_problem(error: errors.EmendError) -> HttpResponse:
    """Answer an error outside DRF's views."""
    document = msgspec.json.encode(problem_document(error))
    return HttpResponse(document, PROBLEM_TYPE, status=error.status, headers=_headers(error))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _refusal(request, errors.NotFound(), "404.html")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _refusal(request, errors.Forbidden(), "403.html")


def _refusal(request: HttpRequest, error: errors.EmendError, page: str) -> HttpResponse:
    """Answer staff with a page of the admin, and whoever else asks with the problem."""
    if not request.path_info.startswith("/admin/"):
        return plain_problem(error)
    return render(request, page, admin.site.each_context(request), status=error.status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return plain_problem(errors.Malformed())


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what no view caught, as a page does not when its database is away."""
    is_away = isinstance(sys.exception(), OperationalError | InterfaceError)
    return plain_problem(errors.Unavailable() if is_away else errors.InternalError())
