"""All addresses; the only module that sees all apps."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

import feedback.urls
import privacy.page
import privacy.urls
import training.urls
from config.health import healthz, readyz
from privacy.login import login, second_factor_page
from training.dashboard.views import background

urlpatterns = [
    # First what is asked most.
    path("api/v1/", include(feedback.urls)),
    path("api/v1/", include(privacy.urls)),
    path("api/v1/", include(training.urls)),
    path("privacy/", include((privacy.page.urlpatterns, "privacy"))),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),  # before the admin's own, which has no limit
    path("admin/second-factor/", second_factor_page, name="second_factor"),
    path("admin/background/", admin.site.admin_view(background), name="background"),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("healthz", healthz),
    path("readyz", readyz),
]

handler400 = "config.api.bad_request"
handler403 = "config.api.forbidden"
handler404 = "config.api.not_found"
handler500 = "config.api.server_error"
