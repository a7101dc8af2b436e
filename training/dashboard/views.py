"""The page of background work; the dashboard itself is the admin's index."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from training.dashboard.background import may_see, mend, page_of


@require_http_methods(["GET", "POST"])
def background(request: HttpRequest) -> HttpResponse:
    if not may_see(request.user):
        raise PermissionDenied
    if request.method == "POST":
        return mend(request)
    shown = page_of(request.user, request.GET.get("why", ""))
    context = admin.site.each_context(request) | {"title": "Background work"}
    return TemplateResponse(request, "admin/background.html", context | shown)
