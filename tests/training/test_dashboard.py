"""The admin's index: the loop in numbers, what needs somebody, and the charts."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.models import BellRun
from feedback import figures
from feedback.models import Feedback, HourFigures, Task
from privacy.models import ErasureRequest, Project
from tests.roles import permitted, staff
from tests.training.builders import Product
from training import rollouts
from training.dashboard.charts import charts
from training.dashboard.scope import scope_of
from training.models import AnswerToCheck, DatasetVersion, ModelAlias, Rollout, Run

pytestmark = pytest.mark.django_db
SEES = ["view_feedback", "view_run", "view_datasetversion", "view_rollout", "view_modelalias"]
DECIDES = ["view_feedback", "change_feedback"]


@pytest.fixture
def kim(product):
    return permitted("kim", *SEES, *DECIDES, projects=[product.project])


def text_of(answer):
    """Return what a reader sees of a page, on one line."""
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def flag(product, text, user="ann"):
    feedback = product.react(product.show(text, user=user), "down", user=user)
    assert feedback.status == "flagged"
    return feedback


def chart(client, name, of=""):
    (found,) = [one for one in charts(scope_of(client.user, of)) if one.name == name]
    return found


def ended(product, status, **fields):
    return Run.objects.create(
        task=product.task,
        dataset=product.dataset,
        status=status,
        ended_at=timezone.now(),
        **fields,
    )


def test_it_works(kim, product):
    product.correct("one good soup")
    flag(product, "two bad soups")
    figures.measure()
    said = text_of(kim.get("/admin/"))
    assert "Needs you: ⚑ 1 flagged the oldest just now" in said
    assert "Captured 2 in 24 hours, 0.1 an hour just now" in said
    assert "Flagged 1 open, 50.0% of what came oldest just now" in said
    assert "Processed 1 in 24 hours, 50.0% of what came just now" in said
    assert "Champion 0 of 1 tasks served none" in said
    assert "Counted just now" in said


def test_an_empty_house_says_so(kim):
    said = text_of(kim.get("/admin/"))
    assert "Nothing needs you." in said
    assert "Nothing was captured in 30 days." in said
    assert "No model has served yet." in said


def test_only_given_projects_are_counted_and_offered(kim, product):
    other = Product("other")
    flag(other, "two bad soups")
    figures.measure()
    answer = kim.get("/admin/?of=other")
    assert "Nothing needs you." in text_of(answer)
    assert "other" not in answer.content.decode()
    root = permitted("root", *DECIDES, projects=[product.project, other.project])
    assert "1 flagged" in text_of(root.get("/admin/?of=other"))


def test_a_task_is_chosen_in_the_address(kim, product):
    second = Task.objects.create(
        project=product.project, slug="tone", modality="classification", labels=["a", "b"]
    )
    flag(product, "two bad soups")
    assert "1 flagged" in text_of(kim.get("/admin/?of=shop"))
    assert "1 flagged" in text_of(kim.get("/admin/?of=shop/mood"))
    assert "Nothing needs you." in text_of(kim.get(f"/admin/?of=shop/{second.slug}"))
    assert "1 flagged" in text_of(kim.get("/admin/?of=<script>"))


def test_what_is_refused_failed_or_rolled_back_needs_somebody(kim, product):
    first, second = product.register(), product.register("1" * 64)
    Rollout.objects.create(
        task=product.task, champion=first, challenger=second, share=0.1, status="rolled_back"
    )
    ended(product, "refused")
    ErasureRequest.objects.create(
        project=product.project,
        subject_digest=b"x" * 32,
        status="failed",
        requested_by="kim",
        tombstone_until=timezone.now(),
    )
    said = text_of(kim.get("/admin/"))
    assert "✗ newest model of mood refused just now" in said
    assert "✗ canary of mood rolled back" in said
    assert "erasure" not in said.split("All lists")[0]
    officer = permitted("lee", "view_feedback", "view_erasurerequest", projects=[product.project])
    said = text_of(officer.get("/admin/"))
    assert "✗ erasure failed" in said
    assert "refused just now" not in said
    ended(product, "passed")
    assert "newest model" not in text_of(kim.get("/admin/"))


def test_the_newest_build_that_failed_needs_somebody(kim, product):
    DatasetVersion.objects.create(
        dataset=product.dataset, name="mood", version=1, status="failed", error="build.x"
    )
    assert "✗ build of mood v1 failed" in text_of(kim.get("/admin/"))
    DatasetVersion.objects.create(dataset=product.dataset, name="mood", version=2, status="ready")
    assert "build of" not in text_of(kim.get("/admin/"))


def test_answers_to_check_need_who_may_check_them(kim, product):
    AnswerToCheck.objects.create(task=product.task, inference=product.show("good soup"))
    assert "to check" not in text_of(kim.get("/admin/"))
    checks = ["view_feedback", "view_answertocheck", "change_answertocheck"]
    lee = permitted("lee", *checks, projects=[product.project])
    assert "⚑ 1 to check" in text_of(lee.get("/admin/"))


def needs_of(client):
    """Return what the page says between the choice of a project and the loop."""
    page = client.get("/admin/").content.decode()
    section = page.split('aria-label="What needs you">')[1].split("</section>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", section).split())


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("moderator", "Needs you: ⚑ 1 flagged the oldest just now ✗ 1 failed the oldest just now"),
        ("engineer", "Needs you: ✗ 1 failed the oldest just now"),
        ("privacy officer", "✓ Nothing needs you. No erasure failed."),
    ],
)
def test_only_who_may_deal_with_it_is_told_that_it_needs_them(product, role, said):
    flag(product, "two bad soups")
    failed = product.react(product.show("good soup"), "up")
    Feedback.objects.filter(pk=failed.pk).update(status="failed")
    assert needs_of(staff(role, product.project)) == said


def test_what_somebody_may_not_see_is_not_said_to_be_well(product):
    ended(product, "refused")
    for names, said in ((DECIDES, " Nothing is flagged. Nothing failed."), (DECIDES[:1], "")):
        client = permitted(f"lee-{len(names)}", *names, projects=[product.project])
        assert needs_of(client) == f"✓ Nothing needs you.{said}"


def test_who_has_no_project_is_told_so_and_not_that_all_is_well(product):
    flag(product, "two bad soups")
    client = staff("moderator")
    assert needs_of(client) == (
        "⚑ No project is given to you. So nothing that waits is shown here. "
        "Somebody who manages staff can give you one."
    )
    assert "Nothing was captured" not in text_of(client.get("/admin/"))


def test_a_project_without_tasks_is_one(product):
    client = staff("moderator", Project.objects.create(slug="new", name="new"))
    assert "✓ Nothing needs you." in needs_of(client)


def check(product, text, is_right, task=None):
    """Store an answer of the random slice that somebody checked."""
    shown = product.show(text)
    audit = product.react(shown, "up" if is_right else "down", user="mia")
    return AnswerToCheck.objects.create(
        task=task or product.task,
        inference=shown,
        is_random=True,
        propensity=1.0,
        status="answered",
        feedback=audit,
        answered_at=timezone.now(),
        seconds=4 if is_right else 8,
    )


def test_checked_answers_are_shown_where_no_model_served(kim, product):
    Task.objects.create(
        project=product.project, slug="tone", modality="classification", labels=["a", "b"]
    )
    assert chart(kim, "accuracy").times == []
    check(product, "good soup", is_right=True)
    check(product, "bad soup", is_right=False)
    for of in ("", "shop/mood"):
        told = chart(kim, "accuracy", of)
        assert [one.name for one in told.series][:1] == ["checked answers"]
        assert told.series[0].values == [50.0]
    assert chart(kim, "accuracy", "shop/tone").times == []


def test_the_stage_of_review_says_how_checking_goes(kim, product):
    check(product, "good soup", is_right=True)
    check(product, "bad soup", is_right=False)
    assert "answers checked in" not in text_of(kim.get("/admin/"))
    lee = permitted("lee", "view_feedback", "view_answertocheck", projects=[product.project])
    assert "2 answers checked in 7 days, median 6 s" in text_of(lee.get("/admin/"))


def test_a_scheduler_that_stopped_is_an_alarm(kim, product):
    assert "scheduler is not turning" not in text_of(kim.get("/admin/"))
    BellRun.objects.create(
        task="privacy.erase", began_at=timezone.now(), seconds=1, fault="", place="emend-beat"
    )
    assert "the scheduler is not turning" in text_of(kim.get("/admin/"))


def test_a_queue_that_waits_is_an_alarm(kim, product):
    feedback = product.react(product.show("good soup"), "up")
    Feedback.objects.filter(pk=feedback.pk).update(ready_at=timezone.now() - timedelta(seconds=75))
    assert re.search(r"process.text waits 7\d s, all projects", text_of(kim.get("/admin/")))


def test_the_table_says_what_the_chart_draws(kim, product):
    product.correct("one good soup")
    product.approve("two good soups")
    figures.measure()
    told = chart(kim, "signals")
    assert [(one.name, one.values[-1], one.now) for one in told.series] == [
        ("up", 1, "1"),
        ("correction", 1, "1"),
    ]
    assert [len(told.data["times"]), len(told.data["texts"][0])] == [30, 30]
    today = told.rows[0]
    assert (today[0].date(), today[2]) == (timezone.now().date(), ("1", "1"))
    page = kim.get("/admin/").content.decode()
    assert f'<th scope="row">{timezone.now():%Y-%m-%d}</th>' in page


def test_what_was_open_stays_open_until_it_is_measured_again(kim, product):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for days, flagged in ((9, 3), (2, 5)):
        HourFigures.objects.create(
            task=product.task,
            hour=hour - timedelta(days=days),
            open_flagged=flagged,
            open_pending=0,
        )
    told = chart(kim, "depth")
    assert [one.values for one in told.series] == [[3, 5, 5], [0, 0, 0]]


def test_served_versions_stand_with_their_intervals(kim, product):
    for version, accuracy in enumerate((0.8, 0.9), 1):
        model = product.register(str(version) * 64)
        holdout = {"accuracy": accuracy, "accuracy_low": accuracy - 0.05, "accuracy_high": 0.95}
        Run.objects.filter(pk=model.run_id).update(metrics={"holdout": holdout})
        rollouts.promote(model)
    told = chart(kim, "accuracy")
    assert told.names == ["v1", "v2"]
    assert [row[2] for row in told.rows] == [
        ("90.0%", "85.0%", "95.0%"),
        ("80.0%", "75.0%", "95.0%"),
    ]
    assert ModelAlias.objects.get().model_version.version == 2
    assert "Champion v2 serves since" in text_of(kim.get("/admin/"))


def test_the_number_of_queries_does_not_follow_the_number_of_rows(kim, product):
    def queries():
        kim.get("/admin/")
        with CaptureQueriesContext(connection) as captured:
            assert kim.get("/admin/").status_code == 200
        return len(captured)

    def grow(number):
        for n in range(number):
            slug = f"task-{Task.objects.count()}"
            task = Task.objects.create(
                project=product.project, slug=slug, modality="classification", labels=["a", "b"]
            )
            HourFigures.objects.create(
                task=task, hour=timezone.now(), captured=1, open_flagged=n, open_pending=n
            )
            product.correct(f"text {slug}")
            flag(product, f"another {slug}")
            ended(product, "refused")

    grow(1)
    model = product.register()
    rollouts.promote(model)
    before = queries()
    grow(6)
    rollouts.promote(product.register("1" * 64))
    assert queries() == before
    assert before < 60


def test_the_page_has_no_inline_style_or_handler(kim, product):
    product.correct("one good soup")
    figures.measure()
    page = kim.get("/admin/").content.decode()
    assert not re.search(r"<[^>]+\s(style|on\w+)=", page)
    scripts = re.findall(r"<script([^>]*)>", page)
    assert all("src=" in one or "application/json" in one for one in scripts)
