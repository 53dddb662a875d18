import numpy as np
import pytest
from scipy.stats import binomtest

from fettle.core.errors import ShapeError
from fettle.measures.classification import accuracy_of, macro_f1, macro_f1_of
from fettle.measures.paired import (
    mcnemar,
    more_rows_to_tell,
    newcombe,
    paired_interval,
    paired_loss,
    paired_score_loss,
    rows_needed,
    smallest_gain,
)


def test_newcombe_gives_the_published_interval_of_the_airway_example():
    # Bentur et al. 2009: 1 both, 1 before only, 7 after only, 12 neither. Fagerland, Lydersen and
    # Laake, "Recommended tests and confidence intervals for paired binomial proportions",
    # Statistics in Medicine 33, 2014: before minus after -0.286, Newcombe (-0.507, -0.026).
    difference, low, high = newcombe(1, 7, both_right=1, both_wrong=12)

    assert (difference, low, high) == pytest.approx((-0.286, -0.507, -0.026), abs=6e-4)


def test_swapping_the_models_turns_the_interval_round():
    difference, low, high = newcombe(16, 6, both_right=59, both_wrong=80)
    other, below, above = newcombe(6, 16, both_right=59, both_wrong=80)

    assert (other, below, above) == pytest.approx((-difference, -high, -low))


def test_two_perfect_models_may_still_differ():
    difference, low, high = newcombe(0, 0, both_right=20, both_wrong=0)

    assert difference == 0
    assert low == pytest.approx(-high)
    assert high > 0.1


def test_a_paired_interval_needs_rows():
    with pytest.raises(ShapeError, match="at least one row"):
        newcombe(0, 0, 0, 0)


@pytest.mark.parametrize(("wins", "losses"), [(5, 1), (1, 5), (3, 3), (40, 21), (300, 251)])
def test_mcnemar_is_the_binomial_test_of_wins_against_losses(wins, losses):
    assert mcnemar(wins, losses) == pytest.approx(binomtest(wins, wins + losses).pvalue)


def test_mcnemar_by_hand():
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(0, 0) == 1.0


@pytest.mark.parametrize(
    ("gain", "rows"), [(0.01, 4708), (0.02, 1568), (0.03, 870), (0.05, 375), (0.10, 139)]
)
def test_the_rows_needed_are_those_of_the_table(gain, rows):
    # lifecycle.md section 4; its own shares of differing rows are matched to within 0.004
    assert rows_needed(gain) == pytest.approx(rows, rel=0.05)
    assert smallest_gain(rows) == pytest.approx(gain, rel=0.03)


def test_a_simulated_gain_of_the_smallest_size_is_found_in_four_of_five():
    rng = np.random.default_rng(0)
    gain = smallest_gain(500, discordant=0.12)
    odds = [(0.12 + gain) / 2, (0.12 - gain) / 2, 0.88]

    found = [mcnemar(wins, losses) < 0.05 for wins, losses, _ in rng.multinomial(500, odds, 4000)]

    # The exact test is a little shy of the formula, which is that of the plain one.
    assert 0.72 < np.mean(found) < 0.82


def test_with_a_handful_of_rows_only_an_enormous_gain_would_show():
    assert smallest_gain(2) == 1.0
    assert 0.3 < smallest_gain(20, discordant=0.01) < 0.4


def test_the_loss_of_the_other_model_by_hand():
    best = np.array([True, True, True, False])
    other = np.array([True, False, False, True])

    loss, error = paired_loss(best, other)

    # differences 0, 1, 1, -1: mean 1/4, sum of squares about it 11/4, variance 11/12
    assert loss == pytest.approx(0.25)
    assert error == pytest.approx((11 / 12 / 4) ** 0.5)


def test_of_rows_that_hang_together_the_standard_error_by_hand():
    best = np.array([True, True, True, False])
    other = np.array([True, False, False, True])

    loss, error = paired_loss(best, other, np.array([0, 1, 1, 2]))

    # sums about the mean of 0, then 1 and 1, then -1: -1/4, 3/2, -5/4; squared, 31/8; of 3 groups
    assert loss == pytest.approx(0.25)
    assert error == pytest.approx((31 / 8 * 3 / 2) ** 0.5 / 4)


def test_groups_that_differ_less_than_rows_make_nothing_surer():
    best, other = np.array([True, False, True, False]), np.array([False, True, False, True])

    assert paired_loss(best, other, np.array([0, 0, 1, 1])) == paired_loss(best, other)
    assert paired_loss(best, other, np.zeros(4, dtype=int)) == paired_loss(best, other)


def test_models_that_agree_lose_nothing():
    right = np.array([True, False, True])

    assert paired_loss(right, right) == (0.0, 0.0)


def test_resampling_gives_the_standard_error_of_accuracy():
    rng = np.random.default_rng(0)
    targets = rng.integers(4, size=500)
    best = np.where(rng.random(500) < 0.9, targets, 0)
    other = np.where(rng.random(500) < 0.8, targets, 1)

    loss, error = paired_score_loss(accuracy_of, targets, best, other, rng=rng)

    plain = paired_loss(best == targets, other == targets)
    assert loss == pytest.approx(plain[0])
    assert error == pytest.approx(plain[1], rel=0.06)


def test_the_paired_interval_of_macro_f1_is_that_of_resampled_rows():
    rng = np.random.default_rng(0)
    targets = rng.integers(6, size=300)
    first = np.where(rng.random(300) < 0.75, targets, 2)
    second = np.where(rng.random(300) < 0.85, targets, 3)

    difference, low, high = paired_interval(macro_f1_of, targets, first, second, rng=rng)

    drawn = rng.integers(300, size=(2000, 300))
    gains = [macro_f1(targets[r], second[r]) - macro_f1(targets[r], first[r]) for r in drawn]
    assert difference == pytest.approx(macro_f1(targets, second) - macro_f1(targets, first))
    assert (low, high) == pytest.approx(np.quantile(gains, [0.025, 0.975]), abs=0.008)


def test_predictions_of_other_rows_are_refused():
    with pytest.raises(ShapeError, match="same rows"):
        paired_interval(
            accuracy_of,
            np.array([0, 1]),
            np.array([0]),
            np.array([0, 1]),
            rng=np.random.default_rng(0),
        )


def test_how_many_more_rows_would_tell():
    # 30 won and 20 lost of 500, a gain of 0.02 with 0.1 discordant. By hand, after Connor:
    # (1.95996 * 0.316228 + 0.841621 * 0.315595) ** 2 / 0.0004 = 1959.9.
    assert more_rows_to_tell(30, 20, 500) == 1960 - 500
    assert more_rows_to_tell(20, 30, 500) == 1460
    assert more_rows_to_tell(200, 20, 500) == 0
    assert more_rows_to_tell(20, 20, 500) is None
