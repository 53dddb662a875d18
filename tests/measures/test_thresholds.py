"""Thresholds and temperature of several labels: what F1 and the likelihood ask for."""

import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures import label_calibration as calibration
from fettle.measures.label_sets import label_f1_of, tallies
from fettle.measures.thresholds import fitted, fitted_together


def test_the_threshold_lies_in_the_middle_of_the_best_gap_and_near_one_half():
    truth = np.array([True] * 10 + [False] * 10)[:, None]
    apart = np.array([0.3] * 10 + [0.1] * 10)[:, None]
    assert fitted_together(apart, truth) == pytest.approx(0.2)
    wide = np.array([0.9] * 10 + [0.1] * 10)[:, None]
    assert fitted_together(wide, truth) == 0.5


def test_no_other_threshold_has_a_higher_f1():
    rng = np.random.default_rng(0)
    truth = rng.random((200, 3)) < (0.5, 0.2, 0.1)
    said = np.clip(rng.normal(0.3, 0.2, (200, 3)) + 0.25 * truth, 0.0, 1.0)
    cuts, own = fitted(said, truth)
    assert own.all()
    best = label_f1_of(tallies(truth, said >= cuts))
    for other in np.linspace(0.02, 0.98, 200):
        assert (label_f1_of(tallies(truth, said >= other)) <= best + 1e-12).all()


def test_a_rare_label_takes_the_threshold_of_all():
    rng = np.random.default_rng(1)
    truth = np.column_stack([rng.random(100) < 0.5, np.arange(100) < 3])
    said = np.column_stack([np.where(truth[:, 0], 0.35, 0.2), np.where(truth[:, 1], 0.95, 0.9)])
    cuts, own = fitted(said, truth)
    assert own.tolist() == [True, False]
    assert cuts[0] == pytest.approx(0.275)
    assert cuts[1] == fitted_together(said, truth)


def test_without_a_label_anywhere_the_threshold_is_one_half():
    nothing = np.zeros((4, 2), dtype=bool)
    assert fitted(np.full((4, 2), 0.3), nothing)[0].tolist() == [0.5, 0.5]
    assert fitted(np.zeros((0, 2)), np.zeros((0, 2), dtype=bool))[0].tolist() == [0.5, 0.5]
    with pytest.raises(ShapeError, match="same rows and labels"):
        fitted(np.zeros((2, 2)), np.zeros((2, 3), dtype=bool))


def test_the_temperature_undoes_what_outputs_were_multiplied_by():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4000, 4)) * 1.5
    truth = rng.random(true.shape) < calibration.probabilities(true)
    assert calibration.temperature(3 * true, truth) == pytest.approx(3, rel=0.06)
    assert calibration.temperature(true[:0], truth[:0]) == 1.0


def test_the_likelihood_is_that_of_each_label_by_itself():
    outputs, truth = np.array([[0.0, np.log(3)]]), np.array([[True, False]])
    assert calibration.log_likelihood(outputs, truth)[0] == pytest.approx(np.log(0.5 * 0.25))
    assert calibration.probabilities(outputs)[0].tolist() == pytest.approx([0.5, 0.75])
    assert calibration.probabilities(np.array([[-800.0, 800.0]])).tolist() == [[0.0, 1.0]]


def test_reliability_is_small_for_true_probabilities_and_large_for_loud_ones():
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(800, 3))
    truth = rng.random(outputs.shape) < calibration.probabilities(outputs)
    calm = calibration.reliability(outputs, truth, rng=np.random.default_rng(0))
    loud = calibration.reliability(5 * outputs, truth, rng=np.random.default_rng(0))
    assert calm.ece < calm.ece_by_chance
    assert loud.ece > 3 * loud.ece_by_chance
    assert calm.error.value < 0.05 < loud.error.value
    assert calm.nll.value < loud.nll.value
    assert sum(one.rows for one in calm.bins) == truth.size
    with pytest.raises(ShapeError, match="without rows"):
        calibration.reliability(outputs[:0], truth[:0], rng=rng)
