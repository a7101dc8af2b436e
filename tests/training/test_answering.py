"""The page on which a moderator says whether an answer is right."""

import pytest

from feedback.models import Feedback, Inference
from tests.feedback.test_admin import page_of, text_of
from tests.product import Product
from tests.roles import staff
from training.models import AnswerToCheck

pytestmark = pytest.mark.django_db


@pytest.fixture
def product():
    product = Product()
    product.task()
    return product


@pytest.fixture
def kim(product):
    return staff("moderator", product.project, name="kim")


@pytest.fixture
def page(product):
    shown = Inference.objects.get(uuid=product.infer("good soup"))
    check = AnswerToCheck.objects.create(task=shown.task, inference=shown)
    return f"/admin/training/answertocheck/{check.pk}/change/"


def test_it_works(kim, page):
    answer = kim.post(page, {"decision": "right"}, follow=True)
    assert "Said to be right." in text_of(answer)
    assert Feedback.objects.get().signal == "up"


@pytest.mark.parametrize("decision", ["right", "wrong"])
def test_what_is_chosen_is_not_thrown_away(kim, page, decision):
    answer = kim.post(page, {"decision": decision, "corrected": "neg"})
    assert "You said what is right: use Correct it, or put it back." in text_of(answer)
    assert '<option value="neg" selected>' in answer.content.decode()
    assert not Feedback.objects.exists()


def test_the_models_own_label_is_right(kim, page):
    kim.post(page, {"decision": "right", "corrected": "pos"})
    assert Feedback.objects.get().signal == "up"


def test_what_the_model_said_is_no_correction(kim, page):
    answer = kim.post(page, {"decision": "edit", "corrected": "pos"})
    assert "This is what the model said." in text_of(answer)


def test_the_feedbacks_page_says_who_checked(kim, page):
    kim.post(page, {"decision": "edit", "corrected": "neg"})
    shown = text_of(kim.get(page_of(Feedback.objects.get())))
    assert "kim of the staff, who checked an answer that nobody had reacted to" in shown
