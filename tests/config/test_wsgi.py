"""What the web server gives to the application, before Django reads any of it."""

import json
import subprocess
import sys

import pytest
from django.conf import settings

# In a process of its own: the module sets up the interpreter for serving.
PROGRAM = """
import io, json, sys
from config.wsgi import application
environ = json.loads(sys.stdin.read()) | {"wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}
said = []
body = b"".join(application(environ, lambda status, headers: said.extend([status, *headers])))
print(json.dumps([said[0], dict(map(tuple, said[1:])), body.decode()]))
"""


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/feedback/"])
def test_a_header_that_cannot_be_read_is_answered(path):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_NAME": "x", "SERVER_PORT": "80"}
    environ["CONTENT_TYPE"] = "application/json; x*=foo''b"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(environ),
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    status, headers, body = json.loads(done.stdout)
    assert (status, headers["Content-Type"]) == ("400 Bad Request", "application/problem+json")
    assert json.loads(body)["code"] == "api.malformed"
