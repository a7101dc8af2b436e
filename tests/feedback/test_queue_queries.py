"""The pages of review ask the database as often for sixty rows as for three."""

import uuid

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from feedback import claims, review
from feedback.models import Contributor, Feedback, Inference, SecondLook
from feedback.review import ranking
from privacy.models import StaffProject
from tests import roles
from tests.product import Product
from training.models import AnswerToCheck

pytestmark = pytest.mark.django_db
QUEUE, ALL, LOOKS, CHECKS = (
    reverse(f"admin:{name}_changelist")
    for name in (
        *("feedback_flaggedfeedback", "feedback_feedback", "feedback_secondlook"),
        "training_answertocheck",
    )
)
FEW, MANY = 3, 60  # more than a page has
LISTS = {
    "queue": QUEUE,
    "queue, searched": f"{QUEUE}?q=soup",
    "queue, filtered": f"{QUEUE}?signal=down&flag=feedback.no_fix&state=new",
    "queue, the same input": f"{QUEUE}?alike={{first}}",
    "queue, the same contributor": f"{QUEUE}?whose={{first}}",
    "queue, oldest first": f"{QUEUE}?order=oldest",
    "all feedback": ALL,
    "all feedback, filtered": f"{ALL}?status__exact=flagged&flag=feedback.no_fix",
    "second looks": LOOKS,
    "second looks where two differ": f"{LOOKS}?judged=differ",
    "answers to check": CHECKS,
}
ITEMS = {
    "the first item": f"{ALL}{{first}}/change/",
    "the last item": f"{ALL}{{last}}/change/",
    "an item of a filtered queue": f"{ALL}{{first}}/change/?signal=down&state=new",
    "an answer to check": f"{CHECKS}{{check}}/change/",
    "what comes first": f"{QUEUE}next/",
    "what comes next": f"{QUEUE}next/{{first}}/",
    "what comes after the last": f"{QUEUE}next/{{last}}/",
    "a second look": f"{LOOKS}{{look}}/change/",
    "the next second look": f"{LOOKS}next/{{look}}/",
    "the first to check": f"{CHECKS}next/",
    "the next to check": f"{CHECKS}next/{{check}}/",
}


class Desk:
    """A moderator, and lists that grow."""

    def __init__(self):
        product = Product()
        product.task()
        sent = product.correct("user-0", "soup", signal="down", corrected=None)
        self.act = Feedback.objects.get(uuid=sent["id"])
        self.silent = Inference.objects.get(uuid=product.infer("a silent one"))
        user = get_user_model().objects.create_user("kim", password="x", is_staff=True)
        roles.make()
        user.groups.add(Group.objects.get(name="moderator"))
        StaffProject.objects.create(user=user, project=product.project)
        self.client = Client()
        self.client.force_login(user)
        self.rows = 0

    def grow(self, rows):
        """Have so many of each: half of one person about one input, some escalated, some open."""
        new = range(self.rows, rows)
        for n in new:
            own = {} if n % 2 else {"user_id": f"user-{n}", "input_hash": bytes([n + 1]) * 32}
            shown = copy_of(self.act.inference, **own)
            act = copy_of(self.act, inference_id=shown.pk, act_hash=None, **own)
            other = copy_of(self.act, inference_id=shown.pk, act_hash=None, **own)
            SecondLook.objects.create(feedback=act, first="lee", is_first_yes=True)
            judged = {"second": "kim", "is_second_yes": False, "judged_at": timezone.now()}
            SecondLook.objects.create(feedback=other, first="lee", is_first_yes=True, **judged)
            silent = copy_of(self.silent)
            AnswerToCheck.objects.create(task=silent.task, inference=silent, place=n)
            Contributor.objects.create(task=silent.task, user_id=f"user-{n}")
        ranking.rank_queue()
        for feedback in Feedback.objects.flagged().order_by("-pk")[: len(new) // 3]:
            review.escalate(feedback, by="lee")
            claims.take(claims.FEEDBACK, feedback.pk, by=f"other-{feedback.pk}")
        self.rows = rows

    def queries(self, address):
        """Return the queries of a page; what it takes up is taken before."""
        queue = Feedback.objects.flagged().order_by("-worth", "number")
        ids = {
            "first": queue[0].pk,
            "last": queue.reverse()[0].pk,
            "look": SecondLook.objects.earliest("pk").pk,
            "check": AnswerToCheck.objects.earliest("pk").pk,
        }
        page = address.format(**ids)
        self.client.get(page)
        with CaptureQueriesContext(connection) as queries:
            answer = self.client.get(page)
        assert answer.status_code in (200, 302)
        return [query["sql"] for query in queries]


def copy_of(row, **changes):
    """Store a row like this one under an id of its own."""
    names = [field.attname for field in row._meta.concrete_fields if field.name != "number"]
    kept = {name: getattr(row, name) for name in names}
    return type(row).objects.create(**kept | {"uuid": uuid.uuid4()} | changes)


@pytest.fixture
def desk():
    return Desk()


def assert_as_many(desk, page):
    desk.grow(FEW)
    few = desk.queries(page)
    desk.grow(MANY)
    many = desk.queries(page)
    assert len(many) == len(few) > 3, "\n".join(sorted(set(many) - set(few)))


def test_it_works(desk):
    assert_as_many(desk, QUEUE)
    assert (
        f"{ALL}{desk.act.pk}/change/" in desk.client.get(f"{QUEUE}?order=oldest").content.decode()
    )


@pytest.mark.parametrize("page", LISTS.values(), ids=LISTS)
def test_a_list_asks_as_often_for_sixty_as_for_three(desk, page):
    assert_as_many(desk, page)


@pytest.mark.parametrize("page", ITEMS.values(), ids=ITEMS)
def test_an_item_asks_as_often_in_a_queue_of_sixty_as_of_three(desk, page):
    assert_as_many(desk, page)
