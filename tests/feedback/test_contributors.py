"""Who is on probation, trusted or quarantined, and what becomes of their acts."""

from dataclasses import replace

import pytest
from django.db import connection

from feedback import contributors, review
from feedback.contributors import Score
from feedback.models import Contributor, Feedback
from tests.product import Product, process
from tests.training.builders import taken

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture
def task(shop):
    return shop.project.tasks.get()


def score(user_id="eve", honesty=0.01, acts=40):
    return Score(user_id, honesty, evidence=-3.0, acts=acts, agreed=0, disagreed=acts)


def apply(task, *scores):
    contributors.apply(task, scores)
    return Contributor.objects.filter(task=task).order_by("user_id").first()


def said(shop, user_id, text, **more):
    return Feedback.objects.get(uuid=shop.correct(user_id, text, **more)["id"])


def trainable():
    return set(taken().values_list("feedback__user_id", flat=True))


def test_it_works(shop, task):
    rows = [said(shop, user, f"soup {n}") for n, user in enumerate(["eve", "eve", "ann"])]
    process()
    assert trainable() == {"eve", "ann"}
    eve = apply(task, score("eve"), score("ann", honesty=0.98))
    eve = Contributor.objects.get(user_id="eve")
    assert (eve.standing, eve.trust, eve.acts) == ("quarantined", 0.05, 40)
    for row in rows:
        row.refresh_from_db()
    assert [(row.status, row.flags) for row in rows] == [
        ("flagged", ["feedback.low_trust"]),
        ("flagged", ["feedback.low_trust"]),
        ("processed", []),
    ]
    assert trainable() == {"ann"}
    assert shop.correct("eve", "soup 9")["flags"] == ["feedback.low_trust"]
    assert shop.correct("ann", "soup 10")["flags"] == []


@pytest.mark.parametrize(
    ("honesty", "acts", "standing", "trust"),
    [
        (0.01, 14, "probation", 1.0),
        (0.01, 15, "quarantined", 0.05),
        (0.29, 15, "quarantined", 0.3),
        (0.31, 15, "trusted", 0.3),
        (1.0, 15, "trusted", 1.0),
        (1.0, 3, "probation", 1.0),
    ],
)
def test_standing_follows_from_the_score(task, honesty, acts, standing, trust):
    row = apply(task, score(honesty=honesty, acts=acts))
    assert (row.standing, row.trust) == (standing, trust)


def test_who_was_quarantined_is_not_free_at_once(task):
    apply(task, score(honesty=0.01))
    assert apply(task, score(honesty=0.5)).standing == "quarantined"
    assert apply(task, score(honesty=0.9, acts=3)).standing == "quarantined"
    assert apply(task, score(honesty=0.7)).standing == "trusted"


def test_release_gives_back_what_only_distrust_held(shop, task):
    apply(task, score())
    held = said(shop, "eve", "soup 1")
    suspect = said(shop, "eve", "soup 2", comment="<script>alert(1)</script>")
    apply(task, score(honesty=0.95))
    held.refresh_from_db()
    suspect.refresh_from_db()
    assert (held.status, held.flags) == ("pending", [])
    assert (suspect.status, suspect.flags) == ("flagged", ["feedback.markup"])
    assert process() == 1


def test_what_a_moderator_accepted_stays(shop, task):
    row = said(shop, "eve", "soup 1")
    process()
    review.accept(row, by="mia")
    process()
    apply(task, score())
    row.refresh_from_db()
    assert row.status == "processed"
    assert trainable() == {"eve"}


def test_what_is_not_yet_processed_when_its_author_falls_is_not_trained_on(shop, task):
    said(shop, "eve", "soup 1")
    apply(task, score())
    process()
    assert trainable() == set()


def test_a_stranger_may_not_frame_anybody(shop, task):
    stranger = shop.capture_key()
    apply(task, score("ann"))
    assert stranger.correct("ann", "soup 1")["flags"] == []  # not verified: not known to be hers
    assert shop.correct("ann", "soup 2")["flags"] == ["feedback.low_trust"]


def test_distrusted_acts_contradict_nobody(shop, task):
    apply(task, score("eve"))
    shop.task(slug="tone", labels=["a", "b", "c"])
    tone = shop.project.tasks.get(slug="tone")
    apply(tone, score("eve"))
    body = {"task": "tone", "input": "x", "output": "a", "signal": "correction"}
    shop.post("feedback/", body | {"corrected": "b", "user_id": "eve"}, 201)
    said = shop.post("feedback/", body | {"corrected": "c", "user_id": "ann"}, 201)
    assert said["flags"] == []


def test_another_task_and_another_project_know_nothing_of_it(shop, task):
    shop.task(slug="tone")
    other = Product("other")
    other.task()
    apply(task, score("eve"))
    tone = {"task": "tone", "input": "x", "output": "pos", "signal": "up", "user_id": "eve"}
    assert shop.post("feedback/", tone, 201)["flags"] == []
    assert other.correct("eve")["flags"] == []


def test_a_moderator_may_decide_otherwise(shop, task):
    row = apply(task, score())
    contributors.hold(row, standing="trusted", by="mia", reason="A colleague of ours.")
    assert apply(task, score()).standing == "trusted"
    assert shop.correct("eve")["flags"] == []
    contributors.let_go(row, by="mia")
    assert apply(task, score()).standing == "quarantined"
    reasons = list(
        row.history.order_by("history_id").values_list("history_change_reason", flat=True)
    )
    assert reasons == [
        "40 acts, honest with probability 0.01",
        "trusted by mia: A colleague of ours.",
        "let go by mia",
        "40 acts, honest with probability 0.01",
    ]


def test_many_are_decided_about_at_once_and_followed_once(shop, task, monkeypatch):
    rows = [said(shop, user, f"soup of {user}") for user in ("ann", "ben", "eve")]
    process()
    apply(task, *(score(user, honesty=0.98) for user in ("ann", "ben", "eve")))
    followed = []
    follow = contributors.follow
    monkeypatch.setattr(contributors, "follow", lambda of: followed.append(of) or follow(of))
    people = Contributor.objects.filter(user_id__in=["ann", "eve"])
    contributors.hold(*people, standing="quarantined", by="mia", reason="one and the same")
    assert followed == [task]
    assert {row.status for row in Feedback.objects.filter(user_id__in=["ann", "eve"])} == {
        "flagged"
    }
    assert Feedback.objects.get(pk=rows[1].pk).status == "processed"
    contributors.let_go(*people, by="mia")
    assert followed == [task, task]
    assert set(Contributor.objects.values_list("is_held", flat=True)) == {False}


def test_who_did_little_is_on_probation_again_once_let_go(shop, task):
    row = said(shop, "eve", "soup 1")
    process()
    contributor = apply(task, score(honesty=0.95, acts=3))
    contributors.hold(contributor, standing="quarantined", by="mia", reason="Odd.")
    row.refresh_from_db()
    assert (row.status, row.flags) == ("flagged", ["feedback.low_trust"])
    contributors.let_go(contributor, by="mia")
    row.refresh_from_db()
    assert (row.status, row.flags) == ("pending", [])
    contributor.refresh_from_db()
    assert (contributor.standing, contributor.trust) == ("probation", 1.0)


def test_only_news_leave_history(task):
    row = apply(task, score(honesty=0.9))
    apply(task, score(honesty=0.91, acts=50))
    row.refresh_from_db()
    assert (row.acts, row.honesty) == (50, 0.91)
    assert row.history.count() == 1
    apply(task, score(honesty=0.8))
    assert row.history.count() == 2


# --- Rows that did harm -------------------------------------------------------------------------
HARM = "trust times 0.5: their rows did harm to the newest model"


def harmful(**more):
    return replace(score(**{"honesty": 0.9} | more), credit=0.5)


def test_whose_rows_did_harm_is_told_so(shop, task):
    row = apply(task, harmful())
    assert (row.standing, row.trust) == ("trusted", 0.45)
    told = shop.get("tasks/mood/contributors/eve/")["explanation"]
    assert told.endswith(f"; honest with probability 0.90 by 40 acts; {HARM}.")
    why = row.history.get().history_change_reason
    assert why == f"40 acts, honest with probability 0.90; {HARM}"


def test_harm_is_told_of_who_said_nothing_to_judge_by(task):
    row = apply(task, harmful(acts=0))
    assert row.explanation == f"Nothing said yet that could be judged; {HARM}."


def test_the_longest_reason_fits_the_history(task):
    row = apply(task, harmful(acts=20_000))
    assert row.history.get().history_change_reason.endswith(HARM)


def test_harm_is_news_where_trust_stays_the_same(task):
    apply(task, score(honesty=0.5))
    row = apply(task, harmful(honesty=1.0))
    assert row.trust == 0.5
    assert row.history.count() == 2


def test_harm_that_is_over_is_told_no_more(task):
    apply(task, harmful())
    row = apply(task, score(honesty=0.9))
    assert row.trust == 0.9
    assert "harm" not in row.explanation


def test_a_moderators_reason_ends_with_the_decision(task):
    row = apply(task, score(honesty=0.9))
    contributors.hold(row, standing="trusted", by="mia", reason="A colleague of ours.")
    contributors.let_go(row, by="mia")
    row.refresh_from_db()
    assert "colleague" not in row.explanation


def test_history_knows_what_was_and_holds_no_name(task):
    apply(task, score(honesty=0.9))
    then = contributors.newest_decision(task)
    apply(task, score(honesty=0.01))
    assert contributors.standings_as_of(task, then) == {"eve": ("trusted", 0.9)}
    assert contributors.standings_as_of(task, contributors.newest_decision(task)) == {
        "eve": ("quarantined", 0.05)
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT h::text FROM feedback_historicalcontributor AS h")
        assert "eve" not in str(cursor.fetchall())


def test_the_api_explains_and_takes_a_moderators_word(shop, task):
    apply(task, score("eve"), score("ann", honesty=0.97))
    (eve,) = shop.get("tasks/mood/contributors/?standing=quarantined")["results"]
    assert shop.get("tasks/mood/contributors/eve/") == eve
    assert (eve["user_id"], eve["acts"], eve["trust"]) == ("eve", 40, 0.05)
    assert eve["explanation"] == (
        "Agreed with what is thought right 0 times, 40 not; "
        "honest with probability 0.01 by 40 acts."
    )
    decided = {"standing": "trusted", "moderator": "mia", "reason": "Our tester."}
    held = shop.put("tasks/mood/contributors/eve/", decided)
    assert (held["standing"], held["is_held"], held["explanation"]) == (
        "trusted",
        True,
        "A moderator decided: Our tester.",
    )
    free = {"standing": None, "moderator": "mia"}
    assert shop.put("tasks/mood/contributors/eve/", free)["is_held"] is False


def test_a_moderator_may_judge_who_was_not_scored_yet(shop, task):
    path = "tasks/mood/contributors/eve/"
    shop.correct("eve")
    assert shop.get(path)["explanation"] == "Not scored yet."
    shop.refused("PUT", path, {"standing": "king"}, status=400, code="api.malformed")
    assert not Contributor.objects.exists()
    decided = {"standing": "quarantined", "moderator": "mia", "reason": "A vandal."}
    assert shop.put(path, decided)["trust"] == 0.05
    assert shop.correct("eve", "soup 2")["flags"] == ["feedback.low_trust"]


def test_scores_may_be_asked_for(shop, task):
    shop.correct("ann")
    assert shop.post("tasks/mood/scores/", {}, 202) == {"task": "mood", "scored_at": None}
    assert shop.get("tasks/mood/")["reactions"] == {
        "approving": None,
        "disagreeing": None,
        "silence_weight": 0.0,
        "scored_at": None,
    }


def test_scores_that_never_come_are_not_promised(shop, task):
    assert shop.post("tasks/mood/scores/", {}, 202)["scored_at"] is not None  # nobody spoke
    shop.patch("tasks/mood/", {"settings": {"trust": False}})
    shop.refused("POST", "tasks/mood/scores/", {}, status=400, code="api.malformed")


def test_an_audit_is_never_quarantined(shop, task):
    shop.correct("eve", source="audit")
    process()
    apply(task, score("eve"))
    assert Feedback.objects.get().status == "processed"


def test_a_stranger_sees_nobody(shop, task):
    apply(task, score("eve"))
    other = Product("other")
    for path in ("contributors/", "contributors/eve/"):
        assert other.send("GET", f"tasks/mood/{path}").status_code == 404
    assert other.send("POST", "tasks/mood/scores/", {}).status_code == 404
    assert shop.capture_key().send("GET", "tasks/mood/contributors/").status_code == 403
    assert shop.get("tasks/mood/contributors/nobody/", 404)["code"] == "api.not_found"
