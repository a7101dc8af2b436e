"""What is not declared is not erased, so it does not start."""

import pytest
from django.core.checks import run_checks

from feedback.models import Contributor, DeadLetter, Feedback, Review
from privacy import holders
from privacy.models import Consent, DataSubject, Project


def test_it_works():
    assert [said for said in run_checks() if said.id == "privacy.E001"] == []


def test_a_model_that_declares_nothing_fails_the_check(monkeypatch):
    declared = [one for one in holders.holders() if one.label != "feedback.DeadLetter"]
    monkeypatch.setattr(holders, "holders", lambda: declared)
    (said,) = [said for said in run_checks() if said.id == "privacy.E001"]
    assert said.msg == "feedback.DeadLetter does not say what it holds of a person."
    assert "holdings.py of its app" in said.hint


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (DataSubject, "project"),
        (Feedback, "project"),
        (Feedback.history.model, "project"),
        (DeadLetter, "project"),
        (Contributor, "task__project"),
        (Consent.history.model, "subject__project"),
        (Review.history.model, "feedback__project"),
    ],
)
def test_whose_a_row_is_follows_from_the_nearest_that_tells(model, path):
    project = Project(pk=7)
    assert dict(holders.of_project(model, project).children) == {
        path: project,
        f"{path}__isnull": True,
    }
