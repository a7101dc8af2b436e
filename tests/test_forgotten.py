"""A canary goes into every field of every modality, the whole way, and is nowhere after erasure."""

import io
import json
import os
import signal
import subprocess
import sys

import PIL.Image
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from config import embedded, storage
from feedback import processing
from feedback.models import DeadLetter, Image
from privacy import erasure, limits, verifying
from privacy.limits.shared import Meter
from privacy.models import DataSubject, ErasureRequest
from tests.commands import run
from tests.processes import Processes
from tests.product import Product
from training import archives, serving, tasks
from training.models import Archive, ModelVersion

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "zyxcanary"
ANN = f"ann-{CANARY}"
GOOD = ["good food", "very good soup", "good and warm", "lovely good place", "so good", "good tea"]
BAD = ["bad food", "very bad soup", "bad and cold", "awful bad place", "so bad", "bad tea"]
PAGE = {"page": {"width": 800, "height": 600}, "book": f"The {CANARY} of Tintin"}
BOX = {"id": CANARY, "label": "panel", "bbox": [10, 20, 30, 40]}
QUEUES = ("process.text", "process.layout", "process.image")


@pytest.fixture(autouse=True)
def _own_files(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")
    settings.ERASURE_LOG_URL = str(tmp_path / "log")
    serving._states.clear()


def said(user, **more):
    """Return what every inference and act may hold besides its content."""
    note = CANARY if user == ANN else "nothing"
    return {
        "user_id": user,
        "session_id": f"session-{note}",
        "metadata": {f"key-{note}": [f"value {note}", {"deep": note}]},
    } | more


def shown(user, task, input_, output):
    note = CANARY if user == ANN else "nothing"
    body = {"task": task, "input": input_, "output": output, "model_version": f"model {note}"}
    return said(user, **body, target={"type": "comic", "id": f"comic-{note}"})


def picture(product, user, colour):
    file = io.BytesIO()
    PIL.Image.new("RGB", (32, 24), colour).save(file, "PNG")
    file.seek(0)
    file.name = f"{CANARY}.png"
    answer = product.client.post("/api/v1/images/", {"file": file, "user_id": user})
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


def correct(product, user, task, input_, output, corrected, **more):
    """Show an answer and correct it; return the id of the feedback."""
    inference = product.post("inferences/", shown(user, task, input_, output), 201)["id"]
    note = CANARY if user == ANN else "nothing"
    body = {"inference_id": inference, "signal": "correction", "corrected": corrected}
    body |= said(user, comment=f"I say <script>{note}</script>.")
    return product.post("feedback/", body | more, 201)["id"]


def work():
    """Do what beat and workers would do, until nothing is left."""
    for queue in QUEUES:
        processing.process_queue(queue)
    tasks.build_versions.run()
    tasks.execute_runs.run()


def world(slug, people):
    """Make a product with a served model, to which these people have said something."""
    product = Product(slug)
    product.task(correction_types=["label"])
    product.task(slug="scenes", modality="text", labels=[])
    product.task(slug="panels", modality="layout", labels=["panel"])
    product.task(slug="pictures", modality="image", labels=[])
    items = [{"input": f"{t} {n}", "output": "pos"} for n in "abc" for t in GOOD]
    items += [{"input": f"{t} {n}", "output": "neg"} for n in "abc" for t in BAD]
    product.post("examples/batch/", {"task": "mood", "items": items, "split": "train"}, 201)
    held_out = [{"input": f"{t} x", "output": "pos"} for t in GOOD]
    held_out += [{"input": f"{t} x", "output": "neg"} for t in BAD]
    product.post("examples/batch/", {"task": "mood", "items": held_out, "split": "holdout"}, 201)
    for user in people:
        says_all(product, user)
    work()
    return product


def says_all(product, user):
    """Let one person say something in every modality; a moderator looks at it."""
    note = CANARY if user == ANN else "nothing"
    for text in GOOD[:3]:
        words = f"{text} {note} for {user}"
        row = correct(product, user, "mood", words, "neg", "pos", correction_type="label")
        review(product, row, note)
    row = correct(
        product, user, "scenes", f"Tell of {note}", "A scene.", f"A scene of {note} here."
    )
    review(product, row, note)
    corrected = {"boxes": [BOX | {"id": note, "bbox": [11, 20, 30, 40]}]}
    page = PAGE if user == ANN else PAGE | {"book": "Tintin"}
    row = correct(product, user, "panels", page, {"boxes": [BOX | {"id": note}]}, corrected)
    review(product, row, note)
    # Another picture in every project: a file that somebody else's row names stays.
    shade = sum(product.project.slug.encode()) % 256
    before, after = (picture(product, user, (len(user), shade, n)) for n in (1, 2))
    prompt = {"prompt": f"a picture of {note}"}
    fix = {"image": after, "prompt": f"a better {note}"}
    row = correct(product, user, "pictures", prompt, {"image": before}, fix)
    review(product, row, note)
    key = f"key of {user}"
    body = shown(user, "mood", f"so {note}", "pos") | {"signal": "up"}
    del body["model_version"], body["target"]
    product.post("feedback/", body, 201, Idempotency_Key=key)
    consent = {"granted": True, "text_version": "1", "evidence": f"form {note}"}
    product.put(f"privacy/subjects/{user}/consents/training/", consent)
    content = json.dumps({"user_id": user, "comment": note})
    letter = {"topic": "t", "partition": 0, "offset": DeadLetter.objects.count()}
    letter["sent_at"] = "2026-01-01T00:00Z"
    DeadLetter.objects.create(
        **letter, project=product.project, user_id=user, code="x", detail="y", content=content
    )


def others_say(product):
    """Let others say something of what Ann was shown, and Ann of what nobody in particular was."""
    of_ann = product.post("inferences/", shown(ANN, "scenes", f"Tell {CANARY}.", "A scene."), 201)
    of_nobody = {"task": "scenes", "input": f"Somebody like {CANARY}.", "output": "A scene."}
    of_nobody = product.post("inferences/", of_nobody, 201)
    body = {"signal": "correction", "corrected": f"Of {CANARY}.", "comment": f"{CANARY}, again"}
    row = product.post("feedback/", body | {"inference_id": of_ann["id"], "user_id": "bob"}, 201)
    work()
    review(product, row["id"], CANARY, corrected=f"A scene of {CANARY} and others.")
    product.post("feedback/", body | {"inference_id": of_nobody["id"], "user_id": ANN}, 201)
    vote = {"inference_id": product.infer(f"food of {CANARY}", user_id=ANN), "signal": "up"}
    product.capture_key().post("feedback/", vote | {"user_id": ANN}, 201)


def review(product, row, note, **more):
    body = {"decision": "accept", "reason": f"well said, {note}", "moderator": "mo"} | more
    answer = product.send("POST", f"feedback/{row}/review/", body)
    assert answer.status_code == 200, answer.content


def build_all(product):
    """Build a dataset of each task and purpose, train, promote, export and archive."""
    for task in ("mood", "scenes", "panels", "pictures"):
        for purpose in ("train", "eval", "preference", "unpaired"):
            name = f"{task}-{purpose}-all"
            product.post("datasets/", {"name": name, "task": task, "purpose": purpose}, 201)
            product.post(f"datasets/{name}/versions/", {}, 202)
    queued = product.post("runs/", {"task": "mood"}, 202)
    work()
    ended = product.get(f"runs/{queued['id']}/")
    assert ended["status"] == "passed", str(ended)
    product.post(f"models/mood/{ended['model_version']}/promote/", {}, 200)
    while archives.archive_next():
        pass
    tasks.credit_models.run()
    return ended


def exports(product):
    """Return what all exports of the newest versions say."""
    texts = []
    for task in ("mood", "scenes", "panels", "pictures"):
        path = f"datasets/{task}-train-all/versions/"
        newest = product.post(path, {}, 202)["version"]
        work()
        answer = product.client.get(f"/api/v1/{path}{newest}/export/?format=jsonl")
        texts.append(b"".join(answer.streaming_content).decode())
    return "\n".join(texts)


def forget(product, user, place):
    """Erase by the command; return the receipt."""
    status, _, told = run(
        "erase_subject", user, "--project", product.project.slug, "--receipt", place
    )
    assert status == 0, told
    return json.loads(place.read_text())


@pytest.fixture
def counting(monkeypatch):
    """Count limits in Redis, as an installation does."""
    meter = Meter(settings.REDIS_URL, processes=1)
    monkeypatch.setattr(limits, "_meter", lambda: meter)


def test_the_canary_is_nowhere_after_the_erasure(tmp_path, capfd, counting):
    product = world("shop", ["bob", ANN])
    others_say(product)
    assert list(verifying._in_redis())
    build_all(product)
    before = verifying.search(CANARY)
    assert {"feedback", "feedback_example", "feedback_review", "privacy_consent"} <= before.keys()
    assert {"storage/shards", "storage/artifacts", "storage/archives"} <= before.keys()
    assert CANARY in exports(product)
    pictures = set(Image.objects.filter(user_id=ANN).values_list("sha256", flat=True))
    place = tmp_path / "receipt.json"
    receipt = forget(product, ANN, place)
    assert [model["fate"] for model in receipt["models"]] == ["replaced"]
    while archives.archive_next():
        pass
    assert CANARY not in exports(product)
    assert verifying.search(CANARY) == {}
    assert CANARY not in _dump()
    assert not pictures & {name for name, _ in storage.digests("images")}
    logged = capfd.readouterr()
    assert CANARY not in logged.out + logged.err
    status, printed, told = run("verify_erasure", place, "--contains", CANARY)
    assert status == 0, printed + told
    assert Archive.objects.exists()


def _dump():
    """Return all of the database as PostgreSQL's own program writes it, statistics too."""
    parameters = connection.get_connection_params()
    command = [embedded.postgres_binaries() / "pg_dump", "--statistics", "-d", parameters["dbname"]]
    command += ["-h", parameters["host"], "-U", parameters["user"]]
    environment = os.environ | {"PGPASSWORD": parameters["password"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "feedback_example" in done.stdout
    return done.stdout.casefold()


def test_a_row_or_a_file_that_is_back_is_found(tmp_path):
    product = world("shop", ["bob", ANN])
    build_all(product)
    files = {
        folder: {name: storage.get(name, folder) for name, _ in storage.digests(folder)}
        for folder in ("images", "shards", "artifacts", "archives")
    }
    place = tmp_path / "receipt.json"
    forget(product, ANN, place)
    assert run("verify_erasure", place)[0] == 0
    for folder, kept in files.items():
        gone = next(name for name in kept if name not in {n for n, _ in storage.digests(folder)})
        storage.put(kept[gone], folder)
        status, printed, _ = run("verify_erasure", place)
        assert (status, f"storage/{folder}" in printed) == (1, True)
        storage.delete(gone, folder)
    DataSubject.objects.create(project=product.project, user_id=ANN)
    assert run("verify_erasure", place)[0] == 1


def rows_of(user):
    """Return the text of all rows of one person, by table."""
    found = {}
    tables = {
        "feedback": "user_id = %s",
        "feedback_inference": "user_id = %s",
        "feedback_image": "user_id = %s",
        "feedback_contributor": "user_id = %s",
        "privacy_datasubject": "user_id = %s",
        "privacy_consent": "subject_id IN (SELECT id FROM privacy_datasubject WHERE user_id = %s)",
        "feedback_review": "feedback_id IN (SELECT number FROM feedback WHERE user_id = %s)",
        "feedback_historicalreview": (
            "feedback_id IN (SELECT number FROM feedback WHERE user_id = %s)"
        ),
        "feedback_example": "feedback_id IN (SELECT number FROM feedback WHERE user_id = %s)",
        "training_membership": (
            "example_id IN (SELECT e.id FROM feedback_example AS e JOIN feedback AS f"
            " ON f.number = e.feedback_id WHERE f.user_id = %s)"
        ),
    }
    with connection.cursor() as cursor:
        for table, which in tables.items():
            cursor.execute(f"SELECT t::text FROM {table} AS t WHERE {which} ORDER BY 1", [user])  # noqa: S608
            found[table] = cursor.fetchall()
    return found


def test_the_data_of_another_person_are_bit_equal(tmp_path):
    product = world("shop", ["bob", ANN])
    other = world("bakery", [ANN])
    build_all(product)
    before, elsewhere = rows_of("bob"), Image.objects.filter(project=other.project).count()
    files = {name: storage.get(name, "images") for name in _images_of("bob")}
    assert all(before[table] for table in before if table != "feedback_contributor")
    forget(product, ANN, tmp_path / "receipt.json")
    after = rows_of("bob")
    # What is retrained is a dataset of its own, and takes bob in as he was.
    stayed = before.pop("training_membership")
    assert set(stayed) < set(after.pop("training_membership"))
    assert after == before
    assert {name: storage.get(name, "images") for name in files} == files
    assert Image.objects.filter(project=other.project).count() == elsewhere
    assert other.get(f"privacy/subjects/{ANN}/")["feedback_count"] > 0


def _images_of(user):
    return Image.objects.filter(user_id=user).values_list("sha256", flat=True)


KILLED = """
import os, signal, sys, django
django.setup()
from dataclasses import replace
from privacy import erasure
name, when = sys.argv[1:]
perform = erasure._perform

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def killed(step, row):
    if step.name == name and when == "within":
        step = replace(step, run=lambda row, run=step.run: (run(row), die()))
    perform(step, row)
    if step.name == name:
        die()

erasure._perform = killed
erasure.erase_next()
"""


@pytest.mark.parametrize("when", ["within", "after"])
def test_killed_at_each_step_it_ends_with_the_same_counts(tmp_path, when):
    straight, often = (world(slug, ["bob", ANN]) for slug in ("shop", "bakery"))
    items = [{"input": "good only here", "output": "pos"}]  # another model, so another file
    often.post("examples/batch/", {"task": "mood", "items": items, "split": "train"}, 201)
    for product in (straight, often):
        build_all(product)
    expected = forget(straight, ANN, tmp_path / "receipt.json")
    asked = erasure.request(project=often.project, user_id=ANN, by="a test")
    names = [step.name for step in erasure.steps()]
    if when == "after":
        names.remove("finish")
    for name in names:
        ended = _in_a_process(name, when)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        ErasureRequest.objects.filter(status="running").update(lease_until=None)
    erasure.erase_next()
    asked.refresh_from_db()
    assert asked.status == "done", asked.error
    assert asked.receipt["removed"] == expected["removed"]
    assert len(asked.receipt["versions"]) == len(expected["versions"])
    assert [model["fate"] for model in asked.receipt["models"]] == ["replaced"]
    assert verifying.left(asked.receipt) == {}


def _in_a_process(name, when):
    processes = Processes()
    try:
        places = {name: getattr(settings, name) for name in ("STORAGE_URL", "ERASURE_LOG_URL")}
        environment = os.environ | processes._environment() | places
    finally:
        processes.end()
    command = [sys.executable, "-c", KILLED, name, when]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_served_model_never_saw_the_person(tmp_path):
    """Two projects: in one the person is erased, in the other they never were."""
    with_ann, without = world("shop", ["bob", ANN]), world("bakery", ["bob"])
    build_all(with_ann)
    never = build_all(without)
    receipt = forget(with_ann, ANN, tmp_path / "receipt.json")
    (model,) = receipt["models"]
    twin = ModelVersion.objects.get(task__project=without.project, version=never["model_version"])
    assert model["replacement"]["weights_hash"] == twin.weights_hash
    assert model["weights_hash"] != twin.weights_hash
    served = with_ann.get("models/mood/")["aliases"]["champion"]
    assert served == model["replacement"]["version"]


def test_what_is_restored_is_erased_again_before_anyone_looks(tmp_path):
    product = world("shop", [ANN])
    receipt = forget(product, ANN, tmp_path / "receipt.json")
    ErasureRequest.objects.all()._raw_delete("default")
    says_all(product, ANN)
    call_command("replay_erasures")
    assert verifying.left(receipt) == {}
