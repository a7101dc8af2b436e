"""The floor: a bare Django view that parses a feedback and does one ORM insert. No middleware."""

from typing import Any

import django
import msgspec
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import path

from config import settings as product

DATABASE = product.DATABASES["default"] | {"NAME": "floor", "CONN_HEALTH_CHECKS": False}

settings.configure(
    SECRET_KEY="floor",  # noqa: S106  signs nothing
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": DATABASE},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    LOGGING_CONFIG=None,
    MIDDLEWARE=[],
    ROOT_URLCONF="benchmarks.door.floor",
    USE_TZ=True,
)
django.setup()


class Row(models.Model):
    """Twelve columns with the primary key, three indexes besides it."""

    uuid = models.UUIDField(null=True)
    task = models.CharField(max_length=100)
    signal = models.CharField(max_length=20)
    user_id = models.CharField(max_length=128, db_index=True)
    session_id = models.CharField(max_length=128)
    input = models.JSONField(null=True)
    output = models.JSONField(null=True)
    corrected = models.JSONField(null=True)
    comment = models.TextField()
    metadata = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    objects: "models.Manager[Row]" = models.Manager()

    class Meta:
        app_label = "floor"
        db_table = "row"
        indexes = [
            models.Index(fields=["uuid"], name="row_by_uuid"),
            models.Index(fields=["task", "created_at"], name="row_by_task"),
        ]


class Body(msgspec.Struct):
    signal: str
    user_id: str
    session_id: str
    metadata: dict[str, Any]
    inference_id: str | None = None
    task: str = ""
    input: Any = None
    output: Any = None
    corrected: Any = None
    comment: str = ""


DECODER = msgspec.json.Decoder(Body)


def create(request: HttpRequest) -> HttpResponse:
    values = msgspec.structs.asdict(DECODER.decode(request.body))
    row = Row.objects.create(uuid=values.pop("inference_id"), **values)
    content = msgspec.json.encode({"id": row.pk, "status": "pending"})
    headers = {"Content-Length": str(len(content))}
    return HttpResponse(content, status=201, content_type="application/json", headers=headers)


def healthz(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(headers={"Content-Length": "0"})


urlpatterns = [path("api/v1/feedback/", create), path("healthz", healthz)]
application = get_wsgi_application()

if __name__ == "__main__":
    with connection.schema_editor() as editor:
        editor.create_model(Row)
