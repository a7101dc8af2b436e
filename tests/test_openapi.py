"""The OpenAPI document against the running server: Schemathesis with all of its checks."""

import io
import json
import sys

import httpx
import PIL.Image
import pytest
import schemathesis
from click.testing import CliRunner
from hypothesis import strategies
from hypothesis.configuration import set_hypothesis_home_dir
from schemathesis.cli import run
from schemathesis.config import SchemathesisConfig

from config.management.commands import up
from privacy.models import ApiKey
from tests.config.test_api import objects_of
from tests.processes import Processes, wait_until
from tests.product import Product

EXAMPLES, SEED = {"manage": 12, "capture": 6}, 3
# What JSON Schema cannot say of a well-formed request, by the beginning of the refusal.
UNSAID = (
    "Expected `int",  # 5.0 is an integer to JSON Schema
    "An integer beyond 2^53",
    "Between the years 1970 and 9998.",
    "Send inference_id, or task, input and output",
    "A capture key says whose",
    "Only what is accepted has a correction or is pinned.",
    "Not a cursor of this list.",
    "Not a sound PNG, JPEG or WebP picture.",
    "A moving picture",
    "The Idempotency-Key is empty.",  # of spaces alone, too
)
# What a request may name that is there; the rest is made up.
NAMED = {
    "body.task": "mood",
    "body.input": "good soup",
    "body.output": "pos",
    "body.corrected": "neg",
    "body.correction_type": "label",
    "query.against": "1",
}


@schemathesis.check
def well_formed_is_understood(ctx, response, case):
    """A request that the document allows is refused for what it says, not for its form."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code != 400:
        return
    errors = response.json()["errors"]
    formal = [error["detail"] for error in errors if error["code"] == "api.malformed"]
    assert errors, "refused without a reason"
    assert [d for d in formal if not d.startswith(UNSAID)] == [], "the document allows it"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Let well-formed feedback name an inference or make one; no schema of ours says which.

    A token that was made up would end nearly every request at the door.
    """
    (case.headers or {}).pop("Emend-User", None)
    is_feedback = case.operation.label == "POST /api/v1/feedback/" and isinstance(case.body, dict)
    if is_feedback and case.meta.generation.mode.is_positive:
        made = {name: NAMED[f"body.{name}"] for name in ("task", "input", "output")}
        rest = {key: value for key, value in case.body.items() if key not in made}
        case.body = rest if rest.get("inference_id") else made | rest


def picture():
    file = io.BytesIO()
    PIL.Image.new("RGB", (2, 2)).save(file, "PNG")
    return file.getvalue()


schemathesis.openapi.media_type("image/png", strategies.just(picture()))


@pytest.fixture
def shop(transactional_db):
    shop = Product("shop")
    shop.task(correction_types=["label"])
    return shop


@pytest.fixture
def server(shop):
    """Run the web server alone on the test's database; return its address."""
    processes, port = Processes(), up._free_port("127.0.0.1", 0)
    web = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
    processes._start("web", [*web, "--blocking-threads", "4", "config.wsgi:application"])
    wait_until(lambda: up._answers("127.0.0.1", port))
    yield f"http://127.0.0.1:{port}"
    processes.end()


def test_it_works(server):
    assert httpx.get(f"{server}/api/schema/").text.startswith("openapi: 3.1")


def configuration(user, folder, names):
    """Return Schemathesis's settings, as its configuration file has them."""
    # 400 and 422 are refusals by content here; `well_formed_is_understood` tells those of the form.
    accepted = ["2xx", "3xx", "400", "401", "403", "404", "409", "422"]
    accepting = {"negative_data_rejection": {"expected-statuses": ["200", "201", "4xx"]}}
    operations = [
        # Each item has a status of its own, in an answer of 200.
        {"include-operation-id": "postFeedbackBatch", "checks": accepting},
        # In a form a number is text, and may be a user_id.
        {"include-operation-id": "postImages", "checks": accepting},
    ]
    return {
        "seed": SEED,
        "continue-on-failure": True,
        "generation": {
            "max-examples": EXAMPLES[user],
            "database": "none",
            "allow-x00": False,  # no text of ours may have it
        },
        "checks": {"positive_data_acceptance": {"expected-statuses": accepted}},
        "operations": operations,
        "auth": {
            "wfc": {
                "path": str(folder / "keys.json"),
                "user": user,
                "peers": ["manage", "stranger"],
            }
        },
        "dictionaries": {
            name.replace(".", "-"): {"values": [value if isinstance(value, int) else str(value)]}
            for name, value in names.items()
        },
        "parameters": {
            name: {"dictionary": name.replace(".", "-"), "probability": 0.8} for name in names
        },
    }


def identities(keys):
    """Write keys as Web Fuzzing Commons has them."""
    return [
        {
            "name": name,
            "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {key.secret}"}],
        }
        for name, key in keys.items()
    ]


@pytest.mark.parametrize("user", ["manage", "capture"])
def test_the_server_does_what_its_document_says(shop, server, tmp_path, monkeypatch, user):
    monkeypatch.chdir(tmp_path)  # for what Schemathesis and Hypothesis keep
    set_hypothesis_home_dir(tmp_path)
    paths = {f"path.{name.split(':')[1]}": value for name, value in objects_of(shop).items()}
    keys = {"manage": shop, "stranger": Product("stranger"), "capture": shop.capture_key()}
    unlimited = dict.fromkeys(("burst", "rate", "quota"))
    subjects = ("key", "contributor", "session", "address")
    ApiKey.objects.filter(pk=keys["capture"].key.pk).update(
        limits=dict.fromkeys(subjects, unlimited)
    )
    (tmp_path / "keys.json").write_text(json.dumps({"auth": identities(keys)}))
    names = NAMED | paths | {"body.inference_id": shop.infer()}
    settings = SchemathesisConfig.from_dict(configuration(user, tmp_path, names))
    arguments = [f"{server}/api/schema/", "--checks", "all"]
    result = CliRunner().invoke(run, arguments, obj=settings)
    print(result.output)
    assert result.exit_code == 0
