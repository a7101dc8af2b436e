"""Staff: their accounts and roles, the projects given to them, a second factor that is lost."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from privacy import second_factor
from privacy.models import StaffProject

admin.site.unregister([User, TOTPDevice, StaticDevice])  # the last two would show secrets


class GivenProjects(admin.TabularInline):
    model = StaffProject
    extra = 0
    verbose_name_plural = "Projects given (a superuser sees all, other staff without any nothing)"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("auth.change_user")

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


@admin.register(User)
class StaffAdmin(UserAdmin):
    list_display = ["username", "email", "is_staff", "given", "has_second_factor"]
    inlines = [GivenProjects]
    actions = ["remove_second_factor"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        devices = TOTPDevice.objects.filter(user=OuterRef("pk"), confirmed=True)
        users = super().get_queryset(request).annotate(has_device=Exists(devices))
        found: QuerySet[Any] = users.prefetch_related("given_projects__project")
        return found

    def has_reset_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    @admin.display(description="Projects given")
    def given(self, user: Any) -> str:
        if user.is_superuser:
            return "all"
        return ", ".join(str(row.project) for row in user.given_projects.all()) or "none"

    @admin.display(description="Second factor", boolean=True, ordering="has_device")
    def has_second_factor(self, user: Any) -> bool:
        return bool(user.has_device)

    @admin.action(description="Remove the second factor (a lost phone)", permissions=["reset"])
    def remove_second_factor(self, request: HttpRequest, users: QuerySet[Any]) -> None:
        removed = second_factor.remove(users, by=request.user)
        self.message_user(request, f"Removed of {removed}: they set up a new one at their login.")
