"""The demo: its parts, and the whole of it as a person runs it."""

import base64
import json
import os
import random
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.management.demo import forgotten, people
from config.management.demo.people import Showing, User
from config.management.demo.report import report
from config.management.demo.reviews import (
    CANARY_ROWS,
    FIRST_ROWS,
    HOLDOUT_ROWS,
    MINIMUM_ROWS,
    SAMPLE,
    Review,
    UnfitReviewsError,
    deal,
    load,
)
from config.management.demo.server import RefusedError, Server
from config.management.demo.story import Story

ROOT = Path(__file__).parents[2]
HEAD = "Review\tLiked\n"
WORDS = ("demo", "--json", "--users", "12", "--seed", "3")


# --- the whole of it ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run the demo twice at once, each on a data folder of its own, until both have ended."""
    reviews = tmp_path_factory.mktemp("reviews") / "cut.tsv"
    lines = SAMPLE.read_text().splitlines(keepends=True)
    reviews.write_text("".join(lines[: MINIMUM_ROWS + 1]))
    folders = [tmp_path_factory.mktemp("demo") for _ in range(2)]
    started = [start(folder, *WORDS, "--reviews", reviews) for folder in folders]
    try:
        return [ended(process, timeout_seconds=500) for process in started]
    finally:
        for process in started:
            process.kill()


def start(folder, *words):
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_URL") and name != "DJANGO_SETTINGS_MODULE"
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", *map(str, words)],
        cwd=ROOT,
        env=kept | {"EMEND_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.folder = folder
    return process


def ended(process, timeout_seconds=60):
    """Wait for the end of a process; keep what it printed and what it left running."""
    process.printed, process.told = process.communicate(timeout=timeout_seconds)
    process.left = named(process.folder)
    return process


def named(folder):
    """Return the processes that have the folder in their command line or environment."""
    listed = subprocess.run(["ps", "axwwe"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if f"{folder}" in line]


def test_it_works(runs):
    for run in runs:
        assert run.returncode == 0, run.told
        assert json.loads(run.printed)["reviews"] == MINIMUM_ROWS


def test_the_object_has_what_other_programs_rely_on(runs):
    said = json.loads(runs[0].printed)
    for name in ("accuracy_before", "accuracy_after", "ceiling", "p_value"):
        assert 0 <= said[name] <= 1
    assert said["holdout"] == HOLDOUT_ROWS
    gap = (said["accuracy_after"] - said["accuracy_before"]) / (
        said["ceiling"] - said["accuracy_before"]
    )
    assert said["gap_closed_ratio"] == pytest.approx(gap)
    assert set(said["feedback"]) == {"created", "flagged", "rejected", "processed"}
    counts = said["feedback"]
    assert counts["created"] == counts["processed"] + counts["rejected"]
    assert 0 < said["processing_seconds"]["p50"] <= said["processing_seconds"]["p99"]
    assert set(said["dataset"]) == {"name", "version", "content_hash"}
    assert set(said["run"]) == {"id", "weights_hash", "gates"}
    assert {gate["name"] for gate in said["run"]["gates"]} > {"holdout", "calibration"}
    assert isinstance(said["promoted"], bool)
    assert said["seconds"] > 0


def test_corrections_alone_are_refused(runs):
    alone = json.loads(runs[0].printed)["corrections_only"]
    assert alone["status"] == "refused"
    assert [gate["passed"] for gate in alone["gates"]] == [False] * len(alone["gates"])
    assert "holdout" in {gate["name"] for gate in alone["gates"]}


def test_vandals_are_resisted(runs):
    poisoned = json.loads(runs[0].printed)["poisoned"]
    assert poisoned["refused_by"]
    assert poisoned["promoted"]
    assert poisoned["trust_off"] < poisoned["trust_on"]
    assert poisoned["caught_ratio"] >= 0.8
    assert poisoned["honest_lost_ratio"] <= 0.2


def test_who_is_erased_was_never_there(runs):
    for run in runs:
        erasure = json.loads(run.printed)["erasure"]
        assert set(erasure) == {"rows", "hash_equal", "seconds"}
        assert erasure["rows"] > 0
        assert erasure["hash_equal"] is True
        assert 0 < erasure["seconds"] < 120


def test_the_same_seed_gives_the_same_data_and_model(runs):
    first, second = (json.loads(run.printed) for run in runs)
    assert first["dataset"] == second["dataset"]
    assert first["run"]["weights_hash"] == second["run"]["weights_hash"]
    assert first["feedback"] == second["feedback"]
    assert first["run"]["id"] != second["run"]["id"]


def test_nothing_is_left_running(runs):
    for run in runs:
        assert run.left == []
        assert not [path for path in (run.folder / "run").rglob("*") if path.is_socket()]


def test_no_secret_is_told(runs):
    for run in runs:
        for path in (run.folder / "secrets").iterdir():
            assert path.read_text() not in run.printed + run.told


UNFIT_WORDS = {
    "few users": (["--users", "9"], "At least 10 users are needed"),
    "no file": (["--reviews", "nowhere.tsv"], "nowhere.tsv cannot be read"),
    "a folder": (["--reviews", "docs"], "docs cannot be read"),
}


@pytest.mark.parametrize(("words", "sentence"), UNFIT_WORDS.values(), ids=UNFIT_WORDS)
def test_what_cannot_be_done_is_said_before_anything_starts(tmp_path, words, sentence):
    run = ended(start(tmp_path / "data", "demo", *words))
    assert run.returncode == 1
    assert run.told.startswith("CommandError: ")
    assert sentence in run.told
    assert run.told.count("\n") == 1
    assert not (tmp_path / "data" / "postgres").exists()


# --- reviews ------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    def make(content):
        path = tmp_path / "reviews.tsv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def rows(count):
    return HEAD + "".join(f"review number {n}\t{n % 2}\n" for n in range(count))


BAD_FILES = {
    "empty": ("", "lacks the columns Review and Liked"),
    "commas": ("Review,Liked\ngood,1\n", "lacks the columns Review and Liked"),
    "a word for a number": (rows(2) + "good\tyes\n", "line 4: Liked is 1 or 0, not 'yes'"),
    "no second column": (rows(2) + "good\n", "line 4: Liked is 1 or 0, not ''"),
    "too few": (rows(MINIMUM_ROWS - 1), f"has {MINIMUM_ROWS - 1} different reviews"),
    "too few different": (HEAD + "good\t1\n" * 900, "has 1 different reviews"),
    "not UTF-8": (HEAD.encode() + b"na\xefve\t1\n", "cannot be read"),
    "one endless line": (HEAD + "x" * 300_000 + "\t1\n", "cannot be read"),
}


@pytest.mark.parametrize(("content", "sentence"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_in_a_sentence(file, content, sentence):
    with pytest.raises(UnfitReviewsError, match=sentence) as refusal:
        load(file(content))
    assert "reviews.tsv" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_is_read_as_dumps_are_written(file):
    odd = '"quoted" words, a\u2028separator\t1\r\n  GOOD   soup \t1\r\ngood soup\t0\r\n\t0\r\n'
    reviews = load(file("\ufeff" + rows(MINIMUM_ROWS).replace("\n", "\r\n") + odd))
    assert len(reviews) == MINIMUM_ROWS + 2
    assert reviews[0] == Review("review number 0", "negative")
    assert reviews[-2:] == [
        Review('"quoted" words, a\u2028separator', "positive"),
        Review("GOOD   soup", "positive"),
    ]


def test_the_sample_is_large_enough_and_balanced():
    reviews = load(SAMPLE)
    assert len(reviews) >= 600
    positive = sum(review.label == "positive" for review in reviews)
    assert 0.4 < positive / len(reviews) < 0.6


def test_dealing_puts_no_review_into_two_parts():
    reviews = load(SAMPLE)
    parts = deal(reviews, seed=1)
    dealt = parts.first + parts.holdout + parts.stream + parts.canary
    assert sorted(review.text for review in dealt) == sorted(review.text for review in reviews)
    assert len(set(dealt)) == parts.total == len(reviews)
    sizes = len(parts.first), len(parts.holdout), len(parts.canary)
    assert sizes == (FIRST_ROWS, HOLDOUT_ROWS, CANARY_ROWS)


def test_the_seed_decides_who_sees_what():
    reviews = load(SAMPLE)
    assert deal(reviews, seed=1) == deal(reviews, seed=1)
    assert deal(reviews, seed=1) != deal(reviews, seed=2)


# --- people -------------------------------------------------------------------------------------

GOOD = Review("good soup", "positive")


def reactions(character, answer, count=2_000):
    """Count what people of that character send about an answer to a good review."""
    chance = random.Random(1)
    showing = Showing(GOOD, User("ann", character))
    sent = [people.reaction(showing, answer, chance) for _ in range(count)]
    return Counter((body["signal"], body.get("corrected")) for body in sent)


@pytest.mark.parametrize(
    ("character", "answer", "sent"),
    [
        ("honest", "positive", ("up", None)),
        ("honest", "negative", ("correction", "positive")),
        ("vandal", "positive", ("correction", "negative")),
        ("vandal", "negative", ("up", None)),
    ],
)
def test_the_honest_and_the_vandals_are_sure(character, answer, sent):
    assert set(reactions(character, answer)) == {sent}


@pytest.mark.parametrize(("answer", "meant"), [("positive", "up"), ("negative", "down")])
def test_the_careless_do_not_read_every_second_time(answer, meant):
    counted = reactions("careless", answer)
    assert set(counted) == {("up", None), ("down", None)}
    assert counted[meant, None] / 2_000 == pytest.approx(0.75, abs=0.03)


def test_some_reactions_carry_personal_data():
    chance = random.Random(1)
    showing = Showing(GOOD, User("ann", "honest"))
    sent = [people.reaction(showing, "positive", chance) for _ in range(2_000)]
    chatty = [body for body in sent if body.get("comment") == people.COMMENT]
    assert len(chatty) / 2_000 == pytest.approx(people.CHATTY_RATIO, abs=0.015)


@pytest.mark.parametrize(("size", "careless"), [(10, 1), (12, 1), (60, 6)])
def test_a_crowd_has_two_vandals_and_one_in_ten_careless(size, careless):
    crowd = people.crowd(size)
    counted = Counter(user.character for user in crowd)
    assert counted == {"vandal": 2, "careless": careless, "honest": size - 2 - careless}
    assert len({user.user_id for user in crowd}) == size


def test_every_review_is_shown_and_some_to_two_people():
    reviews = load(SAMPLE)
    shown = list(people.showings(reviews, people.crowd(12), seed=3))
    assert shown == list(people.showings(reviews, people.crowd(12), seed=3))
    times = Counter(showing.review for showing in shown)
    assert set(times) == set(reviews)
    assert set(times.values()) == {1, 2}
    assert len({(showing.review, showing.user) for showing in shown}) == len(shown)


@pytest.mark.parametrize(
    ("original", "corrected", "decision", "label"),
    [
        ("negative", "positive", "accept", None),  # their correction is right
        ("positive", "negative", "reject", None),
        ("negative", None, "accept", "positive"),  # a down-vote that was right: say what is
        ("positive", None, "reject", None),
    ],
)
def test_the_moderator_decides_by_the_truth(original, corrected, decision, label):
    decided = people.decision({"original": original, "corrected": corrected}, "positive")
    assert decided["decision"] == decision
    assert decided.get("corrected") == label
    assert decided["reason"]
    assert decided["moderator"]


# --- story, server and report -------------------------------------------------------------------


class FailedRun:
    """A server on which every run fails."""

    def post(self, _path, _body):
        return {"id": "r1"}

    def wait(self, _path, until, **_options):
        run = {"id": "r1", "status": "failed", "error": "training.data_unfit: one label"}
        assert until(run)
        return run


def test_a_failed_run_ends_the_story_in_a_sentence():
    parts = deal(load(SAMPLE), seed=1)
    story = Story(FailedRun(), parts, users=12, seed=1, say=print, bar=lambda _ratio: None)
    with pytest.raises(RefusedError, match="The run r1 failed: training"):
        story.tell(FailedRun())


def test_a_server_that_is_gone_ends_the_story_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", "emd_sk_x")
    with pytest.raises(RefusedError, match=r"GET /api/v1/tasks/ was not answered: .*refused"):
        server.get("tasks/")


GATE = {"name": "holdout", "passed": True, "value": 0.1, "threshold": 0.0, "reason": "Better."}
RESULT = {
    "reviews": 850,
    "holdout": 250,
    "accuracy_before": 0.5,
    "accuracy_after": 0.75,
    "ceiling": 0.8,
    "gap_closed_ratio": 0.8333,
    "difference": {"estimate": 0.25, "low": 0.1, "high": 0.4},
    "p_value": 0.00123,
    "feedback": {"created": 600, "flagged": 20, "rejected": 5, "processed": 595},
    "processing_seconds": {"p50": 0.3, "p99": 0.6},
    "dataset": {"name": "sentiment-train", "version": 2, "content_hash": "c" * 64},
    "run": {"id": "r1", "weights_hash": "d" * 64, "gates": [GATE, GATE | {"passed": False}]},
    "corrections_only": {"status": "refused", "accuracy": 0.3, "gates": [GATE]},
    "promoted": True,
    "poisoned": {
        "trust_off": 0.6,
        "refused_by": ["holdout"],
        "trust_on": 0.78,
        "promoted": True,
        "oracle": 0.78,
        "caught_ratio": 0.96,
        "honest_lost_ratio": 0.0,
    },
    "erasure": {"rows": 57, "hash_equal": True, "seconds": 5.0},
    "seconds": 70.0,
}


def test_the_report_says_what_was_measured():
    screen = report(RESULT, "demo-1", Path("/data/secrets/admin_password"))
    for line in (
        "Accuracy on 250 reviews that no user saw",
        f"first model        {'#' * 18:<36}  50.0%",
        "30.0%  refused by: holdout",
        "75.0%  promoted",
        "Gap closed    83%",
        "Change        +25.0 points (95% interval +10.0 to +40.0, p = 0.0012)",
        "Feedback      600 stored, 20 flagged, 5 rejected, 595 processed",
        "Dataset       sentiment-train v2, content cccccccccccc",
        "Model         weights dddddddddddd, 1 of 2 gates passed",
        "REFUSED holdout       Better.",
        "60.0%  refused by: holdout",
        "78.0%  promoted",
        "96% of the vandals in quarantine, 0% of the honest",
        "57 rows fewer, 5.0 s from the request to the receipt",
        "the very weights of a twin that never had the person",
        "for the project demo-1:",
        "the password is in /data/secrets/admin_password",
    ):
        assert line in screen
    assert max(map(len, screen.splitlines())) < 100


def test_the_report_of_a_model_that_was_not_promoted_says_so():
    passed = RESULT["corrections_only"] | {"status": "passed", "gates": []}
    changed = RESULT | {"promoted": False, "corrections_only": passed}
    screen = report(changed, "demo-1", Path("password"))
    assert "75.0%  not promoted" in screen
    assert "30.0%  passed" in screen


def test_the_report_of_other_weights_than_the_twins_says_so():
    changed = RESULT | {"erasure": RESULT["erasure"] | {"hash_equal": False}}
    assert "OTHER weights than a twin's" in report(changed, "demo-1", Path("password"))


class Installation:
    """A server that signs receipts."""

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()

    def public(self):
        raw = self.key.public_key().public_bytes_raw()
        return {"algorithm": "Ed25519", "public_key": base64.b64encode(raw).decode()}

    def signed(self, document):
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        value = base64.b64encode(self.key.sign(text.encode())).decode()
        return document | {"signature": {"value": value}}


def test_the_receipt_is_checked_as_anybody_can(monkeypatch):
    asked = []
    monkeypatch.setattr(forgotten, "call_command", lambda name, *_, **__: asked.append(name))
    here = Installation()
    receipt = here.signed({"erasure": "e1", "removed": {"feedback.Example": 3, "böse": 1}})
    forgotten._verify(receipt, here.public())
    assert asked == ["verify_erasure"]


@pytest.mark.parametrize("what", ["another text", "another key"])
def test_a_receipt_that_was_not_signed_so_is_refused(what):
    here, other = Installation(), Installation()
    receipt = here.signed({"erasure": "e1", "removed": {"feedback.Example": 3}})
    if what == "another text":
        receipt["removed"] = {}
    key = other.public() if what == "another key" else here.public()
    with pytest.raises(RefusedError, match="The receipt of the erasure e1 is not what was signed"):
        forgotten._verify(receipt, key)
