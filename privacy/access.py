"""Keys and scopes: who asks, for which project, and what that key may do."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from config.errors import Forbidden, Malformed, Problem, Unauthenticated
from privacy.models import USER_ID_PATTERN, ApiKey, Project, Scope

PREFIXES = {Scope.CAPTURE: "emd_pk_", Scope.MANAGE: "emd_sk_"}
PREFIX_LENGTH = 15  # "emd_pk_" and eight characters to look the key up by
MAX_SEEN = 10_000
_seen: dict[bytes, ApiKey] = {}  # by the key's SHA-256


def create_key(*, project: Project, name: str, scope: str, origins: list[str]) -> str:
    """Store a new key and return it; it cannot be shown again."""
    key = PREFIXES[Scope(scope)] + secrets.token_urlsafe(32)
    ApiKey.objects.create(
        project=project,
        name=name,
        scope=scope,
        prefix=key[:PREFIX_LENGTH],
        digest=hashlib.sha256(key.encode()).digest(),
        origins=origins,
    )
    return key


def find_key(key: str) -> ApiKey:
    """Return the usable key with its project; raise Unauthenticated."""
    candidate: ApiKey | None = (
        ApiKey.objects.usable().select_related("project").filter(prefix=key[:PREFIX_LENGTH]).first()
    )
    digest = hashlib.sha256(key.encode()).digest()
    if candidate is None or not hmac.compare_digest(bytes(candidate.digest), digest):
        raise Unauthenticated
    return candidate


def recall_key(key: str) -> ApiKey:
    """Return the key as this process last saw it; for views that ask again whether it is usable."""
    digest = hashlib.sha256(key.encode()).digest()
    found = _seen.get(digest)
    if found is None:
        found = find_key(key)
        if len(_seen) >= MAX_SEEN:
            _seen.clear()
        _seen[digest] = found
    return found


def require_usable(key: ApiKey) -> None:
    """Raise Unauthenticated if a recalled key has been revoked, or has expired."""
    if not ApiKey.objects.usable().filter(pk=key.pk).exists():
        raise Unauthenticated


def check_user_id(user_id: str | None, pointer: str = "/user_id") -> None:
    """Raise Malformed unless it is absent or has the contract's form."""
    if user_id is not None and not re.match(USER_ID_PATTERN, user_id):
        detail = "user_id has 1 to 128 characters of A-Z a-z 0-9 . _ : @ | + -"
        raise Malformed(detail, errors=[Problem(pointer, "api.malformed", detail)])


@dataclass(frozen=True)
class Sender:
    """Who brings something to the door: a product by one of its keys, or a command (no key)."""

    project: Project
    key: ApiKey | None = None
    source: str = "user"

    @property
    def is_trusted(self) -> bool:
        """Return whether what it says of a person is known to be that person's."""
        return self.key is None or self.key.scope == Scope.MANAGE


class KeyAuthentication(BaseAuthentication):
    """Read `Authorization: Bearer emd_...`; the key is `request.auth`."""

    def authenticate(self, request: Any) -> tuple[None, ApiKey]:
        scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not (key.isascii() and key.isprintable()):
            raise Unauthenticated
        view = request.parser_context["view"]
        find = recall_key if getattr(view, "asks_key_again", False) else find_key
        api_key = find(key.strip())
        origin = request.META.get("HTTP_ORIGIN")
        if api_key.origins and origin is not None and origin not in api_key.origins:
            raise Forbidden("This key may not be used from that origin.")
        return None, api_key

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="emend"'


class KeyRequest(Request):
    """A request that KeyAuthentication let in."""

    auth: ApiKey


def sender_of(request: KeyRequest) -> Sender:
    return Sender(request.auth.project, request.auth)


class AnyScope(BasePermission):
    """Both scopes; what a capture key may see is decided by the view."""

    def has_permission(self, request: Any, view: Any) -> bool:
        return isinstance(request.auth, ApiKey)


class ManageScope(AnyScope):
    def has_permission(self, request: Any, view: Any) -> bool:
        return super().has_permission(request, view) and request.auth.scope == Scope.MANAGE


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = KeyAuthentication
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "emd_…"}
