"""Pictures of a project, for staff to look at."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from config.errors import FileDamaged
from feedback import images
from feedback.models import Image
from privacy.admin import ReadOnlyAdmin

# An hour: a picture that is erased must not live on in a browser for long.
CACHED = "private, max-age=3600, immutable"


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    list_display = ["thumbnail", "project", "size", "user_id", "is_verified", "created"]
    list_select_related = ["project"]
    list_per_page = 20
    ordering = ["-number"]
    search_fields = ["user_id__startswith", "uuid__startswith"]
    search_help_text = "A contributor's id, or an image's id or its beginning"
    readonly_fields = ["picture", "size"]
    fields = [*readonly_fields, "project", "user_id", "is_verified", "sha256", "created_at"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("feedback.view_feedback")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.picture_view, cacheable=True)
        return [path("<uuid:image_id>/", view, name="feedback_picture"), *super().get_urls()]

    def picture_view(self, request: HttpRequest, image_id: UUID) -> HttpResponse:
        """Serve the picture itself; it was decoded and written anew, so it is nothing else."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        image = self.get_queryset(request).filter(uuid=image_id).first()
        if image is None:
            raise Http404
        try:
            data = images.load(image)
        except FileDamaged:
            raise Http404 from None
        filename = f"{image}{images.SUFFIXES[image.media_type]}"
        headers = {
            "Cache-Control": CACHED,
            # A browser shows a picture alone by styles that the policy forbids: pages show it.
            "Content-Disposition": f'attachment; filename="{filename}"',
            "X-Content-Type-Options": "nosniff",
        }
        return HttpResponse(data, content_type=image.media_type, headers=headers)

    @admin.display(description="Picture")
    def thumbnail(self, image: Image) -> str:
        return self._shown(image, "thumbnail")

    @admin.display(description="Picture")
    def picture(self, image: Image) -> str:
        return self._shown(image, "full")

    def _shown(self, image: Image, css: str) -> str:
        return format_html(
            '<img class="{}" src="{}" width="{}" height="{}" alt="Image {}" loading="lazy">',
            css,
            reverse("admin:feedback_picture", args=[image.uuid]),
            image.width,
            image.height,
            str(image.uuid)[:8],
        )

    @admin.display(description="Size, pixels")
    def size(self, image: Image) -> str:
        return f"{image.width} \N{MULTIPLICATION SIGN} {image.height}"
