"""A file of acts on its way in: counted, refused line by line, interrupted and gone on with."""

import io
import os
import re
import signal
import sys
from codecs import BOM_UTF8
from collections import Counter

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from config import json
from feedback.files import LANES, LINE_BYTES, FileImport, lane_of, read_line, store_lines
from feedback.models import Feedback
from tests.config.test_up import ROOT, children
from tests.processes import Processes, wait_until
from tests.product import Product, stored_text

pytestmark = pytest.mark.django_db(transaction=True)
ID = "00000000-0000-4000-8000-000000000001"
MANY = 12_000  # enough that an import can be met on its way


def act(n=0, **changes):
    body = {"task": "mood", "input": f"good soup {n}", "output": "pos", "user_id": f"user-{n % 70}"}
    return json.dumps(body | {"signal": "correction", "corrected": "neg"} | changes)


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture
def processes(shop):
    processes = Processes()
    yield processes
    processes.end()


@pytest.fixture
def write(tmp_path):
    """Return a function that writes lines to a file and returns its path."""

    def write(lines):
        path = tmp_path / "acts.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path

    return write


@pytest.fixture
def many(write):
    """Return a file of so many acts that none is like another, one in a hundred cut off."""
    return write([act(n)[: -1 if n % 100 == 99 else None] for n in range(MANY)])


def begin(processes, path, *options):
    command = [sys.executable, "manage.py", "import_feedback", str(path), "--project", "shop"]
    return processes._start("import", [*command, *options])


def finish(processes, path, *options):
    """Import to the end; return what was said."""
    process = begin(processes, path, *options)
    assert process.wait(60) == 0, processes.log(process)
    return processes.log(process)


def place_of(path):
    return path.with_name(f"{path.name}.place")


def meet(processes, path):
    """Begin an import and return it once it has kept its place."""
    process = begin(processes, path)
    wait_until(place_of(path).exists, tell=lambda: processes.log(process))
    return process


def rejects_of(path):
    lines = path.with_name(f"{path.name}.rejects.ndjson").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def store(shop, *lines, is_dry_run=False):
    return store_lines(shop.project, list(enumerate(lines, 1)), is_dry_run)


def assert_all_once(path):
    """Assert that each of `many` is stored, or told in the file of rejects, once."""
    assert Feedback.objects.count() == MANY * 99 // 100
    assert [reject["line"] for reject in rejects_of(path)] == list(range(100, MANY + 1, 100))


def test_it_works(shop, processes, write):
    lines = [act(1), act(2, signal="down", corrected=None), act(3, corrected="pos"), b"{", act(1)]
    path = write([*lines, b"", act(4, task="no")])
    said = finish(processes, path)
    assert "2 created, 1 flagged, 1 rejected, 1 repeated, 2 failed" in said
    assert [(r["line"], r["code"], [e["code"] for e in r["errors"]]) for r in rejects_of(path)] == [
        (3, "feedback.rejected", ["feedback.no_change"]),
        (4, "api.malformed", ["api.malformed"]),
        (7, "api.malformed", ["feedback.unknown_task"]),
    ]
    assert Counter(Feedback.objects.values_list("status", flat=True)) == {
        "pending": 1,
        "flagged": 1,
        "rejected": 1,
    }


def test_an_import_that_was_killed_goes_on_without_a_double(processes, many):
    process = meet(processes, many)
    process.kill()
    process.wait()
    assert Feedback.objects.count() < MANY * 99 // 100
    assert re.search(r"Goes on after line [\d,]{4,}\.", finish(processes, many))
    assert_all_once(many)


def test_no_process_outlives_an_import_that_was_killed(processes, many):
    process = meet(processes, many)
    helpers = children(process.pid)
    assert len(helpers) >= LANES
    process.kill()
    wait_until(lambda: not any(map(is_running, helpers)))


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_import_that_is_interrupted_keeps_its_place(processes, many):
    process = meet(processes, many)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(60) == 130
    place = json.loads(place_of(many).read_bytes())
    assert place["counts"]["created"] == Feedback.objects.count() < MANY * 99 // 100
    assert "start again to go on" in processes.log(process)
    finish(processes, many)
    assert_all_once(many)


def test_an_import_outlives_lost_connections(processes, many):
    process = meet(processes, many)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
            " datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] > 0
    assert process.wait(60) == 0
    assert_all_once(many)


def test_an_import_that_is_done_repeats_nothing(processes, write):
    path = write([act(n) for n in range(3)])
    finish(processes, path)
    assert "0 created, 0 flagged, 0 rejected, 3 repeated, 0 failed" in finish(processes, path)
    assert Feedback.objects.count() == 3
    assert list(path.parent.iterdir()) == [path]


def test_a_place_of_another_file_is_passed_over(shop, write):
    path = write([act(1)])
    place_of(path).write_bytes(json.dumps({"file": "another", "offset": 10**6, "line": 7}))
    with path.open("rb") as source:
        assert FileImport(source, path, shop.project).place.offset == 0


@pytest.mark.parametrize("source", ["- < {}", "<(cat {})"])
def test_what_cannot_be_read_twice_is_read(processes, write, tmp_path, source):
    path = write([act(1), b"{"])
    manage = f"{sys.executable} {ROOT / 'manage.py'}"
    line = f"cd {tmp_path} && {manage} import_feedback --project shop {source.format(path)}"
    process = processes._start("import", ["bash", "-c", line])
    assert process.wait(60) == 0
    assert "1 created, 0 flagged, 0 rejected, 0 repeated, 1 failed" in processes.log(process)
    assert len((tmp_path / "stdin.rejects.ndjson").read_bytes().splitlines()) == 1


def test_a_mark_of_byte_order_is_passed_over(processes, write):
    assert "1 created" in finish(processes, write([BOM_UTF8 + act(1)]))


def test_a_dry_run_judges_the_form_and_stores_nothing(shop):
    lines = [act(1), act(2, task="no"), act(3, signal="sideways")]
    assert store(shop, *lines, is_dry_run=True).counts == {"well_formed": 2, "failed": 1}
    assert not Feedback.objects.exists()


@pytest.mark.parametrize(
    ("file", "project", "words"),
    [("acts.jsonl", "no", "There is no project no"), ("no.jsonl", "shop", "No such file")],
)
def test_what_cannot_be_imported_is_said(shop, write, file, project, words):
    path = write([act()])
    with pytest.raises(CommandError, match=words):
        call_command("import_feedback", str(path.with_name(file)), project=project)


def test_rows_are_told_to_be_imported_and_verified(shop):
    store(shop, act())
    row = Feedback.objects.get()
    assert (row.source, row.is_verified, row.api_key) == ("import", True, None)


def test_a_line_is_idempotent_by_its_id(shop):
    assert store(shop, act(id=ID)).counts == {"created": 1}
    assert store(shop, act(id=ID)).counts == {"repeated": 1}
    other = store(shop, act(id=ID, comment="else"))
    assert [reject["code"] for reject in other.rejects] == ["api.id_conflict"]


def test_the_order_of_members_does_not_make_another_act(shop):
    lines = [act(), json.dumps(dict(reversed(json.loads(act()).items())))]
    assert lines[0] != lines[1]
    assert store(shop, *lines).counts == {"created": 1, "repeated": 1}


def test_the_same_line_of_another_project_is_another_act(shop):
    other = Product("other")
    other.task()
    assert store(shop, act()).counts == store(other, act()).counts == {"created": 1}


def test_personal_data_are_in_no_reject_and_no_row(shop):
    line = act(**{"anna@example.com": 1}), act(1, comment="write to anna@example.com")
    answer = store(shop, *line)
    assert "[EMAIL]" in str(answer.rejects)
    assert "anna@" not in str(answer.rejects) + stored_text()


def test_who_opted_out_is_refused(shop):
    shop.put("privacy/subjects/ann/consents/collection/", {"granted": False})
    answer = store(shop, act(user_id="ann"), act(1))
    assert answer.counts == {"failed": 1, "created": 1}
    assert answer.rejects[0]["code"] == "privacy.opted_out"


def test_acts_of_one_person_keep_their_order(shop):
    inference = shop.infer()
    said = ["first", "second", "third"]
    named = {"task": None, "input": None, "output": None, "inference_id": inference}
    for words in said:
        body = json.loads(act(user_id="ann", comment=words)) | named
        store(shop, json.dumps({key: value for key, value in body.items() if value is not None}))
    assert list(Feedback.objects.order_by("number").values_list("comment", flat=True)) == said


def test_lines_of_one_person_go_to_one_process():
    assert len({lane_of(act(n, user_id="ann")) for n in range(50)}) == 1
    assert {lane_of(act(n)) for n in range(50)} == set(range(LANES))
    assert {lane_of(b"{%d" % n) for n in range(50)} == set(range(LANES))


def test_a_line_without_end_is_not_read_into_memory():
    long = b"x" * (3 * LINE_BYTES + 5)
    source = io.BytesIO(long + b"\n" + b"y\r\n")
    line, length = read_line(source)
    assert (len(line), length) == (LINE_BYTES, len(long) + 1)
    assert read_line(source) == (b"y", 3)
    assert read_line(source) == (b"", 0)


def test_a_line_that_is_too_long_is_refused(shop):
    line, _ = read_line(io.BytesIO(act(comment="x" * 2 * LINE_BYTES)))
    assert "Longer than" in store(shop, line).rejects[0]["detail"]
