"""The way of feedback as a picture: each stage with its page, safe and readable without scripts."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.template import Context, Template
from django.test import Client

from feedback import review
from tests.training.builders import built, texts_of
from training import drawing, lineage, rollouts
from training.models import Dataset, Run
from training.rollouts import Plan

TEXT = next(texts_of("train"))


@pytest.fixture
def feedback(product):
    """Let a correction reach a rollout."""
    feedback = product.correct(TEXT)
    first, second = product.register(), product.register()
    built(second.run.dataset_version)
    rollouts.promote(first)
    rollouts.start(second, Plan())
    return feedback


@pytest.fixture
def model(product, feedback):
    return product.task.model_versions.get(version=2)


@pytest.fixture
def pictures(feedback, model):
    return [
        drawing.picture(lineage.of_feedback(feedback, has_keys=True)),
        drawing.picture(lineage.of_version(model.run.dataset_version, has_keys=True)),
        drawing.picture(lineage.of_model(model, has_keys=True)),
    ]


def stages_of(picture):
    """Return name and text of each stage of the drawing."""
    drawn = re.findall(r"<text[^>]*>([^<]+)</text>", picture)
    return dict(zip(drawn[::2], drawn[1::2], strict=True))


def test_it_works(pictures):
    stages = stages_of(pictures[0])
    assert stages["Feedback"] == "correction, processed"
    assert stages["Example"] == "to teach models"
    assert stages["Dataset version"] == "mood-train v2 and 1 more"
    assert stages["Run"].startswith("passed, ")
    assert stages["Model"] == "mood v2 and 1 more"
    assert re.fullmatch(r"canary, \d{4}-\d\d-\d\d", stages["Rollout"])


def test_a_version_and_a_model_count_their_feedback(pictures):
    for picture in pictures[1:]:
        stages = stages_of(picture)
        assert (stages["Feedback"], stages["Examples"]) == ("1", "1")
        assert stages["Dataset version"] == "mood-train v2"
        assert stages["Model"] == "mood v2"


def test_each_link_leads_to_a_page(pictures):
    get_user_model().objects.create_superuser("root", password="x")
    client = Client()
    client.force_login(get_user_model().objects.get())
    links = {link for picture in pictures for link in re.findall(r'href="([^"]+)"', picture)}
    assert len(links) == 8  # a feedback, a rollout and two each of versions, runs and models
    assert {client.get(link).status_code for link in links} == {200}


def test_the_list_says_the_same_as_the_picture(pictures):
    for picture in pictures:
        listed = picture[picture.index("<details>") :]
        for name in stages_of(picture):
            assert f"<dt>{name}</dt>" in listed


def test_what_is_not_there_yet_says_so(product):
    trace = lineage.of_feedback(product.react(product.show(TEXT), "down"), has_keys=True)
    stages = stages_of(drawing.picture(trace))
    assert {stages[name] for name in ("Example", "Dataset version", "Rollout")} == {"none yet"}


def test_what_is_being_built_and_what_has_no_dataset_is_drawn(product):
    model = product.register()
    version = lineage.of_version(model.run.dataset_version, has_keys=True)
    assert stages_of(drawing.picture(version))["Examples"] == "none yet"
    Run.objects.update(dataset_version=None)
    alone = stages_of(drawing.picture(lineage.of_model(model, has_keys=True)))
    assert (alone["Dataset version"], alone["Model"]) == ("none yet", "mood v1")


def test_the_page_of_review_draws_it(feedback):
    page = Template("{% load lineage %}{% way_of feedback %}").render(
        Context({"feedback": feedback})
    )
    assert stages_of(page)["Model"] == "mood v2 and 1 more"


def test_what_was_left_out_says_why(product):
    feedback = product.correct(TEXT)
    product.version()
    review.reject(feedback, by="mia", reason="wrong")
    product.version()
    trace = lineage.of_feedback(feedback, has_keys=True)
    assert "left out: its feedback is not" in stages_of(drawing.picture(trace))["Example"]


def dataset(product, name, **fields):
    return Dataset.objects.create(task=product.task, project=product.project, name=name, **fields)


def drawn(feedback):
    return stages_of(drawing.picture(lineage.of_feedback(feedback, has_keys=True)))


def test_what_was_left_out_says_of_which_dataset(product):
    feedback = product.correct(TEXT)
    product.version(dataset(product, "ups", settings={"signals": ["up"]}))
    picture = drawing.picture(lineage.of_feedback(feedback, has_keys=True))
    assert "settings leave it out (ups)</dd>" in picture


def test_what_one_dataset_leaves_out_and_another_has_is_not_left_out(product):
    feedback = product.correct(TEXT)
    product.version(dataset(product, "ups", settings={"signals": ["up"]}))
    product.version()
    assert drawn(feedback)["Example"] == "to teach models"


def test_what_only_an_eval_dataset_has_is_to_test_models(product):
    feedback = product.correct(TEXT)
    product.version(dataset(product, "mood-eval", purpose="eval"))
    assert drawn(feedback)["Example"] == "to test models"


def test_the_newest_version_is_drawn_whatever_the_names_of_datasets(product):
    feedback = product.correct(TEXT)
    product.version(dataset(product, "z-old"))
    product.version()
    assert drawn(feedback)["Dataset version"] == "mood-train v1 and 1 more"


def test_a_picture_holds_no_markup_of_others_and_no_script(product):
    model = product.register()
    built(model.run.dataset_version)
    trace = lineage.of_model(model, has_keys=True) | {"task": "<b>mood</b>"}
    picture = drawing.picture(trace)
    assert "<b>" not in picture
    assert "script" not in picture
    assert "style=" not in picture  # the pages' policy forbids it
