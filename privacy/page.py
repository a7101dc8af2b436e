"""The page of one person: what do you have of me, and how do I change that?

A product links there with a user token. It is exchanged at once for a cookie of this page alone,
so that it stays in no history; there is no account, no session and no script.
"""

import math
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import msgspec
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.views.csrf import csrf_failure
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from config.errors import EmendError, Forbidden, NotFound, Throttled, Unavailable
from privacy import access_log, erasure, exporting, holders, limits, subjects, tombstones
from privacy.access_log import PERSON, Action
from privacy.consent import Proof
from privacy.errors import Erased
from privacy.identity import user_in
from privacy.limits.windows import Window
from privacy.models import (
    DataSubject,
    ErasureRequest,
    IdentitySecret,
    Kept,
    Method,
    Project,
    days_kept,
)
from privacy.subjects import Preferences

COOKIE = "emend_privacy"
PERSON_FIELD = "person"  # in every form: whom it is about
SHOWN_FIELD = "shown"  # which switches were on when the form was shown
OF_ANOTHER, UNCHECKED, BROKEN = "of another", "unchecked", "broken"  # why a page is refused
LIFE = timedelta(minutes=30)
SHOWN = 20
LOOKS = 10
TEXT_VERSION = "emend-privacy-page/1"  # of what the page says beside its switches
RETRY_AFTER_SECONDS = 60  # as the refusal says
WRONG_LINKS = Window("wrong links", 900, 30)
SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
DONE = {
    "collection-on": "What you send is stored from now on.",
    "collection-off": "Nothing that you send is stored any more.",
    "training-on": "Models may learn from what is linked to you and what you send later.",
    "training-off": (
        "No model that is trained from now on learns from what is linked to you or what you send "
        "later."
    ),
    "anonymous-on": "What you sent has no link to you any more, and what you send will have none.",
    "anonymous-late": (
        "What you send from now on has no link to you. What you sent before still has: it is in "
        "use right now. Wait a minute, then press “Cut the link to me”."
    ),
    "anonymous-off": "What you send from now on is stored with your name in this product.",
    "same": "Nothing was changed.",
    "anonymised": "What you sent has no link to you any more.",
}


class Visit(msgspec.Struct):
    """What the cookie holds: whose page it is, until when, and what was just done."""

    project: str
    user_id: str | None
    until: float
    erasure: UUID | None = None  # of a person who is gone
    done: list[str] = []


View = Callable[[HttpRequest, Visit, Project], HttpResponseBase]


def _page(*methods: str) -> Callable[[View], Callable[[HttpRequest], HttpResponseBase]]:
    """Make a page for whoever has a visit; refusals become pages in plain words."""

    def decorate(view: View) -> Callable[[HttpRequest], HttpResponseBase]:
        @never_cache
        @require_http_methods([*methods])
        def shown(request: HttpRequest) -> HttpResponseBase:
            # Whoever of the staff may be logged in has no part in what is done here.
            request.user = AnonymousUser()
            try:
                if request.method == "GET" and "token" in request.GET:
                    return _arrive(request.GET["token"], limits.address_of(request.META))
                visit = _visit_of(request)
                project = Project.objects.get(slug=visit.project)
                if request.method == "POST" and _is_of_another(request, visit, project):
                    return _refusal(request, Forbidden(), why=OF_ANOTHER)
                return view(request, visit, project)
            except (Erased, NotFound):
                return redirect("privacy:page")
            except EmendError as refusal:
                return _refusal(request, refusal)
            except (OperationalError, InterfaceError):  # the database is away
                return _refusal(request, Unavailable(), why=BROKEN)

        return shown

    return decorate


def _arrive(token: str, address: str) -> HttpResponse:
    """Exchange a token for the cookie; raise Forbidden, or Throttled after too many bad ones."""
    with limits.failures(Forbidden, {WRONG_LINKS: address}):
        project, user_id = _vouched(token)
    return _go(Visit(project.slug, user_id, _ends_at()))


def _vouched(token: str) -> tuple[Project, str]:
    """Return whose token it is; what is read before it is verified names the project alone."""
    try:
        audience = jwt.decode(token, options={"verify_signature": False}).get("aud")
    except jwt.InvalidTokenError:
        raise Forbidden from None
    if not isinstance(audience, str) or not SLUG.fullmatch(audience):
        raise Forbidden
    project = Project.objects.filter(slug=audience).first()
    if project is None:
        raise Forbidden
    secrets = IdentitySecret.objects.live().filter(project=project)
    nonces = [bytes(nonce) for nonce in secrets.values_list("nonce", flat=True)]
    return project, user_in(token, audience=audience, nonces=nonces)


def _ends_at() -> float:
    return (timezone.now() + LIFE).timestamp()


def _visit_of(request: HttpRequest) -> Visit:
    try:
        value = signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE)
        visit = msgspec.convert(value, Visit)
    except (signing.BadSignature, msgspec.ValidationError):
        raise Forbidden from None
    if visit.until < timezone.now().timestamp():
        raise Forbidden
    return visit


def _is_of_another(request: HttpRequest, visit: Visit, project: Project) -> bool:
    """Return whether a form was shown to somebody else, whose link was opened before."""
    if visit.user_id is None:  # who is gone has no form
        return False
    return request.POST.get(PERSON_FIELD) != _person_field(project, visit.user_id)


def _person_field(project: Project, user_id: str) -> str:
    return tombstones.digest_of(project, user_id).hex()


def _keep(response: HttpResponse, visit: Visit) -> HttpResponse:
    response.set_cookie(
        COOKIE,
        signing.dumps(msgspec.to_builtins(visit), salt=COOKIE),
        max_age=max(0, math.ceil(visit.until - timezone.now().timestamp())),
        path="/privacy/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def _go(visit: Visit) -> HttpResponse:
    """Lead to the page with what it has to say, so that reloading it does nothing again."""
    return _keep(redirect("privacy:page"), visit)


def _show(
    request: HttpRequest, name: str, project: Project, user_id: str, context: dict[str, Any]
) -> HttpResponse:
    """Render a page of somebody who has a name here; its forms say whom they are about."""
    whose = {"project": project, "user_id": user_id, "person": _person_field(project, user_id)}
    return render(request, f"privacy/{name}.html", whose | context)


def _refusal(request: HttpRequest, refusal: EmendError, *, why: str = "") -> HttpResponse:
    context: dict[str, Any] = {"why": why, "is_closed": isinstance(refusal, Forbidden)}
    context["is_sure"] = request.method in {"GET", "HEAD"} or why != BROKEN
    if isinstance(refusal, Throttled):
        context["minutes"] = math.ceil(refusal.retry_after_seconds / 60)
    response = render(request, "privacy/refusal.html", context, status=refusal.status)
    response.headers["Referrer-Policy"] = "no-referrer"  # the address may have a token
    if isinstance(refusal, Throttled):
        response.headers["Retry-After"] = str(refusal.retry_after_seconds)
    if isinstance(refusal, Unavailable):
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def unchecked(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that does not show that it is of this site; the admin has its own page."""
    if request.path_info.startswith("/privacy/"):
        return _refusal(request, Forbidden(), why=UNCHECKED)
    return csrf_failure(request, reason)


@_page("GET", "HEAD")
def page(request: HttpRequest, visit: Visit, project: Project) -> HttpResponse:
    gone = _erasure_of(visit, project)
    if gone is not None:
        return _show_erasure(request, project, gone)
    user_id = _person(visit)
    access_log.note(project, user_id, Action.PAGE, PERSON)
    subject = DataSubject.objects.filter(project=project, user_id=user_id).first()
    older = request.GET.get("older", "")
    before = int(older) if re.fullmatch(r"[0-9]{1,18}", older) else None
    counts = holders.counted(project, user_id)
    told = subjects.told(project, user_id, before=before, most=SHOWN + 1)
    context = {
        "subject": subject,
        "counts": subjects.in_words(counts),
        "has_pictures": exporting.PICTURES in counts,
        "preferences": subjects.preferences(project, subject),
        "told": told[:SHOWN],
        "older": told[SHOWN - 1].number if len(told) > SHOWN else None,
        "is_older": before is not None,
        "looks": _looks(project, user_id),
        "done": [DONE[code] for code in visit.done if code in DONE],
    }
    response = _show(request, "page", project, user_id, context)
    visit.done = []
    return _keep(response, visit)


def _person(visit: Visit) -> str:
    """Return the user_id of a visit; raise Forbidden of one that has outlived its person."""
    if visit.user_id is None:
        raise Forbidden
    return visit.user_id


def _looks(project: Project, user_id: str) -> list[dict[str, Any]]:
    newest = subjects.accesses(project, user_id, but=[Action.PAGE])
    found = [look for look, _ in zip(newest, range(LOOKS), strict=False)]
    labels = dict(Action.choices)
    return [look | {"what": labels.get(look["action"], look["action"])} for look in found]


@_page("POST")
def preferences(request: HttpRequest, visit: Visit, project: Project) -> HttpResponse:
    """Save the switches; ask first where that cuts the link, which cannot be undone."""
    user_id = _person(visit)
    subject = DataSubject.objects.filter(project=project, user_id=user_id).first()
    now = asdict(subjects.preferences(project, subject))
    shown = request.POST.get(SHOWN_FIELD, "")
    # On a page that was opened long ago only what was switched there is meant.
    changed = {
        name: is_on
        for name in now
        if (is_on := name in request.POST) not in {now[name], name in shown.split()}
    }
    if changed.get("anonymous") and "confirmed" not in request.POST:
        context = {
            "what": subjects.named(project, user_id),
            "kept": [name for name in now if name in request.POST],
            "shown": shown,
        }
        return _show(request, "anonymise", project, user_id, context)
    done = {name: "on" if is_on else "off" for name, is_on in changed.items()}
    if changed:
        access_log.note(project, user_id, Action.CONSENT, PERSON)
        proof = Proof(text_version=TEXT_VERSION, language="en", method=Method.PAGE)
        try:
            subjects.prefer(project, user_id, Preferences(**changed), proof)
        except Unavailable:  # all but the unlinking is done
            done["anonymous"] = "late"
    visit.done = [f"{name}-{how}" for name, how in done.items()] or ["same"]
    return _go(visit)


@_page("GET")
def download(request: HttpRequest, visit: Visit, project: Project) -> HttpResponseBase:
    user_id = _person(visit)
    file = exporting.export(project, user_id, is_zip=request.GET.get("format") == "zip")
    access_log.note(project, user_id, Action.EXPORT, PERSON)
    return exporting.streamed(file)


@_page("GET", "HEAD", "POST")
def anonymise(request: HttpRequest, visit: Visit, project: Project) -> HttpResponse:
    user_id = _person(visit)
    subjects.find(project, user_id)
    if request.method != "POST":
        context = {"what": subjects.named(project, user_id)}
        return _show(request, "anonymise", project, user_id, context)
    # In one transaction with the unlinking its number would lead to what was theirs.
    access_log.note(project, user_id, Action.ANONYMIZE, PERSON)
    subjects.anonymise(project, user_id)
    visit.done = ["anonymised"]
    return _go(visit)


@_page("GET", "HEAD", "POST")
def erase(request: HttpRequest, visit: Visit, project: Project) -> HttpResponse:
    """Ask first; then show how far it is, to a visit that has no name any more."""
    if _erasure_of(visit, project) is not None:
        return redirect("privacy:page")
    user_id = _person(visit)
    if request.method != "POST":
        counts = holders.counted(project, user_id)
        context = {
            "what": subjects.named(project, user_id),
            "counts": subjects.in_words(counts),
            "has_pictures": exporting.PICTURES in counts,
            "days": days_kept(project)[Kept.TOMBSTONE],
        }
        return _show(request, "erase", project, user_id, context)
    access_log.note(project, user_id, Action.ERASURE, PERSON)
    asked = erasure.request(project=project, user_id=user_id, by=PERSON)
    return _go(Visit(project.slug, None, _ends_at(), erasure=asked.uuid))


def _erasure_of(visit: Visit, project: Project) -> ErasureRequest | None:
    """Return the erasure of who is gone: by the visit, or by the person who came back."""
    erasures = ErasureRequest.objects.filter(project=project)
    if visit.user_id is None:
        return erasures.filter(uuid=visit.erasure).first()
    digest = tombstones.digest_of(project, visit.user_id)
    found: ErasureRequest | None = (
        erasures.living().filter(subject_digest=digest).order_by("-pk").first()
    )
    return found


def _show_erasure(request: HttpRequest, project: Project, gone: ErasureRequest) -> HttpResponse:
    progress, doing = erasure.progress(gone)
    context = {
        "project": project,
        "erasure": gone,
        "percent": math.floor(100 * progress),
        "steps": [(step.says, step.name in gone.steps) for step in erasure.steps()],
        "removed": sum((gone.receipt or {}).get("removed", {}).values()),
        "doing": doing,
    }
    response = render(request, "privacy/erasure.html", context)
    # However long it takes: whoever looks on keeps the way to the receipt.
    return _keep(response, Visit(project.slug, None, _ends_at(), erasure=gone.uuid))


@_page("GET")
def receipt(request: HttpRequest, visit: Visit, project: Project) -> HttpResponse:
    gone = _erasure_of(visit, project)
    if gone is None or gone.receipt is None:
        raise NotFound
    return exporting.receipt_of(gone)


urlpatterns = [
    path("", page, name="page"),
    path("preferences/", preferences, name="preferences"),
    path("download/", download, name="download"),
    path("anonymise/", anonymise, name="anonymise"),
    path("erase/", erase, name="erase"),
    path("receipt/", receipt, name="receipt"),
]
