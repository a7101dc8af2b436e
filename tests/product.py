"""A product that uses Emend over HTTP, as tests play it, and a stranger beside it."""

from django.db import connection
from django.test import Client

from config import json
from feedback import processing
from privacy.access import create_key
from privacy.models import ApiKey, Project

TASK = {"slug": "mood", "modality": "classification", "labels": ["neg", "pos"]}


class Product:
    """A product's server: a project and one of its keys."""

    def __init__(self, slug="shop", *, scope="manage", origins=()):
        self.project, _ = Project.objects.get_or_create(slug=slug, defaults={"name": slug})
        self.secret = create_key(
            project=self.project, name="server", scope=scope, origins=list(origins)
        )
        self.key = ApiKey.objects.get(prefix=self.secret[:15])
        self.client = Client(headers={"Authorization": f"Bearer {self.secret}"})

    def send(self, method, path, body=b"", **headers):
        """Send a request with a JSON body; bytes go as they are."""
        return self.client.generic(
            method,
            f"/api/v1/{path}",
            body if isinstance(body, bytes) else json.dumps(body),
            content_type="application/json",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    def post(self, path, body, status=None, **headers):
        return answered(self.send("POST", path, body, **headers), status)

    def put(self, path, body, status=200):
        return answered(self.send("PUT", path, body), status)

    def patch(self, path, body, status=200):
        return answered(self.send("PATCH", path, body), status)

    def get(self, path, status=200):
        return answered(self.client.get(f"/api/v1/{path}"), status)

    def refused(self, method, path, body=b"", *, status, code, **headers):
        """Send what must be refused with this problem; return the problem document."""
        answer = self.send(method, path, body, **headers)
        return problem(answer, status, code)

    def task(self, **changes):
        return self.post("tasks/", TASK | changes, 201)

    def infer(self, text="good soup", output="pos", **more):
        body = {"task": "mood", "input": text, "output": output} | more
        return self.post("inferences/", body, 201)["id"]

    def correct(self, user_id, text="good soup", *, status=201, **more):
        """Send a correction from pos to neg, its inference made on the way."""
        body = {"task": "mood", "input": text, "output": "pos", "user_id": user_id}
        return self.post(
            "feedback/", body | {"signal": "correction", "corrected": "neg"} | more, status
        )

    def capture_key(self, **options):
        """Return another client of the same project, with a publishable key."""
        return Product(self.project.slug, scope="capture", **options)


def answered(answer, status):
    if status is not None:
        assert answer.status_code == status, answer.content
    return answer.json()


def problem(answer, status, code):
    """Assert that the answer is the documented RFC 9457 problem; return its document."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        status,
        "application/problem+json",
    ), answer.content
    document = answer.json()
    assert {"type", "title", "status", "code", "detail", "errors"} <= set(document)
    assert (document["status"], document["code"]) == (status, code), str(document)
    assert document["type"] == f"urn:emend:error:{code}"
    return document


def process():
    """Do the pending work of the text queue."""
    return processing.process_queue("process.text")


def stored_text():
    """Return the text of every row of every table."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = []
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')  # noqa: S608
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)
