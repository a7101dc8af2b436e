"""The numbers of review: what counts as a verdict, who sees what, and what the page says of it."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from feedback import claims, review
from feedback.agreement import Pairs, cohen_kappa
from feedback.models import Feedback, HourFigures, Review, SecondLook, Task
from feedback.review import numbers
from feedback.review.numbers import FlagShare
from tests import roles
from tests.product import Product, process

pytestmark = pytest.mark.django_db
PAGE = "/admin/feedback/flaggedfeedback/numbers/"
QUEUE = "/admin/feedback/flaggedfeedback/"
NONE = "\N{EN DASH}"


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


@pytest.fixture
def lead(shop):
    return roles.staff("lead", shop.project, name="lea")


def flag(shop, text="good soup", **more):
    """Send a thumbs down without a correction, which is flagged."""
    body = {"signal": "down", "corrected": None} | more
    return Feedback.objects.get(uuid=shop.correct("ann", text, **body)["id"])


def flags(shop, n, start=0):
    return [flag(shop, f"soup {number}") for number in range(start, start + n)]


def accept(feedback, by="kim", **more):
    return review.accept(feedback, by=by, corrected="neg", **more)


def reject(feedback, by="kim", reason="no"):
    return review.reject(feedback, by=by, reason=reason)


@pytest.fixture
def looks(monkeypatch):
    """Draw all that is decided for a second look."""
    monkeypatch.setattr(review.second, "chance", lambda: 0.0)


def look_again(feedback, by, *, is_yes):
    review.second.judge(feedback.second_look, by=by, is_yes=is_yes)


def found(days=30):
    return numbers.decided(list(Task.objects.values_list("pk", flat=True)), days=days)


def text_of(client, address=PAGE):
    """Return what a reader sees of a page, on one line."""
    answer = client.get(address)
    assert answer.status_code == 200
    main = answer.content.decode().partition('id="content-main"')[2]
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", main).split()))


def test_it_works(shop, lead):
    first, second, third, fourth = flags(shop, 4)
    accept(first)
    reject(second, by="mia")
    review.escalate(third, by="kim")
    claims.take(claims.FEEDBACK, fourth.pk, by="mia")
    page = text_of(lead)
    assert "Open 2 1 escalated" in page
    assert "Decided today 2 2 in 7 days" in page
    assert "shop / mood 2" in page
    assert "A thumbs down that does not say what is right 1 of 2 50% (9 to 91%)" in page
    assert f"kim 1 1 1 {NONE} 100%" in page
    assert f"mia 1 1 1 {NONE} 0% has one open" in page
    assert "Too few judged twice (0)" in page


def test_an_escalation_is_no_verdict(shop):
    review.escalate(flag(shop), by="kim")
    assert (found().all.decided, found().by_moderator, found().flags) == (0, [], [])


def test_what_was_undone_never_was(shop):
    feedback = flag(shop)
    made = accept(feedback, wait=review.UNDO_AND_WAY)
    assert found().all.decided == 1
    review.undo(feedback, by="kim", record=made.record)
    assert found().all.decided == 0
    reject(feedback)
    assert (found().all.decided, found().all.accepted) == (1, 0)


def test_what_an_undo_restores_counts_once(shop):
    shop.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    feedback = flag(shop)
    review.accept(feedback, by="kim")
    made = reject(feedback, by="lee")
    review.undo(feedback, by="lee", record=made.record)
    assert [row.moderator for row in found().by_moderator] == ["kim"]
    assert found().all.decided == 1


def test_a_reason_that_reads_like_an_undo_is_a_verdict(shop):
    accept(first := flag(shop))
    process()
    reject(first, by="lee", reason="undone by the shop already")
    assert (found().all.decided, found().all.accepted) == (2, 1)


def test_only_timed_decisions_have_a_median(shop):
    for feedback, seconds in zip(flags(shop, 4), (10, 20, 90, None), strict=True):
        if seconds is not None:
            claim = claims.take(claims.FEEDBACK, feedback.pk, by="kim")
            claim.taken_at = timezone.now() - timedelta(seconds=seconds)
            claim.save()
        accept(feedback)
    timed = found().all
    assert (timed.decided, timed.timed) == (4, 3)
    assert timed.median == pytest.approx(20, abs=1)
    assert timed.p90 == pytest.approx(76, abs=1)  # four fifths of the way from 20 to 90


def test_only_second_looks_are_pairs(shop, looks):
    shop.patch("tasks/mood/", {"settings": {"approvals_required": 2}})
    agreed, revised = flag(shop), flag(shop, "bad soup")
    accept(agreed, by="lee")
    accept(agreed, by="kim")
    reject(revised, by="lee")
    reject(revised, by="kim")
    told = found()
    assert (told.agreement.n, told.all.decided) == (0, 4)
    look_again(agreed, "mia", is_yes=True)
    assert found().agreement == cohen_kappa(Pairs(yes_yes=1))


def test_two_have_one_row_whoever_came_first(shop, looks):
    for feedback, (first, second) in zip(
        flags(shop, 12), [("kim", "lee")] * 5 + [("lee", "kim")] * 7, strict=True
    ):
        reject(feedback, by=first)
        look_again(feedback, second, is_yes=True)
    told = found()
    assert told.agreement == cohen_kappa(Pairs(no_yes=12))
    assert told.between == [("kim", "lee", cohen_kappa(Pairs(no_yes=5, yes_no=7)))]


def test_two_are_not_compared_by_a_handful(shop, looks):
    for feedback in flags(shop, numbers.LEAST_OF_TWO - 1):
        reject(feedback, by="lee")
        look_again(feedback, "kim", is_yes=False)
    assert (found().agreement.n, found().between) == (9, [])


def test_agreement_is_told_from_thirty_on(shop, lead, looks):
    few = flags(shop, numbers.LEAST_OF_ALL)
    for n, feedback in enumerate(few):
        reject(feedback, by="lee")
        if n == 29:
            assert "Too few judged twice (29)." in text_of(lead)
        look_again(feedback, "kim", is_yes=n % 3 > 0)
    assert "Of 30 judged twice 10 got the same verdict both times: kappa 0.00" in text_of(lead)


def test_looks_at_other_tasks_and_of_other_days_do_not_count(shop, looks):
    reject(feedback := flag(shop))
    look_again(feedback, "lee", is_yes=False)
    assert found().agreement.n == 1
    assert numbers.decided([], days=30).agreement.n == 0
    SecondLook.objects.update(judged_at=timezone.now() - timedelta(days=31))
    assert found().agreement.n == 0


def test_a_flag_counts_by_the_latest_verdict(shop):
    feedback = flag(shop)
    reject(feedback)
    accept(feedback, by="lee")
    assert found().flags == [FlagShare("feedback.no_fix", n=1, accepted=1)]


@pytest.mark.parametrize(
    ("accepted", "n", "is_accepted", "is_rejected"),
    [(73, 73, True, False), (72, 72, False, False), (0, 73, False, True), (36, 73, False, False)],
)
def test_a_flag_speaks_by_its_interval(accepted, n, is_accepted, is_rejected):
    row = FlagShare("feedback.burst", n, accepted)
    assert row.is_nearly_always_accepted == is_accepted
    assert row.is_nearly_always_rejected == is_rejected


def test_a_flag_that_is_nearly_always_accepted_is_one_to_change(shop, lead):
    once = flag(shop)
    accept(once)
    Feedback.objects.filter(pk=once.pk).update(flags=["feedback.burst"])
    record = Review.history.get()
    others = [other.pk for other in flags(shop, 73)]
    Feedback.objects.filter(pk__in=others).update(flags=["feedback.burst"])
    for other in others:
        record.pk, record.feedback_id = None, other
        record.save(force_insert=True)
    assert "is nearly always accepted: change this flag's threshold." in text_of(lead)


def test_only_so_many_days_count(shop, monkeypatch):
    first, second = flags(shop, 2)
    with monkeypatch.context() as then:
        past = timezone.now() - timedelta(days=20)
        then.setattr(timezone, "now", lambda: past)
        accept(first)
    accept(second)
    assert (found(days=30).all.decided, found(days=30).all.week) == (2, 1)
    assert found(days=7).all.decided == 1


def test_only_the_newest_are_read(shop, lead, monkeypatch):
    for feedback in flags(shop, 3):
        accept(feedback)
    monkeypatch.setattr(numbers, "MOST_READ", 2)
    assert (found().all.decided, found().is_cut) == (2, True)
    assert "Of 30 days the newest 2 decisions were read." in text_of(lead)


def test_the_queue_grows_by_what_is_not_decided(shop, lead):
    task, now = Task.objects.get(), timezone.now().replace(minute=0, second=0, microsecond=0)
    for days, flagged, decided in ((0, 5, 2), (1, 4, 1), (13, 9, 30), (14, 7, 7)):
        HourFigures.objects.create(
            task=task, hour=now - timedelta(days=days), flagged=flagged, decided=decided
        )
    flow = numbers.flow([task.pk])
    assert (len(flow), flow[-1].growth, flow[-2].growth, flow[0].growth) == (14, 3, 3, -21)
    assert "The queue grows, by 6: 9 flagged and 3 decided in 7 days." in text_of(lead)


def test_nobody_sees_other_projects(shop, lead):
    baker = Product("bakery")
    baker.task()
    accept(flag(baker), by="their moderator")
    other = Task.objects.get(project=baker.project)
    for address in (PAGE, f"{PAGE}?task={other.pk}"):
        page = text_of(lead, address)
        assert "Decided today 0" in page
        assert "bakery" not in page
        assert "their moderator" not in page


def test_one_task_can_be_looked_at(shop, lead):
    shop.task(slug="tone")
    accept(flag(shop))
    tone = Task.objects.get(slug="tone")
    assert "Decided today 1" in text_of(lead)
    assert "Decided today 0" in text_of(lead, f"{PAGE}?task={tone.pk}&days=7")


def test_names_are_for_who_may_see_reviews(shop, lead):
    accept(flag(shop), by="mia")
    moderator = roles.staff("moderator", shop.project)
    assert "mia" in text_of(lead)
    assert "Decided today 1" in text_of(moderator)
    assert "mia" not in text_of(moderator)


def test_who_may_not_see_feedback_is_refused(shop):
    stranger = Client()
    stranger.force_login(User.objects.create_user("sam", is_staff=True))
    assert stranger.get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302


def test_a_product_s_own_moderators_count_under_their_names(shop, lead):
    name = "<script>alert(1)</script>"
    body = {"decision": "reject", "reason": "no", "moderator": name}
    shop.post(f"feedback/{flag(shop).uuid}/review/", body, 200)
    assert f"{name} 1 1 1" in unescape(text_of(lead))
    assert name not in lead.get(PAGE).content.decode()


def test_nothing_yet_is_said_in_words(shop, lead):
    page = text_of(lead)
    assert "Nothing waits for a decision." in page
    assert "Nobody decided anything in 30 days." in page
    nobody = roles.staff("moderator", name="new")
    assert "No task is given to you" in text_of(nobody)


def test_the_queue_leads_to_it(shop, lead):
    assert PAGE in lead.get(QUEUE).content.decode()
    flag(shop)
    assert PAGE in lead.get(QUEUE).content.decode()


def test_queries_do_not_grow(shop, lead, django_assert_num_queries):
    lead.get(PAGE)
    for feedback in flags(shop, 2):
        accept(feedback)
    with django_assert_num_queries(11):
        lead.get(PAGE)
    shop.task(slug="tone")
    for n, feedback in enumerate(flags(shop, 12, start=2)):
        accept(feedback, by=f"moderator {n}")
    with django_assert_num_queries(11):
        lead.get(PAGE)
