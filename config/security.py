"""What every request and answer passes: a known length, and headers that keep content inert."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from config.api import plain_problem
from config.errors import LengthRequired

View = Callable[[HttpRequest], HttpResponse]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def length_required(get_response: View) -> View:
    """Refuse bodies of unknown length (chunked), which could not be limited before reading."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "HTTP_TRANSFER_ENCODING" in request.META and "CONTENT_LENGTH" not in request.META:
            return plain_problem(LengthRequired())
        return get_response(request)

    return middleware


def content_security_policy(get_response: View) -> View:
    """Add the strict Content-Security-Policy to every answer."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return middleware
