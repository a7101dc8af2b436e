"""What every request and answer passes: a known length, which pages may ask, inert content."""

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


SHARED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, Idempotency-Replayed",
}
PREFLIGHT = SHARED | {
    "Access-Control-Allow-Methods": "GET, POST, PUT",
    # By name: "*" would not cover Authorization.
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Emend-User",
    "Access-Control-Max-Age": "7200",
}


def cross_origin(get_response: View) -> View:
    """Let pages of every origin use the API: with a publishable key, never with cookies."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if "HTTP_ORIGIN" not in request.META or not request.path_info.startswith("/api/v1/"):
            return get_response(request)
        if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META:
            return HttpResponse(status=204, headers=PREFLIGHT)
        response = get_response(request)
        # A server's secret has no business in a page: what it opens no page may read.
        if getattr(getattr(request, "auth", None), "scope", None) != "manage":
            for name, value in SHARED.items():
                response.headers[name] = value
        return response

    return middleware


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
