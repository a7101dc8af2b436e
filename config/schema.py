"""How endpoints describe themselves in the OpenAPI document: their msgspec Structs say it."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.plumbing import ComponentIdentity, ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import UNSET, Meta, UnsetType

from config.errors import Problem

View = TypeVar("View", bound=Callable[..., Any])
EMEND_USER = "A user_token for all of the request: a JWT that vouches for who acts."
IDEMPOTENCY_KEY = "Gives a repeat of this request the first answer; kept for 7 days."
# Django's converter takes the canonical form alone.
CANONICAL = {"pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}


class ProblemDocument(msgspec.Struct):
    """A refusal (RFC 9457); programs go by its code."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[Problem]
    id: Annotated[
        UUID | UnsetType, Meta(description="Of feedback that was refused by validation, and kept.")
    ] = UNSET


class Shape:
    """A Struct as drf-spectacular takes serializers."""

    def __init__(self, of: Any) -> None:
        (ref,), components = msgspec.json.schema_components(
            [of], ref_template="#/components/schemas/{name}"
        )
        self.name = ref["$ref"].rsplit("/", 1)[1]
        self.components = _unnamed(components)


def _unnamed(schema: Any) -> Any:
    """Wrap each `enum`: drf-spectacular would make components of those that have a type."""
    if isinstance(schema, list):
        return [_unnamed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: _unnamed(part) for name, part in schema.items()}
    return {"anyOf": [parts]} if "enum" in parts else parts


class ShapeExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Put a Struct, and those that it is made of, among the document's components."""

    target_class = Shape

    def get_name(self, auto_schema: Any, direction: Any) -> str:
        return str(self.target.name)

    def get_identity(self, auto_schema: Any, direction: Any) -> Any:
        return _identity(self.target.name)

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        for name, schema in self.target.components.items():
            kind = ResolvedComponent.SCHEMA
            part = ResolvedComponent(name, kind, schema, _identity(name))  # type: ignore[no-untyped-call]
            auto_schema.registry.register_on_missing(part)
        return dict(self.target.components[self.target.name])


def _identity(name: str) -> ComponentIdentity:
    return ComponentIdentity(name)  # type: ignore[no-untyped-call]


class File(NamedTuple):
    """An answer that is no JSON, by the media types that it may have."""

    media_types: tuple[str, ...]


def documented(
    *,
    answer: str,
    gives: Any = None,
    body: Any = None,
    query: type[msgspec.Struct] | None = None,
    refusals: tuple[int, ...] = (),
    is_answered_once: bool = False,
) -> Callable[[View], View]:
    """Describe a view's method: what it answers, the Structs it reads, what it refuses with.

    `gives` is a Struct, a File, or None for an object that nothing more is said of, or a table
    of these by status; `body` is a Struct of JSON, or an OpenApiRequest by media type. The
    arguments of the method after the request say what its path may have.
    """
    if is_answered_once:
        refusals += (409, 422)
    given = gives if isinstance(gives, dict) else {200: gives}
    codes = {400, 401, 403, 404, 429, 503, *refusals, *((411, 413, 415) if body else ())}
    responses: dict[Any, Any] = {
        (code, "application/problem+json"): OpenApiResponse(PROBLEM, description="Refused")
        for code in codes
    }
    for status, shape in given.items():
        responses |= _answers(status, shape, answer)
    parameters = [
        OpenApiParameter("WWW-Authenticate", str, "header", required=True, response=[401]),
        OpenApiParameter("Retry-After", int, "header", required=True, response=[429, 503]),
    ]
    if query is not None:
        parameters += _query_parameters(query)
    if is_answered_once:
        replayed = {"enum": ["true"]}
        parameters += [
            OpenApiParameter("Idempotency-Key", str, "header", description=IDEMPOTENCY_KEY),
            OpenApiParameter("Emend-User", str, "header", description=EMEND_USER),
            OpenApiParameter("Idempotency-Replayed", replayed, "header", response=[*given, 422]),
        ]
    request = body if body is None or isinstance(body, dict) else {"application/json": Shape(body)}

    def describe(method: View) -> View:
        view, _, verb = method.__qualname__.partition(".")
        return extend_schema(
            operation_id=f"{verb}{view.removesuffix('View')}",  # TaskView.get is getTask
            request=request,
            responses=responses,
            parameters=[*parameters, *_path_parameters(method)],
        )(method)

    return describe


def _answers(status: int, gives: Any, description: str) -> dict[Any, OpenApiResponse]:
    if isinstance(gives, File):
        return {
            (status, media_type): OpenApiResponse(
                OpenApiTypes.OBJECT if media_type == "application/json" else OpenApiTypes.BINARY,
                description=description,
            )
            for media_type in gives.media_types
        }
    shape = OpenApiTypes.OBJECT if gives is None else Shape(gives)
    return {(status, "application/json"): OpenApiResponse(shape, description=description)}


def _query_parameters(query: type[msgspec.Struct]) -> list[OpenApiParameter]:
    schema = Shape(query).components[query.__name__]
    return [
        OpenApiParameter(name, field, required=name in schema["required"])
        for name, field in schema["properties"].items()
    ]


def _path_parameters(method: Callable[..., Any]) -> list[OpenApiParameter]:
    named = [*inspect.signature(method).parameters.values()][2:]
    return [OpenApiParameter(p.name, _path_schema(p.annotation), "path") for p in named]


def _path_schema(kind: Any) -> dict[str, Any]:
    more = CANONICAL if kind is UUID else {"minimum": 0} if kind is int else {}
    return msgspec.json.schema(kind) | more


PROBLEM = Shape(ProblemDocument)
