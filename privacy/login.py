"""The admin's login: a password, the code of a second factor, a limit on guesses of both.

Guesses are counted of a name from one address, and of an address. Not of a name alone: a stranger
elsewhere could lock its owner out.
"""

from collections.abc import Callable
from typing import Any

import django_otp
from django import forms
from django.contrib import admin, auth, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.views import LoginView, redirect_to_login
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

from config.errors import Throttled
from privacy import limits, second_factor


class Guessed(forms.Form):
    """Refuse after too many failures, whether or not what is given is right."""

    request: HttpRequest | None
    retry_after_seconds = 0

    def limited(self, judge: Callable[[], Any], name: str | None) -> None:
        """Judge what is given, and count it for that name if it is wrong."""
        address = limits.address_of(self.request.META if self.request else {})
        counted = {
            limits.FAILED_LOGINS: f"{address} {name}",
            limits.FAILED_LOGINS_OF_ADDRESS: address,
        }
        try:
            with limits.failures(ValidationError, counted):
                judge()
        except Throttled as refusal:
            self.retry_after_seconds = seconds = refusal.retry_after_seconds
            wait = f"{seconds} s" if seconds < 60 else f"{-(-seconds // 60)} min"
            message = f"Too many failed logins. Try again in {wait}, and not before."
            raise ValidationError(message) from None


class LoginForm(Guessed, AdminAuthenticationForm):
    """Name and password."""

    def clean(self) -> dict[str, Any]:
        self.limited(super().clean, self.cleaned_data.get("username"))
        return self.cleaned_data


class CodeInput(forms.PasswordInput):
    input_type = "text"  # it may be seen, but a wrong one is not sent back


class CodeForm(Guessed):
    """A code of the app, or a recovery code; the first one of a new device confirms it."""

    code = forms.CharField(
        max_length=20,
        widget=CodeInput(attrs={"autocomplete": "one-time-code", "autofocus": True}),
    )

    def __init__(
        self, request: HttpRequest, *args: Any, is_confirmed: bool = True, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.request, self.is_confirmed = request, is_confirmed
        self.user: Any = request.user

    def clean_code(self) -> str:
        self.limited(self._verify, self.user.get_username())
        return str(self.cleaned_data["code"])

    def _verify(self) -> None:
        code = self.cleaned_data["code"]
        self.device = second_factor.verify(self.user, code, is_confirmed=self.is_confirmed)
        if self.device is None:
            raise ValidationError("This code does not work now; each works once.")

    def get_user(self) -> Any:
        self.user.otp_device = self.device  # by this the login counts as one with a code
        return self.user


class CodeView(LoginView):
    form_class = CodeForm  # type: ignore[assignment]
    template_name = "admin/code.html"
    next_page = "admin:index"

    def form_valid(self, form: Any) -> HttpResponse:
        self.request.session.cycle_key()
        return super().form_valid(form)


def is_staff(user: Any) -> bool:
    return bool(user.is_active and user.is_staff)


def has_permission(request: HttpRequest) -> bool:
    """Let nobody into the admin who owes a code."""
    return is_staff(request.user) and second_factor.may_enter(request.user)


admin.site.login_form = LoginForm
admin.site.has_permission = has_permission  # type: ignore[method-assign]


def login(request: HttpRequest) -> HttpResponse:
    """Ask for the password as the admin does, then for a code, or lead to where one is set up."""
    if "leave" in request.POST:
        auth.logout(request)
        return HttpResponseRedirect(request.get_full_path())
    has_password = is_staff(request.user) and "username" not in request.POST
    if has_password and second_factor.is_asked(request.user):
        context = admin.site.each_context(request) | {"title": "Second factor"}
        return _refused(CodeView.as_view(extra_context=context)(request))
    if has_password and not second_factor.may_enter(request.user):
        return HttpResponseRedirect(reverse("second_factor"))
    return _refused(admin.site.login(request))


def _refused(response: Any) -> HttpResponse:
    """Answer 429 where the form refused to look."""
    form = (getattr(response, "context_data", None) or {}).get("form")
    if isinstance(form, Guessed) and form.retry_after_seconds:
        response.status_code = 429
        response.headers["Retry-After"] = str(form.retry_after_seconds)
    return response  # type: ignore[no-any-return]


@never_cache
def second_factor_page(request: HttpRequest) -> HttpResponse:
    """Let staff set up a second factor, make new recovery codes, or remove it."""
    user: Any = request.user
    if not is_staff(user) or second_factor.is_asked(user):
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    device, codes = second_factor.device_of(user), []
    form = CodeForm(request, request.POST or None, is_confirmed=device is not None)
    if form.is_valid():
        if device is not None and "remove" in request.POST:
            second_factor.remove([user], by=user)
            messages.success(request, "There is no second factor any more.")
            return HttpResponseRedirect(reverse("second_factor"))
        codes = _codes(request, form.device)
    new = None
    if not (device or codes):
        earlier = second_factor.device_of(user, is_confirmed=False)
        new = earlier if earlier and form.is_bound else second_factor.begin(user)
    context = admin.site.each_context(request) | {
        "title": "Second factor",
        "form": form,
        "device": device,
        "codes": codes,
        "left": second_factor.codes_left(user),
        "picture": new and second_factor.picture(new),
        "secret": new and second_factor.secret(new),
    }
    return _refused(TemplateResponse(request, "admin/second_factor.html", context))


def _codes(request: HttpRequest, device: Any) -> list[str]:
    """Return new recovery codes, after a code that confirms the device if it is a new one."""
    if device.confirmed:
        return second_factor.new_recovery_codes(request.user)
    codes = second_factor.confirm(device)
    request.session.cycle_key()
    django_otp.login(request, device)
    return codes
