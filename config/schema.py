"""How endpoints describe themselves in the OpenAPI document: their msgspec Structs say it."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

View = TypeVar("View", bound=Callable[..., Any])
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


def documented(
    *,
    answer: str,
    body: Any = None,
    status: int = 200,
    query: dict[str, str] | None = None,
    refusals: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Describe a view's method: what it answers, the Struct it reads, its query parameters."""
    responses: dict[Any, Any] = {
        status: OpenApiResponse(OpenApiTypes.OBJECT, description=answer),
    }
    for code in {400, 401, 403, 404, 503, *refusals, *((411, 413, 415) if body else ())}:
        responses[code, "application/problem+json"] = OpenApiResponse(
            PROBLEM, description="Refused"
        )
    parameters = [
        OpenApiParameter(name, OpenApiTypes.STR, description=text)
        for name, text in (query or {}).items()
    ]
    request = {"application/json": _schema_of(body)} if body else None

    def describe(method: View) -> View:
        view, _, verb = method.__qualname__.partition(".")
        return extend_schema(
            operation_id=f"{verb}{view.removesuffix('View')}",  # TaskView.get is getTask
            request=request,
            responses=responses,
            parameters=parameters,
        )(method)

    return describe


def _schema_of(shape: Any) -> dict[str, Any]:
    """Return the JSON Schema of a Struct, inlined: OpenAPI has its own place for components."""
    (schema,), components = msgspec.json.schema_components([shape])
    return dict(_inline(schema, components))


def _inline(node: Any, components: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return _inline(components[node["$ref"].rsplit("/", 1)[1]], components)
        return {key: _inline(value, components) for key, value in node.items()}
    if isinstance(node, list):
        return [_inline(value, components) for value in node]
    return node
