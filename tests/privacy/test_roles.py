"""Roles of staff: the groups that the migrations make, and what each may do."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.urls import reverse

from feedback.models import Feedback
from privacy.roles import give
from tests import roles
from tests.product import Product
from tests.roles import staff

pytestmark = pytest.mark.django_db
LISTS = {
    "feedback_feedback": {"moderator", "lead", "engineer", "privacy officer"},
    "feedback_flaggedfeedback": {"moderator", "lead", "engineer", "privacy officer"},
    "feedback_inference": {"moderator", "lead", "engineer", "privacy officer"},
    "feedback_contributor": {"moderator", "lead", "engineer", "privacy officer"},
    "feedback_deadletter": {"lead", "engineer", "privacy officer"},
    "training_run": {"engineer"},
    "training_modelversion": {"engineer", "privacy officer"},
    "privacy_apikey": {"engineer"},
    "privacy_project": {"engineer", "privacy officer"},
    "privacy_datasubject": {"privacy officer"},
    "privacy_erasurerequest": {"privacy officer"},
    "privacy_accessrecord": {"privacy officer"},
    "privacy_retentionrule": {"privacy officer"},
    "auth_user": set(),
    "auth_group": set(),
}
ROLES = ["moderator", "lead", "engineer", "privacy officer"]


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def may(user, permission):
    return User.objects.get(pk=user.pk).has_perm(permission)


def test_it_works(shop):
    shop.correct("ann", signal="down", corrected=None)
    page = reverse("admin:feedback_feedback_change", args=[Feedback.objects.get().pk])
    sent = {"decision": "reject", "ground": "other", "note": "no", "seen": ""}
    assert staff("engineer", shop.project).post(page, sent).status_code == 403
    assert Feedback.objects.get().status == "flagged"
    assert staff("moderator", shop.project).post(page, sent).status_code == 302
    assert Feedback.objects.get().status == "rejected"


def test_the_migrations_made_them():
    """Where other tests emptied the tables, the same code makes them again."""
    roles.make()
    assert list(Group.objects.order_by("name").values_list("name", flat=True)) == sorted(ROLES)


def test_making_them_again_changes_nothing():
    roles.make()
    group = Group.objects.get(name="moderator")
    before = set(group.permissions.values_list("codename", flat=True))
    roles.make()
    assert set(group.permissions.values_list("codename", flat=True)) == before
    assert "change_feedback" in before


def test_what_an_operator_adds_stays():
    roles.make()
    own = Group.objects.get(name="moderator")
    own.permissions.add(Group.objects.get(name="lead").permissions.get(codename="retry_feedback"))
    roles.make()
    assert own.permissions.filter(codename="retry_feedback").exists()


def test_a_permission_that_is_not_there_is_an_error():
    with pytest.raises(LookupError, match="view_nothing"):
        give(apps, app="feedback", given={"lead": ["view_nothing"]})


@pytest.mark.parametrize("role", ROLES)
def test_each_sees_the_lists_of_its_work(shop, role):
    client = staff(role, shop.project)
    seen = {
        name for name in LISTS if client.get(reverse(f"admin:{name}_changelist")).status_code == 200
    }
    assert seen == {name for name, may_see in LISTS.items() if role in may_see}


@pytest.mark.parametrize(
    ("permission", "who"),
    [
        ("feedback.change_feedback", {"moderator", "lead"}),
        ("feedback.change_contributor", {"lead"}),
        ("feedback.view_review", {"lead", "engineer"}),
        ("feedback.retry_feedback", {"lead", "engineer"}),
        ("training.change_answertocheck", {"moderator", "lead"}),
        ("training.change_modelerasure", {"engineer", "privacy officer"}),
        ("privacy.change_datasubject", {"privacy officer"}),
        ("privacy.delete_datasubject", {"privacy officer"}),
        ("privacy.change_retentionrule", {"privacy officer"}),
        ("privacy.change_project", {"privacy officer"}),
        ("privacy.change_apikey", set()),
        ("auth.change_user", set()),
    ],
)
def test_who_may_do_what(permission, who):
    for role in ROLES:
        staff(role)
    users = User.objects.filter(is_staff=True)
    assert {user.username.replace("-", " ") for user in users if may(user, permission)} == who
