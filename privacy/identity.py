"""User tokens: by a JWT (RFC 7519) a product's server vouches for the person behind a page."""

import base64
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from datetime import timedelta

import jwt
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from config.errors import Forbidden
from privacy.models import USER_ID_PATTERN, IdentitySecret, Project

MAX_LIFE_SECONDS = 900
LEEWAY_SECONDS = 30
CLAIMS = ["exp", "sub", "aud"]


@transaction.atomic
def create_secret(*, project: Project, overlap: timedelta) -> str:
    """Make what signs the project's tokens from now on, and return it; it is not kept.

    Earlier secrets hold for `overlap` longer, unless they end before.
    """
    until = Now() + overlap
    earlier = IdentitySecret.objects.filter(project=project)
    earlier.filter(Q(expires_at=None) | Q(expires_at__gt=until)).update(expires_at=until)
    nonce = secrets.token_bytes(32)
    IdentitySecret.objects.create(project=project, nonce=nonce)
    return _secret(nonce)


def _secret(nonce: bytes) -> str:
    """Return the secret of a nonce: who has the database alone cannot sign."""
    digest = hmac.digest(settings.SECRET_KEY.encode(), b"identity" + nonce, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def user_in(token: str, *, audience: str, nonces: Iterable[bytes]) -> str:
    """Return the user_id that a token vouches for; raise Forbidden, which quotes none of it."""
    for nonce in nonces:
        try:
            claims = jwt.decode(
                token,
                _secret(nonce),
                algorithms=["HS256"],
                audience=audience,
                leeway=LEEWAY_SECONDS,
                options={"require": CLAIMS},
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidAlgorithmError:
            raise _refusal("is not HS256") from None
        except jwt.ExpiredSignatureError:
            raise _refusal("has expired") from None
        except jwt.InvalidAudienceError:
            raise _refusal("is for another audience than this project") from None
        except jwt.InvalidTokenError:
            raise _refusal("is no JWT that holds now and has exp, sub and aud") from None
        if int(claims["exp"]) > time.time() + MAX_LIFE_SECONDS + LEEWAY_SECONDS:
            raise _refusal("is too long-lived: exp may be 15 minutes ahead")
        if not re.match(USER_ID_PATTERN, claims["sub"]):
            raise _refusal("has a sub that is no user_id")
        return str(claims["sub"])
    raise _refusal("is not signed with a live identity secret of this project")


def _refusal(why: str) -> Forbidden:
    return Forbidden(f"The user token {why}.")
