import numpy as np
import pytest

from training.metrics import (
    expected_calibration_error,
    perfectly_calibrated_ece_quantile,
)


def test_it_works():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    correct = np.array([True, True, False, True])
    assert 0 <= expected_calibration_error(confidence, correct) <= 1


def test_calibration_error_equals_a_hand_count():
    confidence = np.array([0.6, 0.6, 0.9, 0.9])
    correct = np.array([True, False, True, True])
    # Two bins: |0.6 - 0.5| and |0.9 - 1.0|, half of the rows each.
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx(0.1)


def test_equal_confidences_share_a_bin():
    confidence = np.full(100, 0.7)
    correct = np.arange(100) < 70
    assert expected_calibration_error(confidence, correct) == pytest.approx(0)


def test_calibration_error_ignores_the_order_of_rows():
    generator = np.random.default_rng(1)
    confidence = generator.integers(5, 10, 200) / 10
    correct = generator.random(200) < 0.7
    order = generator.permutation(200)
    assert expected_calibration_error(confidence, correct) == pytest.approx(
        expected_calibration_error(confidence[order], correct[order])
    )


def test_chance_quantile_bounds_a_calibrated_model():
    generator = np.random.default_rng(2)
    confidence = 0.5 + generator.random(900) / 2
    bound = perfectly_calibrated_ece_quantile(confidence, seed=3)
    errors = [
        expected_calibration_error(confidence, generator.random(900) < confidence)
        for _ in range(300)
    ]
    assert np.mean(np.array(errors) <= bound) == pytest.approx(0.95, abs=0.03)


def test_chance_quantile_shows_overconfidence():
    generator = np.random.default_rng(4)
    confidence = 0.5 + generator.random(900) / 2
    correct = generator.random(900) < confidence - 0.1
    assert expected_calibration_error(confidence, correct) > perfectly_calibrated_ece_quantile(
        confidence, seed=5
    )


def test_chance_quantile_shrinks_with_rows():
    few, many = np.full(100, 0.8), np.full(10_000, 0.8)
    assert perfectly_calibrated_ece_quantile(
        few, seed=6, draws=200
    ) > 5 * perfectly_calibrated_ece_quantile(many, seed=6, draws=200)


def test_chance_quantile_repeats_by_seed():
    confidence = np.linspace(0.5, 1, 50)
    first, again = (perfectly_calibrated_ece_quantile(confidence, seed=7) for _ in range(2))
    assert first == again


def test_no_rows_are_refused():
    empty = np.array([])
    for compute in (
        lambda: expected_calibration_error(empty, empty.astype(bool)),
        lambda: perfectly_calibrated_ece_quantile(empty, seed=0),
    ):
        with pytest.raises(ValueError, match="at least one row"):
            compute()
