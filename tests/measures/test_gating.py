"""Gating: every number worked out by hand, or against the definition written out plainly."""

import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures import gating
from fettle.measures.intervals import wilson
from fettle.measures.paired import newcombe


def right(rows, *wrong):
    """bool (rows,): all right but these."""
    found = np.ones(rows, dtype=bool)
    found[list(wrong)] = False
    return found


def rng():
    return np.random.default_rng(0)


def test_the_change_of_accuracy_has_one_sided_bounds_of_95_percent():
    first, second = right(100, 0, 1, 2), right(100, 2, 3, 4, 5)
    assert gating.accuracy_change(first, second) == newcombe(2, 3, 94, 1, level=0.90)
    assert gating.accuracy_change(first, second)[0] == pytest.approx(-0.01)


def test_flips_are_what_was_right_and_is_wrong():
    assert gating.flip_rate(right(50, 0, 1), right(50, 1, 2, 3)) == (
        0.04, *wilson(2, 50, 0.90)
    )


def test_models_that_err_often_may_flip_more_rows():
    """Right on 60 and 60 of 100: unrelated errors flip 0.6 * 0.4, and a third of that is 8%."""
    first, second = right(100, *range(40)), right(100, *range(30, 70))
    allowed = gating.flips_allowed(first, second, least=0.03, share=1 / 3)
    assert allowed == pytest.approx(0.08)
    sure = right(100, 0)  # 0.99 * 0.01 / 3 is less than the least
    assert gating.flips_allowed(sure, sure, least=0.03, share=1 / 3) == 0.03


def test_a_gain_that_is_shown_pays_for_flips():
    first, second = right(1000, *range(200)), right(1000, *range(900, 950))
    _, shown, _ = gating.accuracy_change(first, second)
    allowed = gating.flips_allowed(first, second, least=0.03, share=1 / 3)
    assert shown > 0.1
    assert allowed == pytest.approx(0.03 + shown)  # 0.8 * 0.05 / 3 is less than the least
    back = gating.flips_allowed(second, first, least=0.03, share=0)
    assert back == 0.03, "a loss takes nothing away"


def test_the_error_of_calibration_is_the_papers():
    """Two bins: 0.95 right 8 of 10 (gap 0.15), 0.55 right 6 of 10 (gap 0.05): (1.5 + 0.5) / 20."""
    confidence = np.repeat([0.95, 0.55], 10)
    hits = np.r_[right(10, 0, 1), right(10, 0, 1, 2, 3)]
    true = np.where(hits, 1.0, 0.0).reshape(2, 10).mean(axis=1).repeat(10)
    change, low, high = gating.calibration_change((confidence, hits), (true, hits), rng=rng())
    assert change == pytest.approx(-0.10)
    assert low <= change <= high


def test_a_change_of_calibration_is_paired():
    """Twice the same model has no change, and an interval without width."""
    confidence = rng().uniform(0.4, 1, 200)
    hits = rng().random(200) < confidence
    assert gating.calibration_change((confidence, hits), (confidence, hits), rng=rng()) == (0, 0, 0)


def test_a_part_is_harmed_when_it_lost_much_and_not_by_chance():
    """15 lost of 100 and none won: p = 2^-15. Two lost of 60: p = 1/4, and -3.3 points."""
    first = right(200)
    second = right(200, *range(15), 150, 151)
    parts = [("a", np.arange(200) < 100), ("b", np.arange(200) >= 140)]
    lost, worst = gating.harmed(parts, first, second, fewest=50, most_lost=0.03)
    assert (lost, worst) == (["a"], ("a", -0.15, 100))
    lost, worst = gating.harmed(parts[1:], first, second, fewest=50, most_lost=0.03)
    assert (lost, worst) == ([], ("b", pytest.approx(-2 / 60), 60))


def test_many_parts_are_judged_more_strictly():
    """5 lost of 50: p = 1/32 alone, and not among ten parts."""
    first, second = right(500), right(500, *range(5))
    parts = [(str(at), np.arange(500) // 50 == at) for at in range(10)]
    assert gating.harmed(parts[:1], first, second, fewest=50, most_lost=0.03)[0] == ["0"]
    assert gating.harmed(parts, first, second, fewest=50, most_lost=0.03)[0] == []


def test_a_loss_that_is_shown_but_small_harms_nobody():
    first, second = right(1000), right(1000, *range(20))  # 2 points of 1,000 rows
    whole = [("all", right(1000))]
    assert gating.harmed(whole, first, second, fewest=50, most_lost=0.03)[0] == []


def test_small_parts_are_not_judged():
    parts = [("few", np.arange(100) < 49)]
    assert gating.harmed(parts, right(100), right(100, *range(40)), fewest=50, most_lost=0.03) == (
        [], None
    )


def test_twice_as_slow_is_a_ratio_of_two():
    first = np.linspace(1, 2, 100)
    value, low, high = gating.latency_ratio(first, 2 * first, rng=rng())
    assert value == pytest.approx(2)
    assert low == pytest.approx(2, abs=0.2)
    assert low <= value <= high


def test_fewer_rows_are_missing_where_more_are_there_and_where_the_change_is_larger():
    first, second = right(500, *range(30)), right(500, *range(15, 45))
    few = gating.more_rows(first, second, margin=0.01, change=0.0)
    assert 3000 < few < 5000  # (1.645 + 0.842)^2 * 0.06 / 0.01^2 = 3,700 in all
    assert gating.more_rows(first, second, margin=0.01, change=0.02) < few / 3
    assert gating.more_rows(first, second, margin=0.01, change=-0.02) == few
    assert gating.more_rows(right(9), right(9), margin=0.01, change=0.0) > 100


def test_rows_must_be_the_same():
    for ask in (gating.accuracy_change, gating.flip_rate):
        with pytest.raises(ShapeError):
            ask(right(3), right(4))
        with pytest.raises(ShapeError):
            ask(right(0), right(0))


def test_macro_f1_is_compared_on_the_same_resamples():
    targets = np.array([0, 0, 0, 1, 1, 2] * 20)
    first = np.where(np.arange(120) % 7 == 0, 0, targets)
    change, low, high = gating.macro_f1_change(targets, first, targets, rng=rng())
    assert low <= change <= high
    assert change > 0
    assert gating.macro_f1_change(targets, first, first, rng=rng()) == (0, 0, 0)
