"""Who can be trusted, from what people said and left unsaid."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_array

from feedback.trust import ANOTHER, SILENT, Exposures, Regime, score


def crowd(people, seed=0, labels=2, right=0.7, shown_to=3, items=400):
    """Show items to people and let each act: `people` are functions (chance, truth, shown) -> said.

    Returns the exposures and the truth; models know nothing of the items.
    """
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, labels, items)
    wrong = (truth + chance.integers(1, labels, items)) % labels
    shown = np.where(chance.random(items) < right, truth, wrong)
    item = np.repeat(np.arange(items), shown_to)
    who = np.concatenate([chance.permutation(len(people))[:shown_to] for _ in range(items)])
    said = [people[p](chance, truth[i], shown[i]) for p, i in zip(who, item, strict=True)]
    return (
        Exposures(
            contributor=who,
            item=item,
            about=csr_array((items, 0)),
            shown=shown[item],
            said=np.array(said),
            likely=np.full((items, labels), 1 / labels),
            known=np.full(items, -1),
        ),
        truth,
    )


def honest(chance, truth, _shown):
    return truth if chance.random() < 0.95 else 1 - truth


def flipping(_chance, truth, _shown):
    return 1 - truth


def clicking(chance, _truth, _shown):
    return chance.integers(0, 2)


def only_if_wrong(act):
    def person(chance, truth, shown):
        said = act(chance, truth, shown)
        return SILENT if said == shown else said

    return person


def test_it_works():
    exposures, truth = crowd([honest] * 24 + [flipping] * 8)
    scores = score(exposures, 32)
    assert (scores.honesty[:24] > 0.99).all()
    assert (scores.honesty[24:] < 0.01).all()
    assert (scores.truth.argmax(axis=1) == truth).mean() > 0.95
    assert scores.regime.approving > 0.95
    assert scores.regime.silence_weight == 0.0


@pytest.mark.parametrize("bad", [flipping, clicking])
@pytest.mark.parametrize("wrap", [lambda act: act, only_if_wrong], ids=["all", "disagreeing"])
def test_each_kind_is_found_in_each_regime(bad, wrap):
    exposures, _ = crowd([wrap(honest)] * 24 + [wrap(bad)] * 8, items=800)
    honesty = score(exposures, 32).honesty
    assert (honesty[:24] > 0.6).all()
    assert (honesty[24:] < 0.3).all()


def test_where_people_speak_to_disagree_silence_approves():
    exposures, _ = crowd([only_if_wrong(honest)] * 20)
    regime = score(exposures, 20).regime
    assert regime.approving < 0.01
    assert regime.disagreeing > 0.7
    assert regime.silence_weight > 0.5


@pytest.mark.parametrize(
    ("approving", "disagreeing", "weight"),
    [(0, 1, 1), (1, 1, 0), (0.3, 0.3, 0), (0, 0.3, 0.3 / 1.7), (0.5, 0.2, 0), (0, 0, 0)],
)
def test_what_silence_weighs_follows_from_who_speaks(approving, disagreeing, weight):
    assert Regime(approving, disagreeing).silence_weight == pytest.approx(weight)


def test_evidence_against_a_hand_count():
    """One person approves ten audited answers, all right: nobody else, so rates are theirs."""
    ten = np.zeros(10, dtype=np.intp)
    exposures = Exposures(ten, np.arange(10), ten, ten, ten, np.full((10, 2), 0.5), ten)
    scores = score(exposures, 1)
    truth = 1 / 1.001  # an audit is right but for one in a thousand
    felt = 10 * (truth * 0.9 + (1 - truth) * 0.1)
    usual = min(1, 10 / felt)
    rate = min(0.999, (10 + 5 * usual) / (felt + 5))
    blind = min(0.999, (10 + 5 * usual) / (5 + 5))
    one = math.log((truth * 0.9 + (1 - truth) * 0.1) * rate / (0.5 * blind))
    assert scores.evidence[0] == pytest.approx(10 * one)


def test_a_model_that_knows_convicts_who_is_alone():
    exposures, truth = crowd([honest] * 6 + [flipping] * 2, shown_to=1)
    likely = np.where(np.arange(2) == truth[:, None], 0.8, 0.2)
    knowing = Exposures(**{**exposures.__dict__, "likely": likely})
    assert score(knowing, 8).honesty[6:].max() < 0.05
    assert score(knowing, 8).honesty[:6].min() > 0.9


def test_who_is_bad_in_one_topic_is_found():
    def in_one_topic(_chance, truth, _shown):
        return truth

    exposures, truth = crowd([honest] * 20 + [in_one_topic] * 4, items=1_200)
    about = np.arange(1_200)[:, None] % 6 == np.arange(6)
    theirs = (exposures.contributor >= 20) & about[exposures.item, 0]
    said = np.where(theirs, 1 - truth[exposures.item], exposures.said)
    mixed = Exposures(**{**exposures.__dict__, "about": csr_array(about * 1.0), "said": said})
    honesty = score(mixed, 24).honesty
    assert honesty[20:].max() < 0.3
    assert honesty[:20].min() > 0.6


def test_more_than_two_labels():
    def right(chance, truth, _shown):
        return truth if chance.random() < 0.95 else (truth + 1) % 4

    def wrong(chance, truth, _shown):
        return (truth + chance.integers(1, 4)) % 4

    exposures, truth = crowd([right] * 15 + [wrong] * 5, labels=4)
    scores = score(exposures, 20)
    assert (scores.honesty > 0.5).tolist() == [True] * 15 + [False] * 5
    assert (scores.truth.argmax(axis=1) == truth).mean() > 0.9


def test_to_say_that_it_is_wrong_counts_too():
    def down(chance, truth, shown):
        return shown if honest(chance, truth, shown) == shown else ANOTHER

    exposures, _ = crowd([down] * 20 + [flipping] * 5)
    assert (score(exposures, 25).honesty > 0.5).tolist() == [True] * 20 + [False] * 5


def test_the_order_makes_no_difference():
    exposures, _ = crowd([honest] * 10 + [clicking] * 4)
    order = np.random.default_rng(1).permutation(exposures.said.size)
    columns = {name: getattr(exposures, name) for name in ("about", "likely", "known")}
    rows = ("contributor", "item", "shown", "said")
    shuffled = Exposures(**{n: getattr(exposures, n)[order] for n in rows}, **columns)
    assert score(shuffled, 14).evidence == pytest.approx(score(exposures, 14).evidence)


def test_nobody_is_found_guilty_where_nobody_is():
    exposures, _ = crowd([honest] * 30, shown_to=2)
    assert score(exposures, 30).honesty.min() > 0.9


def test_who_did_nothing_yet_is_as_all_are():
    exposures, _ = crowd([honest] * 10)
    scores = score(exposures, 11)
    assert scores.evidence[10] == 0.0
    assert scores.honesty[10] > 0.9


def test_nothing_is_scored_where_nothing_was_shown():
    none = np.zeros(0, dtype=np.intp)
    exposures = Exposures(none, none, none, none, none, np.zeros((0, 2)), none)
    scores = score(exposures, 2)
    assert scores.evidence.tolist() == [0.0, 0.0]


def test_a_model_that_is_wrong_about_a_word_convicts_nobody():
    exposures, truth = crowd([honest] * 40, shown_to=1, items=1_600)
    about = np.arange(1_600)[:, None] % 7 == np.arange(7)
    right = np.where(np.arange(2) == truth[:, None], 0.95, 0.05)
    likely = np.where(about[:, [0]] & (np.arange(1_600) % 2 == 0)[:, None], 1 - right, right)
    wrong = Exposures(**{**exposures.__dict__, "likely": likely, "about": csr_array(about * 1.0)})
    assert (score(wrong, 40).honesty > 0.5).all()


def test_a_hair_between_the_rates_gives_silence_no_weight():
    assert Regime(approving=0.50, disagreeing=0.51).silence_weight == 0.0
    assert Regime(approving=0.0, disagreeing=1.0).silence_weight == 1.0
