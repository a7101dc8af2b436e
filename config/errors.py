"""The root of all domain errors: each carries what an RFC 9457 problem document says."""

from dataclasses import dataclass
from typing import ClassVar

_TITLES: dict[str, str] = {}  # of each code


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one place of a body; `pointer` is a JSON Pointer (RFC 6901)."""

    pointer: str
    code: str
    detail: str


class EmendError(Exception):
    """A refusal with a documented, stable `code`; `status` is its HTTP status."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]

    def __init_subclass__(cls) -> None:
        _TITLES[cls.code] = cls.title

    def __init__(self, detail: str = "", *, errors: list[Problem] | None = None) -> None:
        self.detail = detail or self.title
        self.errors = errors or []
        super().__init__(self.detail)


def title_of(code: str) -> str:
    """Say in words what a code means; nothing of an unknown one."""
    return _TITLES.get(code, "")


class Malformed(EmendError):
    """The body is not what the endpoint documents."""

    code = "api.malformed"
    status = 400
    title = "The request is malformed"


class Unauthenticated(EmendError):
    code = "api.unauthenticated"
    status = 401
    title = "A valid key is required"


class Forbidden(EmendError):
    code = "api.forbidden"
    status = 403
    title = "This key may not do that"


class NotFound(EmendError):
    code = "api.not_found"
    status = 404
    title = "There is nothing here"


class MethodNotAllowed(EmendError):
    code = "api.method_not_allowed"
    status = 405
    title = "This address does not take that method"


class UnsupportedMediaType(EmendError):
    code = "api.unsupported_media_type"
    status = 415
    title = "The body is of another media type than this address takes"


class IdConflict(EmendError):
    """The same id, or an idempotency key that is still running, with another content."""

    code = "api.id_conflict"
    status = 409
    title = "This id is taken by another content"


class LengthRequired(EmendError):
    code = "api.length_required"
    status = 411
    title = "Content-Length is required"


class TooLarge(EmendError):
    code = "api.too_large"
    status = 413
    title = "The body is too large"


class IdempotencyMismatch(EmendError):
    """IETF draft-ietf-httpapi-idempotency-key-header: a key names one content for ever."""

    code = "api.idempotency_mismatch"
    status = 422
    title = "This Idempotency-Key was used with another content"


class Throttled(EmendError):
    """A limit is reached; after `retry_after_seconds` the same request would pass."""

    code = "api.throttled"
    status = 429
    title = "Too many requests"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class InternalError(EmendError):
    code = "api.internal"
    status = 500
    title = "The server failed to answer"


class FileDamaged(EmendError):
    code = "api.file_damaged"
    status = 500
    title = "A stored file does not have its checksum"


class FileMissing(FileDamaged):
    """There is no such file: what is derived can be made again."""

    code = "api.file_missing"
    title = "A stored file is missing"


class Unavailable(EmendError):
    """Nothing was stored, unless `detail` says what; try again after `Retry-After` seconds."""

    code = "api.unavailable"
    status = 503
    title = "The service is not available right now"


class LeaseLost(EmendError):
    """Another worker has taken the work over; what this one did is dropped."""

    code = "api.lease_lost"
    status = 409
    title = "Another worker does this work now"


class WorkerDied(EmendError):
    """Written on failed builds, runs and erasures; no endpoint answers with it."""

    code = "api.worker_died"
    status = 500
    title = "This work killed its worker again and again"
