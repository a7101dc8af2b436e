"""The credit of a model, computed once, kept without names, read with those who permit it."""

import json

import numpy as np
import pytest
from django.template.loader import render_to_string

from config import leases
from config.errors import Unavailable
from feedback.models import Feedback
from privacy import consent
from privacy.models import Purpose
from tests.training.builders import BAD, GOOD, erasing, sentences, side_of, texts_of
from training import crediting
from training.credit import Credit
from training.crediting import Voice
from training.errors import NoCredit
from training.models import ModelCredit

pytestmark = pytest.mark.django_db
PLACES = [f"corner {n}" for n in range(4)]


def on_train(words):
    return [text for text in sentences(words, PLACES) if side_of(text) == "train"]


def test_it_works(product):
    product.add_corpus()
    for user, words in (("ann", GOOD[:2]), ("eve", BAD[:2])):
        for text in on_train(words):
            product.correct(text, right="pos", wrong="neg", user=user)
    model = product.train().model_version
    assert crediting.credit_next() == model.credit
    document = crediting.of_model(model)
    assert (document["model_version"], document["held_out_rows"]) == (1, 204)
    eve, ann = document["contributors"]
    assert (eve["user_id"], ann["user_id"]) == ("eve", "ann")
    assert eve["low"] < eve["credit"] < 0
    assert (eve["rows"], eve["rank"]) == (len(on_train(BAD[:2])), 2)
    rows = {group["source"]: group["rows"] for group in document["sources"]}
    assert rows == {"import": 60, "feedback": eve["rows"] + ann["rows"]}
    assert "eve" not in json.dumps(ModelCredit.objects.get(model_version=model).document)


def found(*slopes):
    """Make the credit of rows that every holdout says the same of."""
    slope = np.array(slopes)
    return Credit(0.5, slope, np.repeat(slope[:, None], 3, 1), np.zeros((slope.size, 3)))


def credits_of(groups, name):
    return {group[name]: group["credit"] for group in groups}


def test_twins_share_the_credit_of_their_row():
    voices = [Voice(0, "feedback", 7, "ann"), Voice(0, "import", None, None)]
    document = crediting._summed(found(0.4), voices)
    assert credits_of(document["sources"], "source") == {"feedback": 0.2, "import": 0.2}
    assert credits_of(document["contributors"], "feedback") == {7: 0.2}


def test_a_person_stands_by_one_of_their_feedbacks():
    voices = [Voice(n, "feedback", 7 + n, "ann") for n in range(2)]
    document = crediting._summed(found(0.1, 0.2), voices)
    (ann,) = document["contributors"]
    assert (ann["feedback"], ann["rows"]) == (7, 2)
    assert ann["credit"] == pytest.approx(0.3)


@pytest.mark.parametrize(("source", "user_id"), [("audit", "mia"), ("feedback", None)])
def test_some_feedback_is_no_contributors(source, user_id):
    document = crediting._summed(found(0.1), [Voice(0, source, 7, user_id)])
    assert document["contributors"] == []
    assert credits_of(document["feedback"], "feedback") == {7: 0.1}


def test_of_many_both_ends_are_kept(monkeypatch):
    monkeypatch.setattr(crediting, "LISTED", 1)
    voices = [Voice(n, "feedback", n, "ann") for n in range(3)]
    groups = crediting._summed(found(0.1, 0.3, 0.2), voices)["feedback"]
    assert [(group["feedback"], group["rank"]) for group in groups] == [(1, 1), (0, 3)]


@pytest.fixture
def model(product):
    """A model with the credit, kept already, of what ann and eve said: hers did harm."""
    rows = [
        product.react(product.show(f"text {user}", user=user), "up", user=user)
        for user in ("ann", "eve")
    ]
    voices = [Voice(n, "feedback", row.pk, row.user_id) for n, row in enumerate(rows)]
    model = product.register()
    document = {"held_out_rows": 10, "loss": 0.5} | crediting._summed(found(0.1, -0.1), voices)
    ModelCredit.objects.create(model_version=model, status="ready", document=document)
    return model


def test_the_most_harmful_is_first(model):
    document = crediting.of_model(model)
    assert [group["user_id"] for group in document["contributors"]] == ["eve", "ann"]
    assert [group["credit"] for group in document["feedback"]] == [-0.1, 0.1]


def test_the_most_helpful_is_first_for_who_asks(model):
    document = crediting.of_model(model, is_harmful_first=False, limit=1)
    assert [group["rank"] for group in document["contributors"]] == [1]
    assert [group["credit"] for group in document["feedback"]] == [0.1]


@pytest.mark.parametrize("purpose", Purpose)
def test_who_withdrew_is_not_named(product, model, purpose):
    consent.decide(project=product.project, user_id="eve", purpose=purpose, is_granted=False)
    named = [group["user_id"] for group in crediting.of_model(model)["contributors"]]
    assert named == [None, "ann"]


def test_who_did_harm_for_sure_is_told(product, model, monkeypatch):
    monkeypatch.setattr(crediting, "FEWEST_ACTS", 1)
    assert crediting.harmful(product.task) == {"eve"}


def test_few_rows_are_no_harm_for_sure(product, model):
    assert crediting.harmful(product.task) == set()


def test_a_newer_model_tells_anew_who_did_harm(product, model, monkeypatch):
    monkeypatch.setattr(crediting, "FEWEST_ACTS", 1)
    newer = {"document": model.credit.document | {"contributors": []}, "status": "ready"}
    ModelCredit.objects.create(model_version=product.register(), **newer)
    assert crediting.harmful(product.task) == set()


def test_who_was_anonymised_is_not_named(model):
    Feedback.objects.filter(user_id="eve").update(user_id=None)
    named = [group["user_id"] for group in crediting.of_model(model)["contributors"]]
    assert named == [None, "ann"]


def test_feedback_that_is_gone_is_not_listed(model):
    with erasing():
        Feedback.objects.filter(user_id="eve").delete()
    assert [group["credit"] for group in crediting.of_model(model)["feedback"]] == [0.1]


def test_it_is_computed_once(model):
    assert crediting.waiting_seconds() is None
    assert crediting.credit_next() is None


def test_until_it_is_computed_there_is_none(product):
    model = product.register()
    ModelCredit.objects.create(model_version=model)
    assert crediting.waiting_seconds() >= 0
    with pytest.raises(NoCredit, match="not computed yet"):
        crediting.of_model(model)


def test_what_cannot_be_computed_says_why(product):
    model = product.register()  # its dataset version is not built
    ModelCredit.objects.create(model_version=model)
    assert crediting.credit_next().status == "failed"
    with pytest.raises(NoCredit, match="version_not_ready"):
        crediting.of_model(model)


def test_while_the_storage_is_away_it_stays_queued_however_often(product, monkeypatch):
    row = ModelCredit.objects.create(model_version=product.register())
    with monkeypatch.context() as patched:
        patched.setattr(crediting, "_document", away)
        for _ in range(leases.MAX_ATTEMPTS + 1):
            with pytest.raises(Unavailable):
                crediting.credit_next()
            assert crediting.waiting_seconds() is None  # till the lease is over
            ModelCredit.objects.update(lease_until=None)
    monkeypatch.setattr(crediting, "_document", lambda _model: {"loss": 0.5})
    assert crediting.credit_next() == row
    row.refresh_from_db()
    assert (row.status, row.document) == ("ready", {"loss": 0.5})


def away(_model):
    raise Unavailable


def test_labels_that_the_model_never_saw_are_left_out(product):
    product.task.labels = ["neg", "pos", "so-so"]
    product.task.save()
    product.add_corpus()
    product.correct(next(texts_of("train")), right="so-so", user="eve")
    version = product.version()
    let_train(product, "eve", False)
    model = product.train(version=version).model_version
    let_train(product, "eve", True)
    crediting.credit_next()
    (source,) = crediting.of_model(model)["sources"]
    assert (source["source"], source["rows"]) == ("import", 60)


def test_of_a_model_that_everybody_withdrew_from_it_says_so(product):
    for text, right in (("good", "pos"), ("bad", "neg")):
        for n in range(9):
            product.correct(f"{text} {n}", right=right, wrong="pos" if right == "neg" else "neg")
    model = product.train().model_version
    let_train(product, "ann", False)
    crediting.credit_next()
    with pytest.raises(NoCredit, match="permits it no more"):
        crediting.of_model(model)


def let_train(product, user, is_granted):
    consent.decide(
        project=product.project, user_id=user, purpose=Purpose.TRAINING, is_granted=is_granted
    )


def test_too_many_rows_are_said_to_be_too_many(product, monkeypatch):
    monkeypatch.setattr(crediting, "MOST_ROWS", 1)
    product.add(("good", "pos"), ("bad", "neg"), split="train")
    model = product.register()
    ModelCredit.objects.create(model_version=model)
    product.version()
    crediting.credit_next()
    with pytest.raises(NoCredit, match="more than 1 rows"):
        crediting.of_model(model)


@pytest.mark.parametrize(
    ("figure", "written"),
    [(-0.00002, "-0.000020"), (0.0, "0.0"), (0.1234, "0.12"), (-12.34, "-12"), (123.4, "120")],
)
def test_a_figure_that_is_not_zero_does_not_look_so(figure, written):
    group = {"rows": 1, "credit": figure, "low": figure, "high": figure, "rank": 1}
    page = render_to_string("emend/credit_figures.html", {"group": group})
    assert f">{written}</span> <small>({written} to {written})<" in page
