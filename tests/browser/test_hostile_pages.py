"""What clients and contributors send, shown to staff as text: nothing of it runs."""

import json
import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from django.utils import timezone

from feedback import figures
from feedback.models import Contributor, Feedback, Inference, Task
from tests.browser.queue import PAGE, QUEUE, Editor, moderator
from training import checking
from training.models import AnswerToCheck

pytestmark = pytest.mark.django_db(transaction=True)
SEEN = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<svg/onload=alert(3)>",
    '"><body onload="alert(4)">',
    "' onmouseover='alert(5)' autofocus onfocus='alert(5)",
    "</textarea></title></style><script>alert(6)</script>",
    "--></script><iframe srcdoc='<script>alert(7)</script>'>",
    "<a href=javascript:alert(8)>here</a>",
    "javascript:alert(9)//%0a`${alert(9)}`",
    "{{ 7 * 7 }} {% load static %} {# 10 #} ${7*7}",
    "&lt;b&gt; &amp;amp; &#60;script&#62; 11",
    "=cmd|' /C calc'!A0 +1+1 @SUM(12)",
    "<style>*{display:none}</style><base href=//13.example>",
    "<form action=//14.example><input name=decision value=accept>",
    "<math><mi xlink:href='data:x,15'></math><details open ontoggle=alert(15)>",
    "%s %(id)s {0.__class__} \\u003cscript\\u003e 16",
]
# Beside the text: what must stand on the page for what would not be seen.
MARKED = {
    "left \u202eright\u202c 17": "U+202E",
    "no\u200bwidth \u2066here 18": "U+200B",
    "bell \x07 and escape \x1b[31m 19": "U+001B",
    "tags \U000e0068\U000e0069 20": "hidden tags: hi",
    "z\u0335\u0321\u0317" + "\u0353" * 40 + "algo 21": "+40 marks",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 22": "\u05e9\u05dc\u05d5\u05dd",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 23": "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "W" * 90 + "24": "W" * 60,
}
PAYLOADS = [*SEEN, *MARKED]
ALL = " \n".join(PAYLOADS)
METADATA = {payload: {payload: [payload]} for payload in PAYLOADS}
ODD_ID = "a|b@c:d+e..--"
MODERATOR = "\"><img src=x onerror=alert('moderator')>"
INJECTED = """() => {
  const isHandler = (attribute) => attribute.name.startsWith("on");
  const isScript = (script) => !script.src && script.type !== "application/json";
  return [...document.querySelectorAll("*")].filter((element) =>
    [...element.attributes].some(isHandler)
    || /^\\s*javascript:/i.test(element.href ?? element.action ?? "")
    || (element.matches("script") && isScript(element))
    || element.matches("iframe, base, math, [style]:not(.uplot, .uplot *)"))
    .map((element) => element.outerHTML);
}"""
TEXT = "() => document.body.textContent.replace(/\\s+/g, ' ')"


class Stranger(Editor):
    """A client that sends attacks in every field, of each modality."""

    def task(self, **changes):
        labels = [payload.strip() for payload in PAYLOADS]
        more = {"labels": labels, "correction_types": [p[:50] for p in PAYLOADS]}
        return super().task(**more | changes)

    def send_all(self):
        for modality in ("classification", "text", "layout", "image"):
            getattr(self, f"send_{modality}")()
        texts = [{"input": text, "output": PAYLOADS[0], "comment": text} for text in PAYLOADS]
        items = [self.act("mood", signal="down", **text) for text in texts]
        assert self.post("feedback/batch/", {"items": items}, 200)["flagged"] == len(items)

    def act(self, task, **fields):
        common = {"task": task, "user_id": ODD_ID, "session_id": ODD_ID, "metadata": METADATA}
        return common | fields

    def both(self, task, input_, output, **act):
        """Send an inference and an act about it; return the stored act."""
        target = {"type": "scene", "id": ODD_ID}
        shown = {"input": input_, "output": output, "model_version": ALL[:200], "target": target}
        body = self.act(task, **shown, confidence=0.9)
        inference = self.post("inferences/", body, 201)["id"]
        sent = {"inference_id": inference, "user_id": ODD_ID, "comment": ALL}
        sent |= {"signal": "correction", "metadata": METADATA}
        made = self.post("feedback/", sent | act, 201)
        assert made["status"] == "flagged"
        return made["id"]

    def send_classification(self):
        texts = {payload: payload for payload in PAYLOADS}
        kind = PAYLOADS[1][:50]
        act = {"corrected": PAYLOADS[1], "correction_type": kind}
        return self.both("mood", texts, PAYLOADS[0], **act)

    def send_text(self):
        said = [{"role": payload[:30], "content": payload} for payload in PAYLOADS]
        story = f"The captain says to all hands on deck: {ALL}"
        act = {"corrected": story.replace("captain", "cook") + SEEN[0]}
        return self.both("dialogue", {"messages": said}, story, **act)

    def send_layout(self):
        self.patch("tasks/panels/", {"labels": [payload.strip() for payload in PAYLOADS]})
        boxes = [
            {"id": payload[:128], "label": payload.strip(), "bbox": [9 * n, 9 * n, 90, 60]}
            for n, payload in enumerate(PAYLOADS)
        ]
        moved = [box | {"bbox": [*box["bbox"][:2], 120, 80]} for box in boxes[1:]]
        act = {"corrected": {"boxes": moved}}
        return self.both("panels", PAGE | METADATA, {"boxes": boxes}, **act)

    def send_image(self):
        regions = [{"bbox": [9, 9, 80, 60], "note": payload} for payload in PAYLOADS]
        act = {"corrected": {"prompt": f"a quiet harbour {ALL}", "regions": regions}}
        made = {"image": self.upload((200, 60, 1))}
        return self.both("cover", METADATA | {"prompt": f"a harbour {ALL}"}, made, **act)


@pytest.fixture
def stranger(page):
    return Stranger()


@pytest.fixture
def kim(page, stranger):
    return moderator(page, MODERATOR, stranger.project, role="lead")


def shows(page, address, *payloads):
    """Open a page: nothing of it is the stranger's own, and these stand there as text."""
    assert page.goto(address).ok, address
    assert page.evaluate(INJECTED) == [], address
    text = page.evaluate(TEXT)
    wanted = [MARKED.get(payload, payload) for payload in payloads]
    assert [payload for payload in wanted if payload not in text] == [], address


def test_it_works(kim, stranger):
    """Items of each modality, and what stands behind each."""
    stranger.send_all()
    for feedback in Feedback.objects.select_related("inference").order_by("number")[:4]:
        shows(kim, f"/admin/feedback/feedback/{feedback.pk}/change/", *PAYLOADS, ODD_ID)
        kim.get_by_role("button", name="Reject").click()  # refused: the form keeps what it had
        assert kim.evaluate(INJECTED) == []
        shows(kim, f"/admin/feedback/inference/{feedback.inference_id}/change/", *SEEN[:-1])


def test_lists(kim, stranger):
    stranger.send_all()
    for name in ("flaggedfeedback", "feedback", "inference"):
        shows(kim, f"/admin/feedback/{name}/", *PAYLOADS)
    for payload in SEEN[:6]:
        kim.goto(QUEUE + "?" + urlencode({"q": payload, "task": payload, "order": payload}))
        assert kim.evaluate(INJECTED) == []
        assert kim.get_by_role("searchbox").input_value() == payload
    for task in Task.objects.all():
        labels = SEEN if task.labels else []
        shows(kim, f"/admin/feedback/task/{task.pk}/change/", *labels)
    shows(kim, "/admin/feedback/image/")


def test_decisions_and_who_made_them(kim, stranger):
    stranger.send_all()
    for n, feedback in enumerate(Feedback.objects.order_by("number")[:4]):
        said = PAYLOADS[n::4]
        for payload in said:
            body = {"decision": "escalate", "moderator": payload, "reason": payload}
            stranger.post(f"feedback/{feedback.uuid}/review/", body, 200)
        shows(kim, f"/admin/feedback/feedback/{feedback.pk}/change/", *PAYLOADS)
        decisions = " ".join(kim.get_by_label("History of decisions").text_content().split())
        assert [p for p in said if decisions.count(MARKED.get(p, p)) < 2] == []
        shows(kim, f"/admin/feedback/feedback/{feedback.pk}/history/")
    body = {"decision": "reject", "moderator": SEEN[3], "reason": SEEN[4]}
    stranger.post(f"feedback/{feedback.uuid}/review/", body, 200)
    shows(kim, f"{QUEUE}numbers/", SEEN[3], MODERATOR)
    shows(kim, QUEUE, MODERATOR, *SEEN[-4:])  # escalated by these


def test_answers_to_check(kim, stranger):
    shown = [stranger.act("mood", input=text, output=PAYLOADS[0]) for text in PAYLOADS]
    for n, body in enumerate(shown):
        stranger.post("inferences/", body | {"confidence": 0.5 + n / 100}, 201)
    Inference.objects.update(created_at=timezone.now() - timedelta(days=3))
    checking.choose(Task.objects.get(slug="mood"))
    shows(kim, "/admin/training/answertocheck/", SEEN[0])
    rows = AnswerToCheck.objects.select_related("inference")
    assert rows.count() >= 10
    for row in rows:
        shows(kim, f"/admin/training/answertocheck/{row.pk}/change/", row.inference.input)


def test_people_and_the_dashboard(kim, stranger):
    """A contributor with the words that moderators found for them."""
    stranger.send_all()
    reason = " ".join(SEEN[:5])
    body = {"standing": "quarantined", "moderator": MODERATOR, "reason": reason}
    stranger.put(f"tasks/mood/contributors/{ODD_ID}/", body)
    row = Contributor.objects.get()
    shows(kim, "/admin/feedback/contributor/", ODD_ID)
    shows(kim, f"/admin/feedback/contributor/{row.pk}/change/", *SEEN[:5])
    figures.measure()
    for address in ("/admin/?of=" + quote(SEEN[3]), "/admin/background/", "/admin/second-factor/"):
        shows(kim, address, MODERATOR)


def parts():
    """Share out the texts of the files that HOSTILE_TEXTS names, or ours, each part an item's.

    A file is a JSON list, or has one text a line.
    """
    names = os.environ.get("HOSTILE_TEXTS")
    found = []
    for path in map(Path, names.split(os.pathsep) if names else []):
        text = path.read_text()
        found += json.loads(text) if path.suffix == ".json" else text.split("\n")
    parts = [[]]
    for text in [text for text in found if text.strip()] or PAYLOADS:
        is_full = sum(map(len, parts[-1])) + len(text) > 4_000 or len(parts[-1]) == 40
        if is_full and parts[-1]:
            parts.append([])
        parts[-1].append(text)
    return parts


def test_any_list_of_texts(kim, stranger):
    """As input, answer, correction and comment, and in the history of decisions."""
    for part in parts():
        messages = [{"role": "user", "content": text} for text in part]
        answer = "\n".join(part)
        act = {"corrected": f"{answer} {SEEN[0]} It ends.", "comment": answer[:2000]}
        uuid = stranger.both("dialogue", {"messages": messages}, answer, **act)
        body = {"decision": "escalate", "moderator": part[0][:100]}
        body["reason"] = f"{answer[:450]} It waits."
        stranger.post(f"feedback/{uuid}/review/", body, 200)
        row = Feedback.objects.get(uuid=uuid)
        shows(kim, f"/admin/feedback/feedback/{row.pk}/change/", "It ends.", "It waits.")
        shows(kim, f"/admin/feedback/inference/{row.inference_id}/change/")
    assert Feedback.objects.flagged().count() == len(parts())
    shows(kim, QUEUE)
    shows(kim, "/admin/")
