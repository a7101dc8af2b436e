import dataclasses
import json
import math

import numpy as np
import pytest

from training.statistics import HarmMonitor, mcnemar, paired_difference


def pairs(both, gained, lost, neither):
    before = [True] * both + [False] * gained + [True] * lost + [False] * neither
    after = [True] * both + [True] * gained + [False] * lost + [False] * neither
    return np.array(before), np.array(after)


def test_it_works():
    result = paired_difference(*pairs(180, 30, 12, 28))
    assert result.estimate == pytest.approx(18 / 250)
    assert result.low < result.estimate < result.high
    assert (result.n, result.gained, result.lost) == (250, 30, 12)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:2635, table II, method 10
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((18, 12, 2, 18), 0.0562, 0.3290),
        ((53, 0, 0, 1), -0.0729, 0.0729),
        ((0, 30, 0, 0), 0.8395, 1.0),
    ],
)
def test_paired_interval_equals_published_limits(table, low, high):
    result = paired_difference(*pairs(*table))
    assert result.low == pytest.approx(low, abs=1e-4)
    assert result.high == pytest.approx(high, abs=1e-4)


def test_paired_interval_turns_round_with_its_arms():
    before, after = pairs(40, 9, 3, 20)
    forth, back = paired_difference(before, after), paired_difference(after, before)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.p_value == back.p_value


def test_paired_interval_covers_the_truth():
    generator = np.random.default_rng(1)
    cells = generator.multinomial(250, [0.70, 0.10, 0.06, 0.14], size=1000)
    results = [paired_difference(*pairs(*row)) for row in cells]
    covered = np.mean([result.low <= 0.04 <= result.high for result in results])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_mcnemar_equals_a_hand_count():
    # Ten fair coins show one tail or fewer, or one head or fewer.
    assert mcnemar(9, 1) == pytest.approx(22 / 1024)
    assert mcnemar(5, 5) == 1
    assert mcnemar(0, 0) == 1


def test_mcnemar_stays_exact_for_many_pairs():
    exact = 2 * sum(math.comb(2000, k) for k in range(951)) / 2**2000
    assert mcnemar(950, 1050) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("sizes", [(0, 0), (2, 3)])
def test_paired_difference_refuses_unlike_arrays(sizes):
    before, after = (np.ones(size, dtype=bool) for size in sizes)
    with pytest.raises(ValueError, match="same cases"):
        paired_difference(before, after)


def watch(monitor, generator, rates, looks):
    """Feed 95 champion and 5 challenger outcomes a look; gives challenger outcomes until harm."""
    for look in range(1, looks + 1):
        champion, challenger = generator.binomial([95, 5], rates)
        monitor.update(champion=(int(champion), 95), challenger=(int(challenger), 5))
        if monitor.is_harmful:
            return 5 * look
    return None


@pytest.mark.parametrize("rates", [(0.2, 0.2), (0.02, 0.02), (0.5, 0.5), (0.2, 0.1)])
def test_false_alarms_stay_under_alpha_over_200_looks(rates):
    generator = np.random.default_rng(2)
    alarms = [watch(HarmMonitor(0.05), generator, rates, 200) is not None for _ in range(300)]
    assert np.mean(alarms) <= 0.05


def test_harm_of_ten_points_is_caught():
    generator = np.random.default_rng(3)
    needed = [watch(HarmMonitor(0.05), generator, (0.2, 0.3), 400) for _ in range(200)]
    assert None not in needed
    assert np.mean(needed) < 300


def test_a_better_challenger_gathers_no_evidence():
    monitor = HarmMonitor(0.05)
    watch(monitor, np.random.default_rng(4), (0.3, 0.1), 200)
    assert monitor.e_value == pytest.approx(1)


def test_first_block_is_no_evidence():
    monitor = HarmMonitor(0.05)
    monitor.update(champion=(0, 100), challenger=(100, 100))
    assert monitor.e_value == 1


def test_e_value_equals_a_hand_count():
    monitor = HarmMonitor(0.05)
    monitor.update(champion=(0, 2), challenger=(2, 2))
    # Predicted 1/4 and 3/4, pooled 1/2.
    monitor.update(champion=(0, 1), challenger=(1, 1))
    assert monitor.e_value == pytest.approx((0.75 / 0.5) * (0.75 / 0.5))


def test_an_arm_without_outcomes_waits_for_the_other():
    apart, together = HarmMonitor(0.05), HarmMonitor(0.05)
    for _ in range(3):
        apart.update(champion=(1, 10), challenger=(0, 0))
        apart.update(champion=(0, 0), challenger=(4, 5))
        together.update(champion=(1, 10), challenger=(4, 5))
    assert apart == together
    assert apart.e_value > 1


def test_harm_stays_known_when_evidence_fades():
    monitor = HarmMonitor(0.05)
    for _ in range(10):
        monitor.update(champion=(0, 20), challenger=(5, 20))
    assert monitor.is_harmful
    for _ in range(100):
        monitor.update(champion=(10, 20), challenger=(0, 20))
    assert monitor.e_value < 20
    assert monitor.is_harmful


def test_a_monitor_resumes_from_json():
    monitor = HarmMonitor(0.05)
    watch(monitor, np.random.default_rng(5), (0.2, 0.25), 10)
    resumed = HarmMonitor(**json.loads(json.dumps(dataclasses.asdict(monitor))))
    for each in (monitor, resumed):
        watch(each, np.random.default_rng(6), (0.2, 0.25), 10)
    assert resumed.log_e == monitor.log_e


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="not a count"):
        HarmMonitor(0.05).update(champion=(3, 2), challenger=(0, 1))
