"""The pages of staff: who may do what, what they show, what a decision does."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from config import json
from feedback import contributors, figures, processing, review
from feedback.admin.words import REASONS, WHY_FLAGGED, excerpt, pieces
from feedback.contributors import Score
from feedback.models import Contributor, DeadLetter, Feedback
from feedback.validation import FLAGS
from privacy.models import ApiKey, Project, StaffProject
from tests.product import Product

pytestmark = pytest.mark.django_db
ATTACK = "<script>alert(1)</script>"
TIMES = " \N{MULTIPLICATION SIGN} "
QUEUE = "/admin/feedback/flaggedfeedback/"


def staff(name, *permissions):
    """Return the client of a staff member who has these permissions, and all projects of now."""
    user = get_user_model().objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    for project in Project.objects.all():
        StaffProject.objects.create(user=user, project=project)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def product():
    product = Product()
    product.task()
    return product


@pytest.fixture
def kim(product):
    return staff("kim", "view_feedback", "change_feedback")


def flag(product, user_id="ann", text="good soup", **more):
    """Send a thumbs down without a correction, which is flagged."""
    body = {"signal": "down", "corrected": None} | more
    return Feedback.objects.get(uuid=product.correct(user_id, text, **body)["id"])


def distrust(product, user_id="eve"):
    """Let scores find that somebody is rather not honest; return the contributor."""
    task = product.project.tasks.get(slug="mood")
    score = Score(user_id, 0.1, evidence=-2.1234567, acts=40, agreed=4, disagreed=36)
    contributors.apply(task, [score])
    return Contributor.objects.get(user_id=user_id)


def page_of(feedback):
    return reverse("admin:feedback_feedback_change", args=[feedback.pk])


def decide(client, feedback, decision, **fields):
    shown = client.get(page_of(feedback)).content.decode()
    seen = re.search(r'name="seen"(?: value="(\d+)")?', shown)[1] or ""
    body = {"decision": decision, "seen": seen} | fields
    return client.post(page_of(feedback), body)


def text_of(answer):
    """Return what a reader sees of a page, on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_it_works(kim, product):
    feedback = flag(product)
    assert "good soup" in text_of(kim.get(QUEUE))
    answer = decide(kim, feedback, "accept", note="fine")
    assert (answer.status_code, answer.url) == (302, QUEUE)
    feedback.refresh_from_db()
    assert (feedback.status, feedback.review.moderator) == ("pending", "kim")
    assert feedback.review.reason == "fine"
    assert "No flagged feedback. Of what came today 0 are processed." in text_of(kim.get(QUEUE))


def test_a_decision_leads_to_the_next_in_order(kim, product):
    first, second, third = (flag(product, text=f"soup {n}") for n in range(3))
    assert decide(kim, second, "accept").url == page_of(third)
    assert decide(kim, third, "accept").url == page_of(first)


def test_a_decision_stays_in_the_filtered_queue(kim, product):
    first = flag(product)
    product.correct("ben", "another soup", comment="<b>bold</b>")
    third = flag(product, text="third soup")
    view = "?flag=feedback.no_fix"
    assert text_of(kim.get(QUEUE + view)).count("another soup") == 0
    assert f"{page_of(first)}{view}" in kim.get(QUEUE + view).content.decode()
    answer = kim.post(page_of(first) + view, {"decision": "accept"})
    assert answer.url == page_of(third) + view


def test_edit_stores_the_moderators_label(kim, product):
    feedback = flag(product)
    decide(kim, feedback, "edit", corrected="neg", is_pinned="on")
    feedback.refresh_from_db()
    assert (feedback.review.corrected, feedback.review.is_pinned) == ("neg", True)


def test_reject_stores_the_reason_in_words(kim, product):
    feedback = flag(product)
    decide(kim, feedback, "reject", ground="vandalism", note="third time")
    feedback.refresh_from_db()
    assert feedback.status == "rejected"
    assert feedback.review.reason == f"{REASONS['vandalism']}: third time"


@pytest.mark.parametrize(
    ("decision", "fields", "said"),
    [
        ("edit", {}, "Choose what is right."),
        ("edit", {"corrected": "maybe"}, "Select a valid choice."),
        ("reject", {"note": "kept words"}, "Say why it is rejected."),
        ("reject", {"ground": "other"}, "Say which reason."),
        ("accept", {"note": "x" * 401}, "at most 400 characters"),
    ],
)
def test_an_incomplete_decision_is_refused_and_loses_nothing(kim, product, decision, fields, said):
    feedback = flag(product)
    answer = decide(kim, feedback, decision, **fields)
    assert said in text_of(answer)
    assert fields.get("note", "") in text_of(answer)
    feedback.refresh_from_db()
    assert feedback.status == "flagged"


def test_a_decision_that_came_between_is_not_overwritten(kim, product):
    feedback = flag(product)
    review.reject(feedback, by="lee", reason="no")
    answer = kim.post(page_of(feedback), {"decision": "accept", "note": "my words"})
    assert "lee decided this (reject) while you looked at it." in text_of(answer)
    assert "my words" in text_of(answer)
    feedback.refresh_from_db()
    assert feedback.status == "rejected"


def test_a_decision_can_be_revised(kim, product):
    feedback = flag(product)
    decide(kim, feedback, "reject", ground="wrong")
    assert "Revise the decision" in text_of(kim.get(page_of(feedback)))
    decide(kim, feedback, "accept")
    feedback.refresh_from_db()
    assert (feedback.status, feedback.review.decision) == ("pending", "accept")
    shown = text_of(kim.get(page_of(feedback)))
    assert "Rejected by kim" in shown
    assert "Accepted by kim" in shown


def test_what_waits_for_processing_offers_no_decision(kim, product):
    feedback = flag(product)
    decide(kim, feedback, "accept")
    assert 'name="decision"' not in kim.get(page_of(feedback)).content.decode()
    answer = kim.post(page_of(feedback), {"decision": "accept"})
    assert answer.status_code == 200
    assert feedback.review.history.count() == 1


def test_what_one_escalated_is_for_somebody_else(kim, product):
    first, second = flag(product), flag(product, text="another soup")
    decide(kim, first, "escalate", note="which is it?")
    assert "Escalated by kim" in text_of(kim.get(QUEUE))
    assert decide(kim, second, "accept").url == QUEUE


def test_failed_feedback_can_be_tried_again(kim, product):
    first, second, third = (flag(product, text=f"soup {n}") for n in range(3))
    for feedback in (first, second):
        review.accept(feedback, by="lee")
        Feedback.objects.filter(pk=feedback.pk).update(status="failed", attempts=4, error="x.y")
    decide(kim, first, "retry")
    chosen = {"action": "retry", "_selected_action": [second.pk, third.pk]}
    answer = kim.post("/admin/feedback/feedback/", chosen, follow=True)
    assert "1 left alone: Only failed feedback is retried" in text_of(answer)
    states = Feedback.objects.order_by("number").values_list("status", "attempts")
    assert list(states) == [("pending", 0), ("pending", 0), ("flagged", 0)]


def test_the_page_shows_what_a_moderator_needs(kim, product):
    mine = product.correct("ann", "write to a.b@example.com", comment=f"{ATTACK} \u202eno")
    product.correct("ben", "write to a.b@example.com", output="neg", corrected="pos")
    feedback = Feedback.objects.get(uuid=mine["id"])
    shown = kim.get(page_of(feedback)).content.decode()
    assert "<del>pos</del>" in shown
    assert "<ins>neg</ins>" in shown
    assert ATTACK not in shown
    assert '<span class="mark" title="A character that would not be seen">U+202E</span>' in shown
    text = text_of(kim.get(page_of(feedback)))
    assert "[EMAIL]" in text.split("Redactions")[1]
    assert "by ben · verified · flagged" in text
    assert WHY_FLAGGED["feedback.markup"] in text
    assert "Sent so far: 1 flagged" in text


def test_content_is_inert_on_every_page(product):
    get_user_model().objects.create_superuser("root", password="x")
    root = Client()
    root.login(username="root", password="x")
    feedback = flag(product, text=ATTACK, comment=ATTACK, metadata={"a": ATTACK})
    inference = reverse("admin:feedback_inference_change", args=[feedback.inference_id])
    lists = ["/admin/feedback/feedback/", "/admin/feedback/inference/", QUEUE]
    for address in [page_of(feedback), inference, *lists]:
        answer = root.get(address)
        assert answer.status_code == 200
        assert ATTACK not in answer.content.decode(), address
        assert "alert(1)" in answer.content.decode(), address


def test_hidden_characters_are_named():
    said = [(piece.text, piece.is_mark) for piece in pieces("a\u202eb\u200b\u0000")]
    assert said == [
        ("a", False),
        ("U+202E", True),
        ("b", False),
        ("U+200B", True),
        ("U+0000", True),
    ]
    chat = {"messages": [{"role": "user", "content": "When?"}, {"role": "bot", "content": "At 9."}]}
    assert excerpt(chat) == "user: When? bot: At 9."
    assert excerpt("U\u2066  x\ny" + "z" * 100) == "UU+2066 x y" + "z" * 74 + "…"


def test_every_flag_has_words():
    assert all(" " in words for words in WHY_FLAGGED.values())
    assert set(WHY_FLAGGED) == set(FLAGS)


def test_search_finds_a_contributor_and_an_id(kim, product):
    feedback, other = flag(product, "ann", "one soup"), flag(product, "ben", "two soups")
    assert "two soups" not in text_of(kim.get(QUEUE, {"q": "ann"}))
    found = text_of(kim.get(QUEUE, {"q": str(other.uuid)[:8]}))
    assert "two soups" in found
    assert "one soup" not in found
    assert kim.get(QUEUE, {"q": f"{feedback.uuid}\x00"}).status_code == 200


@pytest.mark.parametrize("query", ["task=x", "task=9" + "9" * 30, "flag=%00", "signal=%00"])
def test_a_broken_filter_is_no_error(kim, product, query):
    feedback = flag(product)
    assert kim.get(f"{QUEUE}?{query}").status_code == 200
    assert kim.get(f"{page_of(feedback)}?{query}").status_code == 200


def test_a_stranger_is_asked_to_log_in(product):
    feedback = flag(product)
    for address in (QUEUE, page_of(feedback), "/admin/"):
        answer = Client().get(address)
        assert answer.url.startswith("/admin/login/"), address
    Client().post(page_of(feedback), {"decision": "accept"})
    feedback.refresh_from_db()
    assert feedback.status == "flagged"


def test_staff_without_permission_sees_and_decides_nothing(product):
    feedback = flag(product)
    lee = staff("lee")
    assert lee.get(QUEUE).status_code == 403
    assert lee.get(page_of(feedback)).status_code == 403
    assert lee.post(page_of(feedback), {"decision": "accept"}).status_code == 403


def test_who_may_only_view_cannot_decide(product):
    feedback = flag(product)
    mia = staff("mia", "view_feedback")
    assert "You may look at this, but not decide it." in text_of(mia.get(page_of(feedback)))
    assert mia.post(page_of(feedback), {"decision": "accept"}).status_code == 403
    chosen = {"action": "retry", "_selected_action": [feedback.pk]}
    mia.post("/admin/feedback/feedback/", chosen)
    feedback.refresh_from_db()
    assert feedback.status == "flagged"


def test_nothing_is_added_or_deleted_by_hand(product):
    get_user_model().objects.create_superuser("root", password="x")
    root = Client()
    root.login(username="root", password="x")
    feedback = flag(product)
    assert root.get("/admin/feedback/feedback/add/").status_code == 403
    delete = reverse("admin:feedback_feedback_delete", args=[feedback.pk])
    assert root.post(delete, {"post": "yes"}).status_code == 403
    task = reverse("admin:feedback_task_change", args=[feedback.task_id])
    assert root.post(task, {"slug": "other"}).status_code == 403


def test_the_index_says_what_needs_attention(kim, product):
    assert "Nothing needs you." in text_of(kim.get("/admin/"))
    feedback = flag(product)
    failed = flag(product, text="failed soup")
    review.accept(failed, by="lee")
    Feedback.objects.filter(pk=failed.pk).update(status="failed")
    said = text_of(kim.get("/admin/"))
    assert "1 flagged the oldest just now" in said
    assert "1 failed" in said
    decide(kim, feedback, "accept")
    Feedback.objects.update(ready_at=timezone.now())  # nobody undid it
    processing.process_queue("process.text")
    figures.measure()
    assert "Of what came today 1 is processed." in text_of(kim.get(QUEUE))


def test_a_key_is_revoked_after_a_question_and_never_shown(product):
    lee = staff("lee", "view_apikey", "change_apikey")
    chosen = {"action": "revoke", "_selected_action": [product.key.pk]}
    asked = lee.post("/admin/privacy/apikey/", chosen)
    assert "Revoke 1 key" in text_of(asked)
    assert product.secret not in asked.content.decode()
    product.get("tasks/")
    lee.post("/admin/privacy/apikey/", chosen | {"confirmed": "yes"})
    product.refused("GET", "tasks/", status=401, code="api.unauthenticated")
    page = lee.get(reverse("admin:privacy_apikey_change", args=[product.key.pk]))
    assert product.secret[15:] not in page.content.decode()


def test_a_keys_limits_change_to_what_can_be_read(product):
    lee = staff("lee", "view_apikey", "change_apikey")
    page = reverse("admin:privacy_apikey_change", args=[product.key.pk])
    refused = lee.post(page, {"limits": '{"contributor": {"burst": 0}}'})
    assert "These limits cannot be read" in text_of(refused)
    lee.post(page, {"limits": '{"contributor": {"burst": 40}}', "name": "another"})
    key = ApiKey.objects.get()
    assert (key.limits, key.name) == ({"contributor": {"burst": 40}}, product.key.name)


def test_who_may_only_view_keys_changes_none(product):
    mia = staff("mia", "view_apikey")
    mia.post(reverse("admin:privacy_apikey_change", args=[product.key.pk]), {"limits": "{}"})
    chosen = {"action": "revoke", "_selected_action": [product.key.pk], "confirmed": "yes"}
    mia.post("/admin/privacy/apikey/", chosen)
    assert ApiKey.objects.get().revoked_at is None


def test_a_tasks_page_explains_settings_and_shows_history(product):
    product.patch("tasks/mood/", {"settings": {"silence_weight": 0.5}})
    feedback = flag(product)
    lee = staff("lee", "view_task")
    shown = text_of(lee.get(reverse("admin:feedback_task_change", args=[feedback.task_id])))
    assert "silence_weight 0.5 Weight of a silent answer in training; 0 is off" in shown
    assert "silence_hours 24.0 (default)" in shown
    assert re.search(r"silence_weight: \S+ → 0.5", shown)


def test_an_item_shows_what_it_weighs_and_why(kim, product):
    feedback = Feedback.objects.get(uuid=product.correct("eve")["id"])
    assert "none so far" in text_of(kim.get(page_of(feedback)))
    processing.process_queue("process.text")
    distrust(product)
    shown = text_of(kim.get(page_of(feedback)))
    parts = ("1.00 for the signal", "1.00 for the size of the change", "0.10 for trust")
    assert f"Weight 0.10 = {TIMES.join(parts)}, once it is accepted" in shown
    assert "quarantined trust 0.10 of 1" in shown
    assert "Agreed with what is thought right 4 times, 36 not" in shown


def test_others_are_shown_with_their_standing_and_what_they_approved(kim, product):
    product.correct("eve", signal="up", corrected=None)
    distrust(product)
    feedback = flag(product)
    assert "up of pos by eve · quarantined · verified" in text_of(kim.get(page_of(feedback)))


def test_an_approval_is_not_said_to_teach_nothing(kim, product):
    distrust(product)
    approval = flag(product, "eve", signal="up")
    shown = text_of(kim.get(page_of(approval)))
    assert "says that the output is right" in shown
    assert "this teaches nothing" not in shown


def test_all_that_waits_of_a_person_is_accepted_at_once(kim, product):
    stranger = product.capture_key()
    unverified = Feedback.objects.get(uuid=stranger.correct("ann", "one soup")["id"])
    processing.process_queue("process.text")
    assert "Nobody vouches for who sent this" in text_of(kim.get(page_of(unverified)))
    flagged = flag(
        product, "ann", "two soups", signal="correction", corrected="neg", comment=ATTACK
    )
    unclear, decided, other = (
        flag(product, "ann"),
        flag(product, "ann", "z"),
        flag(product, "anna", "not hers"),
    )
    review.reject(decided, by="lee", reason="no")
    view = "/admin/feedback/feedback/?user_id__exact=ann"
    keys = Feedback.objects.values_list("pk", flat=True)
    chosen = {"action": "accept", "_selected_action": [*keys]}
    said = text_of(kim.post(view, chosen, follow=True))
    assert "2 accepted. " in said
    assert "2 left alone: decided, in need of nothing, or without a word" in said
    statuses = {}
    for feedback in (unverified, flagged, unclear, decided, other):
        feedback.refresh_from_db()
        statuses[feedback.inference.input] = feedback.status
    assert statuses == {
        "one soup": "pending",
        "two soups": "pending",
        "good soup": "flagged",
        "z": "rejected",
        "not hers": "flagged",
    }
    assert unverified.review.moderator == "kim"


def test_who_may_only_view_accepts_nothing_at_once(product):
    feedback = flag(product, "ann", signal="correction", corrected="neg", comment=ATTACK)
    chosen = {"action": "accept", "_selected_action": [feedback.pk]}
    staff("mia", "view_feedback").post("/admin/feedback/feedback/", chosen)
    feedback.refresh_from_db()
    assert feedback.status == "flagged"


def test_a_contributors_page_says_how_they_stand_and_leads_to_what_they_sent(product):
    row = distrust(product, "e+ve")
    lee = staff("lee", "view_contributor", "view_feedback", "change_feedback")
    listed = lee.get("/admin/feedback/contributor/?is_held__exact=0")
    assert "e+ve mood quarantined 0.10 40 4 / 36" in text_of(listed)
    answer = lee.get(reverse("admin:feedback_contributor_change", args=[row.pk]))
    assert "Trust: 0.10" in text_of(answer)
    assert "-2.123" not in text_of(answer)
    feedback = flag(product, "e+ve", "their soup")
    address = re.search(r'href="([^"]+user_id__exact[^"]+)"', answer.content.decode())[1]
    shown = text_of(lee.get(address.replace("&amp;", "&")))
    assert "their soup" in shown
    assert "/?project__exact=" in lee.get(page_of(feedback)).content.decode()


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ('{"task":"mood","input":"<b>"}', '{\n  "task": "mood",\n  "input": "<b>"\n}'),
        ('{"task":"mo', '{"task":"mo'),
        ("", "not kept"),
    ],
)
def test_a_dead_letter_shows_what_is_kept_of_it(product, content, shown):
    said = {"code": "api.malformed", "detail": "Not JSON.", "content": content}
    place = {"topic": "acts", "partition": 1, "offset": 7, "sent_at": timezone.now()}
    letter = DeadLetter.objects.create(**place, project=product.project, source="/shop", **said)
    lee = staff("lee", "view_deadletter")
    listed = text_of(lee.get("/admin/feedback/deadletter/"))
    assert "acts/1/7 Not JSON. api.malformed without an id from /shop" in listed
    page = lee.get(reverse("admin:feedback_deadletter_change", args=[letter.pk]))
    assert f'<div class="said">{escape(shown)}</div>' in page.content.decode()


LAYOUT = {"boxes": [{"id": "a", "label": "panel", "bbox": [0, 0, 50, 40]}]}
MOVED = {"boxes": [{"id": "a", "label": "panel", "bbox": [5, 0, 50, 40]}]}
OTHER_MODALITIES = [
    (
        {"slug": "reply", "modality": "text"},
        {"input": {"messages": [{"role": "user", "content": "When?"}]}, "output": "At ten."},
        "At <b>noon</b>.",
        "Noon.\r\nSharp.",
        ["<h3>user</h3>", "When?", "<del>ten", "<ins>&lt;b&gt;"],
    ),
    (
        {"slug": "page", "modality": "layout", "labels": ["panel"]},
        {"input": {"page": {"width": 100, "height": 80}}, "output": LAYOUT},
        MOVED,
        json.dumps(LAYOUT | {"boxes": [LAYOUT["boxes"][0] | {"bbox": [9, 0, 50, 40]}]}).decode(),
        ["What was changed", "moved"],
    ),
]


@pytest.mark.parametrize(("task", "answer", "corrected", "mended", "shown"), OTHER_MODALITIES)
def test_an_item_of_another_modality_is_shown_and_mended(
    product, kim, *, task, answer, corrected, mended, shown
):
    product.post("tasks/", task, 201)
    act = {"signal": "correction", "corrected": corrected, "comment": ATTACK, "user_id": "ann"}
    row = product.post("feedback/", answer | act | {"task": task["slug"]}, 201)
    feedback = Feedback.objects.get(uuid=row["id"])
    page = kim.get(page_of(feedback)).content.decode()
    assert [text for text in shown if text not in page] == []
    assert "<b>" not in page
    broken = decide(kim, feedback, "edit", corrected="{" if task["slug"] == "page" else "")
    assert broken.status_code == 200
    assert decide(kim, feedback, "edit", corrected=mended).status_code == 302
    feedback.refresh_from_db()
    assert feedback.status == "pending"
    assert feedback.review.corrected == (
        "Noon.\nSharp." if task["slug"] == "reply" else json.loads(mended.encode())
    )
