import math

import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures.calibration import (
    debiased_error,
    log_probabilities,
    reliability,
    reliability_bins,
    temperature,
)


def outputs_with(confidence):
    """Two classes, the first said with this probability."""
    margin = np.log(np.asarray(confidence) / (1 - np.asarray(confidence)))
    return np.stack([margin, np.zeros_like(margin)], axis=1)


def test_a_model_that_says_9_in_10_and_is_right_8_in_10_needs_log_9_over_log_4():
    # By hand: all rows have the margin log 9. The likelihood is highest where the probability is
    # the share of right rows: log(9) / T = log(0.8 / 0.2), so T = log 9 / log 4 = 1.585.
    outputs = outputs_with(np.full(10_000, 0.9))
    targets = (np.arange(10_000) % 10 >= 8).astype(int)

    assert temperature(outputs, targets) == pytest.approx(math.log(9) / math.log(4), abs=2e-3)


def test_a_model_that_is_too_modest_gets_a_temperature_below_1():
    outputs = outputs_with(np.full(10_000, 0.6))
    targets = (np.arange(10_000) % 10 >= 9).astype(int)  # right 9 in 10

    assert temperature(outputs, targets) == pytest.approx(math.log(1.5) / math.log(9), abs=2e-3)


def test_a_calibrated_model_is_left_as_it_is():
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(20_000, 5)) * 2
    targets = np.array([rng.choice(5, p=p) for p in np.exp(log_probabilities(outputs))])

    assert temperature(outputs, targets) == pytest.approx(1, abs=0.03)
    assert temperature(outputs * 3, targets) == pytest.approx(3, abs=0.09)


def test_without_a_wrong_row_the_temperature_stays_finite():
    few = temperature(outputs_with(np.full(20, 0.9)), np.zeros(20, dtype=int))
    many = temperature(outputs_with(np.full(2000, 0.9)), np.zeros(2000, dtype=int))

    assert 0.1 < many < few < 1
    assert temperature(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 1.0


def test_the_brier_score_and_nll_of_two_rows_by_hand():
    # Rows say (0.9, 0.1) and (0.6, 0.4); both are of class 0.
    found = reliability(outputs_with([0.9, 0.6]), np.array([0, 0]), rng=np.random.default_rng(0))

    assert found.brier.value == pytest.approx((0.1**2 + 0.1**2 + 0.4**2 + 0.4**2) / 2)
    assert found.nll.value == pytest.approx(-(math.log(0.9) + math.log(0.6)) / 2)
    assert found.brier.rows == 2


def test_a_class_that_no_output_stands_for_counts_as_wrong_and_unlikely():
    found = reliability(outputs_with([0.9, 0.9]), np.array([2, 2]), rng=np.random.default_rng(0))

    assert found.brier.value == pytest.approx(0.9**2 + 0.1**2 + 1)
    assert found.nll.value == pytest.approx(-math.log(0.1))
    assert found.bins[0].accuracy == 0


def test_the_debiased_error_by_hand():
    # One bin of 10 rows at 0.7, of which 5 are right: 0.2^2 - 0.25 / 9 = 0.01222.
    confidence, right = np.full(10, 0.7), np.arange(10) < 5

    assert debiased_error(confidence, right) == pytest.approx(math.sqrt(0.04 - 0.25 / 9))
    assert debiased_error(np.full(10, 0.5), right) == 0  # below what chance adds


def test_chance_alone_makes_the_plug_in_error_large_and_the_debiased_one_small():
    # lifecycle.md section 4: a perfect model shows 0.088 on 100 rows with 15 bins.
    rng = np.random.default_rng(1)
    plug_in, debiased, inside = [], [], []
    for _ in range(60):
        confidence = rng.uniform(0.4, 1, size=300)
        right = rng.random(300) < confidence
        bins, by_chance = reliability_bins(confidence, right, rng=rng)
        ece = sum(b.rows * abs(b.confidence - b.accuracy) for b in bins) / 300
        plug_in.append(ece)
        debiased.append(debiased_error(confidence, right))
        inside.append(ece <= by_chance)

    assert np.mean(plug_in) > 0.04
    assert np.median(debiased) < 0.03
    assert np.mean(inside) >= 0.88  # 95% in the long run


def test_a_bar_outside_its_band_is_rare_for_true_probabilities_and_sure_for_false_ones():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1, size=3000)
    true, _ = reliability_bins(confidence, rng.random(3000) < confidence, rng=rng)
    false, _ = reliability_bins(confidence, rng.random(3000) < confidence - 0.2, rng=rng)

    assert sum(not one.low <= one.accuracy <= one.high for one in true) <= 3
    assert all(one.accuracy < one.low for one in false)
    assert [one.rows for one in true] == [200] * 15


def test_rows_of_equal_confidence_stand_in_one_bin():
    confidence = np.repeat([0.6, 0.99], [30, 170])
    bins, _ = reliability_bins(confidence, np.ones(200, dtype=bool), rng=np.random.default_rng(0))

    assert [one.rows for one in bins] == [30, 170]


def test_rows_must_fit():
    with pytest.raises(ShapeError):
        reliability(np.zeros((2, 2)), np.zeros(3, dtype=int), rng=np.random.default_rng(0))
    with pytest.raises(ShapeError):
        temperature(np.zeros((2, 2)), np.zeros(3, dtype=int))
