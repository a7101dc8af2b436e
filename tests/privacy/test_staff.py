"""Staff and their projects: nobody sees, changes or finds a row of a project not given to them."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone

from feedback.models import DeadLetter, Example, Feedback, Inference, Review, SecondLook
from privacy import access_log
from privacy.access_log import Action
from privacy.admin import ReadOnlyAdmin
from privacy.models import ApiKey, RetentionRule, StaffProject
from tests.config.test_api import objects_of
from tests.product import Product
from tests.roles import staff
from training.models import AnswerToCheck, LeftOut, ModelAlias, ModelErasure, ModelVersion

pytestmark = pytest.mark.django_db
APPS = ["config", "privacy", "feedback", "training"]
# Of no project: Django's own lists of staff and roles, for who may change users.
OF_NO_PROJECT = {"auth.User", "auth.Group"}
OURS = [
    row
    for model, row in admin.site._registry.items()
    if model._meta.label not in OF_NO_PROJECT and isinstance(row, ReadOnlyAdmin)
]
NAMES = [row.opts.label for row in OURS]
TOLD = ["rival", "mood", "secret soup", "rita"]  # names of the project, and what is in it


@pytest.fixture
def shop():
    return Product("shop")


@pytest.fixture
def rival():
    """Another project, with a row in each list of the admin."""
    rival = Product("rival")
    rival.task()
    values = objects_of(rival)
    decided = Feedback.objects.get(uuid=rival.correct("rose", "another secret soup")["id"])
    SecondLook.objects.create(feedback=decided, first="nell", is_first_yes=True)
    rival.correct("rita", "secret soup", signal="down", corrected=None)
    task, model = rival.project.tasks.get(), ModelVersion.objects.get()
    ModelAlias.objects.create(task=task, name="champion", model_version=model)
    ModelErasure.objects.create(model_version=model, erasure=values["uuid:erasure_id"])
    inference = Inference.objects.create(
        project=task.project,
        task=task,
        input="soup",
        output="pos",
        is_verified=True,
        input_hash=b"y" * 32,
        fingerprint=b"",
    )
    AnswerToCheck.objects.create(task=task, inference=inference)
    content = {"input": "secret soup", "output": "neg", "input_hash": b"x" * 32}
    example = Example.objects.create(
        task=task, source="import", base_weight=1, split="train", **content
    )
    dataset = task.datasets.get()
    LeftOut.objects.create(dataset=dataset, example=example, reason="bot", since_version=1)
    RetentionRule.objects.create(project=rival.project, kind="content", days=30)
    access_log.note(rival.project, "rita", Action.READ, "somebody")
    place = {"topic": "rival-acts", "partition": 1, "offset": 7, "sent_at": timezone.now()}
    DeadLetter.objects.create(**place, project=rival.project, code="x", detail="no")
    return rival


@pytest.fixture
def kim(shop):
    """May do everything there is to do, in the project of the shop."""
    user = User.objects.create_user("kim", is_staff=True)
    user.user_permissions.set(Permission.objects.exclude(content_type__app_label="auth"))
    StaffProject.objects.create(user=user, project=shop.project)
    client = Client()
    client.force_login(user)
    return client


def give(project, name="kim"):
    StaffProject.objects.create(user=User.objects.get(username=name), project=project)


def row_of(row_admin, project):
    """Return the newest row of that project in a list."""
    rows = row_admin.model.objects.filter(**{row_admin.project_path: project.pk}).order_by("-pk")
    if row_admin.opts.label == "feedback.FlaggedFeedback":
        rows = rows.filter(status="flagged")
    found = rows.first()
    assert found is not None, f"{row_admin.opts.label}: make one of it in rival()"
    return found


def address(row_admin, page, *args):
    return reverse(
        f"admin:{row_admin.opts.app_label}_{row_admin.opts.model_name}_{page}", args=args
    )


def pages_of(row_admin, row):
    """Return the addresses of all pages of one row."""
    values = {"object_id": row.pk, "pk": row.pk, "name": "download"}
    values["image_id"] = getattr(row, "uuid", None)
    found = []
    for pattern in row_admin.get_urls():
        wanted = pattern.pattern.converters
        if isinstance(pattern, URLPattern) and pattern.name and wanted:
            kwargs = {name: values[name] for name in wanted}
            found.append(reverse(f"admin:{pattern.name}", kwargs=kwargs))
    return found


def test_it_works(kim, rival):
    row = Feedback.objects.get(user_id="rita")
    page = reverse("admin:feedback_feedback_change", args=[row.pk])
    assert kim.get(page).status_code == 302
    give(rival.project)
    assert "secret soup" in kim.get(page).text


def test_every_list_says_how_its_rows_belong_to_projects():
    registered = {model._meta.label: row for model, row in admin.site._registry.items()}
    assert {name for name in registered if name.split(".")[0] not in APPS} == OF_NO_PROJECT
    assert {name for name in registered if name.split(".")[0] in APPS} == set(NAMES)


@pytest.mark.parametrize("row_admin", OURS, ids=NAMES)
def test_lists_show_what_was_given_alone(kim, rival, row_admin):
    row = row_of(row_admin, rival.project)
    link = f"/{row.pk}/"
    listed = kim.get(address(row_admin, "changelist"))
    assert listed.status_code == 200
    assert [word for word in (*TOLD, link) if word in listed.text] == []
    give(rival.project)
    listed = kim.get(address(row_admin, "changelist"))
    assert row in listed.context["cl"].result_list


@pytest.mark.parametrize("row_admin", OURS, ids=NAMES)
def test_no_page_shows_a_row_of_another_project(kim, rival, row_admin):
    row = row_of(row_admin, rival.project)
    for page in pages_of(row_admin, row):
        for answer in (kim.get(page), kim.post(page, {"post": "yes", "decision": "accept"})):
            assert answer.status_code in {302, 403, 404, 405, 409}, page
            shown = answer.content.decode()
            assert [word for word in TOLD if word in shown] == [], page
    row_of(row_admin, rival.project)  # it is still there


@pytest.mark.parametrize("row_admin", OURS, ids=NAMES)
def test_staff_without_projects_see_nothing(rival, row_admin):
    lee = User.objects.create_user("lee", is_staff=True)
    lee.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(lee)
    assert list(client.get(address(row_admin, "changelist")).context["cl"].result_list) == []


def test_a_row_of_no_project_is_for_superusers(kim, admin_client):
    place = {"topic": "lost", "partition": 1, "offset": 7, "sent_at": timezone.now()}
    DeadLetter.objects.create(**place, code="x", detail="no")
    page = reverse("admin:feedback_deadletter_changelist")
    assert "lost/1/7" in admin_client.get(page).text
    assert "lost/1/7" not in kim.get(page).text


def test_a_decision_about_another_project_is_refused(shop, rival):
    moderator = staff("moderator", shop.project)
    row = Feedback.objects.get(user_id="rita")
    page = reverse("admin:feedback_feedback_change", args=[row.pk])
    sent = {"decision": "reject", "ground": "other", "note": "no", "seen": ""}
    assert moderator.get(page).status_code == 302
    assert moderator.post(page, sent).status_code == 302
    row.refresh_from_db()
    assert (row.status, Review.objects.count()) == ("flagged", 0)
    give(rival.project, "moderator")
    moderator.post(page, sent)
    row.refresh_from_db()
    assert row.status == "rejected"


def test_an_action_leaves_rows_of_another_project_alone(kim, shop, rival):
    page = reverse("admin:privacy_apikey_changelist")
    keys = [key.pk for key in ApiKey.objects.all()]
    sent = {"action": "revoke", "_selected_action": keys, "confirmed": "yes"}
    kim.post(page, sent)
    alive = ApiKey.objects.filter(revoked_at=None)
    assert [key.project for key in alive] == [rival.project]


def test_a_rule_cannot_be_made_for_another_project(kim, shop, rival):
    page = reverse("admin:privacy_retentionrule_add")
    assert "rival" not in kim.get(page).text
    sent = {"kind": "idempotency", "days": 900, "reason": "x"}
    for product, count in ((rival, 0), (shop, 1)):
        kim.post(page, sent | {"project": product.project.pk})
        assert RetentionRule.objects.filter(kind="idempotency").count() == count


def test_a_superuser_gives_projects(admin_client, shop):
    lee = User.objects.create_user("lee", is_staff=True)
    page = reverse("admin:auth_user_change", args=[lee.pk])
    shown = admin_client.get(page)
    assert "other staff without any nothing" in shown.text
    sent = {"username": "lee", "is_active": "on", "is_staff": "on"}
    sent |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    sent |= {"given_projects-TOTAL_FORMS": 1, "given_projects-INITIAL_FORMS": 0}
    sent |= {"given_projects-0-project": shop.project.pk}
    assert admin_client.post(page, sent).status_code == 302
    assert [row.project for row in lee.given_projects.all()] == [shop.project]
    assert '<td class="field-given">shop</td>' in admin_client.get("/admin/auth/user/").text


def test_staff_give_themselves_no_project(kim, rival):
    page = reverse("admin:auth_user_change", args=[User.objects.get(username="kim").pk])
    sent = {"given_projects-TOTAL_FORMS": 1, "given_projects-0-project": rival.project.pk}
    assert kim.get(page).status_code == kim.post(page, sent).status_code == 403
    assert StaffProject.objects.count() == 1
