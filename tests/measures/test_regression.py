import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.core.score import Score, figures
from fettle.measures import regression

TRUTH, SAID = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 2.0, 8.0])


def test_scores_by_hand():
    # errors 0, 1, 1, 2; around the mean of 3 the truth has squares 4 + 1 + 0 + 9
    assert regression.mae(TRUTH, SAID) == 1.0
    assert regression.rmse(TRUTH, SAID) == pytest.approx(np.sqrt(6 / 4))
    assert regression.r2(TRUTH, SAID) == pytest.approx(1 - 6 / 14)
    # two neighbours change places: 1 - 6 * 2 / (4 * 15)
    assert regression.spearman(TRUTH, SAID) == pytest.approx(0.8)


def test_what_cannot_be_ranked_or_explained_scores_zero():
    same = np.full(4, 2.0)
    assert regression.spearman(TRUTH, same) == 0.0
    assert regression.r2(same, SAID) == 0.0
    with pytest.raises(ShapeError):
        regression.mae(TRUTH, SAID[:2])


@pytest.mark.parametrize("name", list(regression.SCORES))
def test_intervals_hold_the_score_of_all_rows_and_are_the_same_for_one_seed(name):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    said = truth + rng.normal(size=400) / 2
    one, two = (regression.score(name, truth, said, seed=3) for _ in range(2))
    assert one == two
    assert one.low < one.value < one.high
    assert one.high - one.low < 0.2


def test_a_smaller_error_is_a_gain_and_wins_are_rows_that_came_nearer():
    rng = np.random.default_rng(1)
    before = np.abs(rng.normal(size=300)) + 0.5
    found = regression.compare("a", "b", before, before - 0.2)
    assert found.difference == pytest.approx(0.2)
    assert (found.wins, found.losses, found.verdict) == (300, 0, "better")
    assert found.p < 0.001
    assert regression.compare("b", "a", before - 0.2, before).verdict == "worse"
    same = regression.compare("a", "b", before, rng.permutation(before))
    assert same.verdict == "cannot tell"
    assert same.p > 0.01


def test_the_half_width_is_the_conformal_quantile():
    errors = np.arange(1.0, 20.0)  # 19 rows: the 18th smallest of 20 places
    assert regression.half_width(errors, 0.9) == 18.0
    assert regression.half_width(errors[:8], 0.9) is None  # 9 * 0.9 = 8.1 places of 8


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = []
    for _ in range(200):
        half = regression.half_width(np.abs(rng.standard_t(3, size=60)), 0.9)
        held.append((np.abs(rng.standard_t(3, size=200)) <= half).mean())
    assert 0.89 < np.mean(held) < 0.92


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e120])
def test_what_is_explained_does_not_hang_on_the_unit(unit):
    assert regression.r2(TRUTH * unit, SAID * unit) == pytest.approx(1 - 6 / 14)
    found, plain = (regression.score("r2", TRUTH * by, SAID * by) for by in (unit, 1.0))
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_rounding_is_no_variance_to_explain():
    assert regression.r2(np.full(7, 0.1), np.arange(7.0)) == 0.0


@pytest.mark.parametrize(("score", "said"), [
    (Score("mae", 0.0000123, 0.00001, 0.00002, 9), "mae 1.23e-05 [1e-05, 2e-05] on 9 rows"),
    (Score("mae", 1.5, 1.25, 1.75, 9), "mae 1.500 [1.250, 1.750] on 9 rows"),
    (Score("r2", 0.0000123, 0.0, 0.1, 9), "r2 0.000 [0.000, 0.100] on 9 rows"),
])
def test_an_error_is_told_in_its_unit_however_small_that_is(score, said):
    assert str(score) == said


def test_numbers_of_any_size_are_told_with_the_figures_that_mean_something():
    assert [figures(one) for one in (2.0462131, 1234567.8, -1e9 - 3, 1e20, 0.0)] == [
        "2.04621", "1234568", "-1000000003", "1e+20", "0"]
