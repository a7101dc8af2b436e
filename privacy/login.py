"""The admin's login, with a limit on guesses: of a name from one address, and of an address.

Not of a name alone: a stranger elsewhere could lock its owner out.
"""

import math
from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from config.errors import Throttled
from privacy import limits


class LoginForm(AdminAuthenticationForm):
    """Refuse after too many failures, whether or not the password is right."""

    retry_after_seconds = 0

    def clean(self) -> dict[str, Any]:
        address = limits.address_of(self.request.META if self.request else {})
        counted = {
            limits.FAILED_LOGINS: f"{address} {self.cleaned_data.get('username')}",
            limits.FAILED_LOGINS_OF_ADDRESS: address,
        }
        try:
            with limits.failures(ValidationError, counted):
                return super().clean()
        except Throttled as refusal:
            self.retry_after_seconds = refusal.retry_after_seconds
            minutes = math.ceil(refusal.retry_after_seconds / 60)
            message = f"Too many failed logins. Try again in {minutes} min, and not before."
            raise ValidationError(message) from None


admin.site.login_form = LoginForm


def login(request: HttpRequest) -> HttpResponse:
    """Answer as the admin does, but with 429 where the form refused to look."""
    response = admin.site.login(request)
    form = (getattr(response, "context_data", None) or {}).get("form")
    if isinstance(form, LoginForm) and form.retry_after_seconds:
        response.status_code = 429
        response.headers["Retry-After"] = str(form.retry_after_seconds)
    return response
