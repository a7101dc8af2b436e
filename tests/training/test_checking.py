"""Answers that nobody reacted to: which a moderator checks, what is said of them, what it tells."""

from datetime import timedelta
from itertools import islice

import pytest
from django.utils import timezone

from config.errors import IdConflict
from feedback import claims, figures
from feedback.errors import Rejected
from feedback.intervals import wilson
from feedback.models import Feedback, HourFigures, Inference
from feedback.trust import Regime
from privacy import consent, erasure, retention, subjects
from privacy.models import Purpose, Upkeep
from tests.training.builders import Product, inputs, processed, shown_days_ago, texts_of
from training import checking, contributors
from training.checking import choosing
from training.checking.clusters import clusters
from training.errors import NotToCheck, TransitionRefused
from training.models import AnswerToCheck, LeftOut, Prediction

pytestmark = pytest.mark.django_db
SENTENCE = "the waiter forgot our soup twice, and the bread was cold"
TEXTS = list(islice(texts_of("train"), 12))
MORE = list(islice(texts_of("train"), 12, 42))


@pytest.fixture
def all_drawn(monkeypatch, none_drawn):
    monkeypatch.setattr(choosing, "MOST_PROPENSITY", 1.0)


def silent(product, text, *, confidence=None, user="ann", days=2, **more):
    shown = shown_days_ago(product.show(text, user=user, **more), days)
    Inference.objects.filter(pk=shown.pk).update(confidence=confidence)
    return shown


def choose(product):
    """Choose, and return the open ones in the order of the list."""
    checking.choose(product.task)
    return list(AnswerToCheck.objects.waiting())


def chosen(product):
    return [check.inference.input for check in choose(product)]


def later(product, hours):
    """Let hours pass since answers were chosen and drawn."""
    for row in Upkeep.objects.filter(task__endswith=f" {product.task.pk}"):
        row.done_at -= timedelta(hours=hours)
        row.save()


def test_it_works(product):
    silent(product, TEXTS[0], confidence=0.9)
    shown = silent(product, TEXTS[1], confidence=0.6)
    first, second = choose(product)
    assert (first.inference, second.inference.input) == (shown, TEXTS[0])
    audit = checking.answer(first, by="mia", signal="correction", corrected="pos", comment="No.")
    assert (audit.source, audit.status, audit.user_id) == ("audit", "pending", None)
    assert (first.status, first.feedback, first.answered_by) == ("answered", audit, "mia")
    Feedback.objects.update(ready_at=timezone.now())
    assert processed(audit).status == "processed"
    assert inputs(product.version()) == [TEXTS[1]]


def test_what_is_served_often_comes_before_what_is_a_little_less_sure(product):
    silent(product, TEXTS[0], confidence=0.6)
    for _ in range(3):
        silent(product, TEXTS[1], confidence=0.7)
    often, _ = choose(product)
    assert (often.inference.input, often.exposure, often.alike) == (TEXTS[1], 3, 3)


def test_what_a_public_key_says_was_served_moves_nothing(product):
    silent(product, TEXTS[0], confidence=0.9)
    for _ in range(3):
        product.show(TEXTS[0], key=product.new_key("capture"))
    (check,) = choose(product)
    assert check.exposure == 1


def test_one_of_each_cluster_is_asked(product):
    texts = [SENTENCE, f"{SENTENCE}!", f"{SENTENCE} again", "quite another matter altogether"]
    for text in texts:
        silent(product, text)
    found = choose(product)
    assert sorted(check.alike for check in found) == [1, 3]


def test_what_was_checked_is_not_asked_again_soon(product):
    silent(product, SENTENCE)
    (check,) = choose(product)
    checking.answer(check, by="mia", signal="up")
    silent(product, f"{SENTENCE}!")
    assert chosen(product) == []
    AnswerToCheck.objects.update(answered_at=timezone.now() - choosing.ASKED_AGAIN)
    assert chosen(product) == [f"{SENTENCE}!"]


def test_only_what_people_let_stand_is_chosen(product):
    product.react(silent(product, TEXTS[0]), "up")
    silent(product, TEXTS[1], days=0)
    silent(product, TEXTS[2], key=product.new_key("capture"))
    other = Product("other")
    silent(other, TEXTS[3])
    assert chosen(product) == []


@pytest.mark.parametrize("purpose", Purpose)
def test_who_withdrew_is_left_out(product, purpose):
    silent(product, TEXTS[0], user="bob")
    (check,) = choose(product)
    consent.decide(project=product.project, user_id="bob", purpose=purpose, is_granted=False)
    assert not AnswerToCheck.objects.waiting()
    with pytest.raises(NotToCheck):
        checking.answer(check, by="mia", signal="up")
    assert chosen(product) == []


def test_the_list_has_its_most_and_better_ones_take_the_place_of_others(product, monkeypatch):
    monkeypatch.setattr(choosing, "MOST_OPEN", 2)
    for n, sure in enumerate([0.9, 0.8]):
        silent(product, TEXTS[n], confidence=sure)
    worst, held = choose(product)[::-1][:2]
    claims.take(claims.ANSWER, held.pk, by="mia")
    for n, sure in enumerate([0.5, 0.6], start=2):
        silent(product, TEXTS[n], confidence=sure, days=3)
    found = {TEXTS[2], TEXTS[3], held.inference.input}  # somebody has that before them
    assert set(chosen(product)) == found
    worst.refresh_from_db()
    assert worst.status == "gone"


def test_the_slice_is_drawn_once_a_day_with_the_same_chance_for_all(product, all_drawn):
    for text in TEXTS[:5]:
        silent(product, text, days=5)
    drawn = choose(product)
    assert {(check.is_random, check.propensity) for check in drawn} == {(True, 1.0)}
    later(product, 2)
    silent(product, TEXTS[5], days=25 / 24)
    assert len(choose(product)) == 5  # had no chance yet, so it is not chosen by its worth either
    later(product, 23)
    drawn = {check.inference.input for check in choose(product) if check.is_random}
    assert drawn == {TEXTS[5]}  # what is left of the last draw may be chosen by its worth


def test_a_large_day_makes_the_chance_small(product, all_drawn, monkeypatch):
    monkeypatch.setattr(choosing, "MOST_OPEN", 55)
    for text in TEXTS:
        silent(product, text)
    choose(product)
    drawn = AnswerToCheck.objects.filter(is_random=True)
    assert set(drawn.values_list("propensity", "drawn_of")) == {(11 / 12, 12)}
    assert len(clusters(product.task, [i.pk for i in Inference.objects.all()])) == 12


def test_every_fifth_place_is_the_slices_whatever_it_is_worth(product, monkeypatch):
    monkeypatch.setattr(choosing, "MOST_PROPENSITY", 1.0)
    drawn = {silent(product, text, confidence=1.0, days=5).pk for text in TEXTS[:2]}
    choose(product)
    monkeypatch.setattr(choosing, "MOST_PROPENSITY", 0.0)
    for text in TEXTS[2:]:
        silent(product, text, confidence=0.5)
    later(product, 24)
    AnswerToCheck.objects.update(is_random=True)
    # As a claim keeps them from going with the next draw.
    for check in AnswerToCheck.objects.all():
        claims.take(claims.ANSWER, check.pk, by=f"moderator {check.pk}")
    places = [check.inference_id in drawn for check in choose(product)]
    assert places == [*([False] * 4), True, *([False] * 4), True, False, False]


def test_the_slice_has_its_fifth_however_few_an_hour_are_checked(product, monkeypatch):
    drawn = {silent(product, text, days=5).pk for text in TEXTS[:4]}
    monkeypatch.setattr(choosing, "MOST_PROPENSITY", 1.0)
    choose(product)
    monkeypatch.setattr(choosing, "MOST_PROPENSITY", 0.0)
    for text in MORE:
        silent(product, text, confidence=0.5, days=5)
    checked = []
    for _ in range(5):
        for check in choose(product)[:4]:
            checking.answer(check, by="mia", signal="up")
            checked.append(check.inference_id)
    assert len(drawn & set(checked)) == 4


def test_the_slice_is_never_trained_on_and_neither_is_its_input(product, all_drawn):
    product.task.settings = {"silence_weight": 0.5}
    product.task.save()
    product.add((TEXTS[0], "pos"), (TEXTS[1], "pos"), split="train")
    assert inputs(product.version()) == TEXTS[:2]
    product.approve(TEXTS[0].upper(), user="bob")
    silent(product, TEXTS[0])
    (check,) = choose(product)
    first = product.version()
    assert inputs(first) == [TEXTS[1]]
    assert first.counts["left_out"] == {"random_slice": 3}
    audit = checking.answer(check, by="mia", signal="up")
    Feedback.objects.update(ready_at=timezone.now())
    assert processed(audit).examples.count() == 1
    second = product.version()
    assert inputs(second) == [TEXTS[1]]
    assert second.counts["left_out"] == {"random_slice": 3}
    assert LeftOut.objects.of_version(second).filter(example__source="audit").exists()
    (contributor_truth,) = contributors._audited(product.task)
    assert contributor_truth[1] == "neg"


def test_silence_teaches_only_what_had_its_chance_in_a_draw(product, all_drawn):
    product.task.settings = {"silence_weight": 0.5}
    product.task.save()
    product.add((TEXTS[0], "pos"), split="train")
    silent(product, TEXTS[1], days=5)
    assert inputs(product.version()) == [TEXTS[0]]  # it drew before it learnt
    silent(product, TEXTS[2], days=25 / 24)
    later(product, 23)
    assert inputs(product.version()) == [TEXTS[0]]
    assert not product.task.examples.filter(input=TEXTS[2]).exists()
    later(product, 1)
    assert inputs(product.version()) == TEXTS[:2]  # what nobody checked in a day goes
    drawn = AnswerToCheck.objects.values_list("inference__input", "is_random")
    assert set(drawn) == {(TEXTS[1], True), (TEXTS[2], True)}


def test_an_input_teaches_again_when_the_slice_lets_it_go(product, all_drawn):
    product.add((TEXTS[0], "pos"), split="train")
    shown = silent(product, TEXTS[0])
    choose(product)
    assert inputs(product.version()) == []
    product.react(shown, "regenerated")
    choose(product)
    version = product.version()
    assert inputs(version) == [TEXTS[0]]
    assert version.parent == 1


def test_what_is_held_out_stays_so_and_cases_guard(product, all_drawn):
    held_out = next(texts_of("holdout"))
    product.add((held_out, "pos"), split="holdout")
    silent(product, held_out)
    choose(product)
    assert product.version().counts["splits"] == {"holdout": 1}


def test_the_same_answer_again_changes_nothing_and_another_is_refused(product):
    silent(product, TEXTS[0])
    (check,) = choose(product)
    first = checking.answer(check, by="mia", signal="up")
    assert checking.answer(check, by="mia", signal="up") == first
    with pytest.raises(IdConflict):
        checking.answer(check, by="mia", signal="down")
    with pytest.raises(NotToCheck):
        checking.answer(check, by="bob", signal="up")
    assert Feedback.objects.count() == 1


def test_what_somebody_reacted_to_meanwhile_is_not_asked(product):
    shown = silent(product, TEXTS[0])
    (check,) = choose(product)
    product.react(shown, "up")
    assert not AnswerToCheck.objects.waiting()
    with pytest.raises(NotToCheck):
        checking.answer(check, by="mia", signal="up")
    choose(product)
    check.refresh_from_db()
    assert check.status == "gone"


def test_an_answer_given_while_the_list_is_made_stands(product, monkeypatch):
    silent(product, TEXTS[0])
    (check,) = choose(product)
    best = choosing._best

    def answered_meanwhile(*args):
        found = best(*args)
        checking.answer(check, by="mia", signal="up")
        return found

    monkeypatch.setattr(choosing, "_best", answered_meanwhile)
    choose(product)
    check.refresh_from_db()
    assert (check.status, check.answered_by) == ("answered", "mia")


def test_what_validation_refuses_stores_nothing(product):
    silent(product, TEXTS[0])
    (check,) = choose(product)
    with pytest.raises(Rejected):
        checking.answer(check, by="mia", signal="correction", corrected="blue")
    assert not Feedback.objects.exists()
    check.refresh_from_db()
    assert check.status == "open"


def test_an_answer_can_be_undone_for_some_seconds(product):
    silent(product, TEXTS[0])
    (check,) = choose(product)
    audit = checking.answer(check, by="mia", signal="up")
    assert processed(audit).status == "pending"  # nobody takes it before
    with pytest.raises(TransitionRefused):
        checking.undo(check, by="bob")
    checking.undo(check, by="mia")
    assert (check.status, check.feedback, check.answered_by) == ("open", None, "")
    assert not Feedback.objects.exists()
    checking.answer(check, by="mia", signal="down")
    AnswerToCheck.objects.update(answered_at=timezone.now() - timedelta(minutes=1))
    with pytest.raises(TransitionRefused):
        checking.undo(check, by="mia")


@pytest.mark.django_db(transaction=True)
def test_the_figures_forget_an_answer_that_is_undone(product):
    silent(product, TEXTS[0])
    (check,) = choose(product)
    checking.answer(check, by="mia", signal="up")
    figures.measure()
    assert HourFigures.objects.get().captured == 1
    checking.undo(check, by="mia")
    assert HourFigures.objects.get().captured == 0


def test_time_before_the_answer_is_known_from_the_claim(product):
    silent(product, TEXTS[0])
    (check,) = choose(product)
    claims.take(claims.ANSWER, check.pk, by="mia")
    checking.answer(check, by="mia", signal="up")
    assert 0 <= check.seconds < 60


def test_silence_weighs_by_the_slice_and_not_by_what_was_chosen(product, monkeypatch):
    monkeypatch.setattr(contributors, "FEWEST_AUDITS", 3)
    for text in TEXTS[:4]:
        silent(product, text)
    for check in choose(product):
        checking.answer(check, by="mia", signal="down")
    only_disagreeing = Regime(0.0, 1.0)
    assert contributors.silence_estimate(product.task, only_disagreeing) is None
    monkeypatch.setattr(choosing, "MOST_PROPENSITY", 1.0)
    later(product, 48)
    for text in TEXTS[4:8]:
        silent(product, text, days=1.5)
    for check in choose(product):
        checking.answer(check, by="mia", signal="up")
    estimate = contributors.silence_estimate(product.task, only_disagreeing)
    assert estimate == pytest.approx(max(0.0, 2 * wilson(4, 4).low - 1))


def test_accuracy_is_of_the_slice_for_each_model(product, all_drawn):
    model = product.register()
    for n, text in enumerate(TEXTS[:10]):
        shown = silent(product, text)
        if n < 6:
            Prediction.objects.create(inference=shown, model_version=model)
    for check in choose(product):
        is_right = check.inference.input != TEXTS[0]
        checking.answer(check, by="mia", signal="up" if is_right else "down")
    ours, theirs = sorted(checking.slice_accuracy(product.task), key=lambda told: -len(told.model))
    assert (ours.model, ours.n, ours.right) == ("v1", 6, 5)
    assert (theirs.model, theirs.n, theirs.right) == ("", 4, 4)
    low = wilson(5, 6).low
    assert (ours.interval.estimate, ours.interval.low) == pytest.approx((5 / 6, low))


def test_what_is_answered_of_a_day_stands_for_all_of_the_day(product, all_drawn, monkeypatch):
    """Of a busy day only a part is checked."""
    monkeypatch.setattr(contributors, "FEWEST_AUDITS", 3)
    for text in TEXTS[:8]:
        silent(product, text, days=5)
    for check in choose(product)[:2]:
        checking.answer(check, by="mia", signal="down")
    later(product, 72)
    for text in TEXTS[8:]:
        silent(product, text)
    for check in choose(product):
        if check.is_random:
            checking.answer(check, by="mia", signal="up")
    (told,) = checking.slice_accuracy(product.task)
    assert (told.n, told.right) == (6, 4)
    assert told.interval.estimate == pytest.approx(4 / 12)
    assert contributors.silence_estimate(product.task, Regime(0.0, 1.0)) == 0.0


def test_a_task_is_due_where_something_became_silent_or_was_checked(product):
    product.show(TEXTS[0])
    assert checking.waiting_seconds() is None
    silent(product, TEXTS[1])
    assert checking.waiting_seconds() == 0.0
    checking.choose_due()
    assert checking.waiting_seconds() is None
    later(product, 2)
    assert checking.waiting_seconds() is None
    checking.answer(AnswerToCheck.objects.get(), by="mia", signal="up")
    assert checking.waiting_seconds() == 0.0
    checking.choose_due()
    later(product, 49)
    assert checking.waiting_seconds() == 0.0


@pytest.mark.django_db(transaction=True)
def test_nothing_is_left_of_who_is_erased(product, all_drawn):
    silent(product, TEXTS[0])
    silent(product, TEXTS[1], user="bob")
    for check in choose(product):
        checking.answer(check, by="mia", signal="up")
    request = erasure.request(project=product.project, user_id="ann", by="mia")
    assert erasure.erase_next(only=request).status == "done"
    assert [check.inference.user_id for check in AnswerToCheck.objects.all()] == ["bob"]


def test_what_is_kept_no_longer_takes_its_check_along(product):
    for n, text in enumerate(TEXTS[:2]):
        silent(product, text, confidence=0.6 + n / 10)
    check, open_ = choose(product)
    checking.answer(check, by="mia", signal="down")
    product.version()
    for model in (Feedback, Inference):
        model.objects.update(created_at=timezone.now() - timedelta(days=1_000))
    retention.apply(product.project)
    assert not Feedback.objects.exists()
    assert not AnswerToCheck.objects.exclude(pk=open_.pk).exists()


def test_what_is_left_of_the_slice_does_not_depend_on_what_was_said(product, all_drawn):
    for text in [*TEXTS[:3], next(texts_of("holdout"))]:
        silent(product, text)
    said = {TEXTS[0]: ("down", None), TEXTS[1]: ("correction", "pos")}
    for check in choose(product):
        signal, corrected = said.get(check.inference.input, ("up", None))
        checking.answer(check, by="mia", signal=signal, corrected=corrected)
    Feedback.objects.update(ready_at=timezone.now())
    processed(Feedback.objects.first())
    assert inputs(product.version(), split="holdout") == [next(texts_of("holdout"))]
    for model in (Feedback, Inference):
        model.objects.update(created_at=timezone.now() - timedelta(days=1_000))
    retention.apply(product.project)
    assert not AnswerToCheck.objects.exists()
    assert checking.slice_accuracy(product.task) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_answered", [True, False])
def test_what_the_slice_lets_go_when_it_is_old_teaches_in_the_next_version(
    product, all_drawn, is_answered
):
    product.add((TEXTS[0], "pos"), (TEXTS[1], "pos"), split="train")
    silent(product, TEXTS[0])
    (check,) = choose(product)
    if is_answered:
        checking.answer(check, by="mia", signal="down")
    assert inputs(product.version()) == [TEXTS[1]]
    for model in (Feedback, Inference):
        model.objects.update(created_at=timezone.now() - timedelta(days=1_000))
    retention.apply(product.project)
    assert not AnswerToCheck.objects.exists()
    assert inputs(product.version()) == [TEXTS[0], TEXTS[1]]


def test_an_answer_that_names_its_person_is_not_checked_any_more(product):
    silent(product, "the soup of annabella", user="annabella")
    silent(product, TEXTS[0], user="annabella")
    assert len(choose(product)) == 2
    subjects.anonymise(product.project, "annabella")
    assert chosen(product) == [TEXTS[0]]


def test_the_list_asks_as_often_for_many_as_for_one(product, django_assert_num_queries):
    def read():
        rows = AnswerToCheck.objects.waiting()
        return [(check.inference.input, check.task.project.slug) for check in rows]

    for text in TEXTS:
        silent(product, text)
    choose(product)
    with django_assert_num_queries(1):
        assert len(read()) == 12


def test_tasks_are_found_by_as_many_questions_as_one(product, django_assert_num_queries):
    for n in range(3):
        silent(Product(f"shop-{n}"), TEXTS[0])
    with django_assert_num_queries(1):
        assert len(choosing.due_tasks()) == 3
