import numpy as np
import pytest

from fettle.measures.learning_curve import curve, fit_power_law, predicted

SIZES = np.array([100, 200, 400, 800, 1600])


def answers(errors, *, rows=2000, subsets=3, seed=0, own=0.0):
    """Right or wrong, of heads that share which rows are hard."""
    rng = np.random.default_rng(seed)
    hardness = rng.uniform(size=rows)
    return np.stack([
        np.stack([np.clip(hardness + rng.normal(0, own, rows), 0, 1) > error
                  for _ in range(subsets)])
        for error in errors
    ])


def law(sizes, a=0.05, b=2.0, c=0.5):
    return a + b * np.asarray(sizes, dtype=float) ** -c


def test_a_power_law_is_found_again():
    (found,) = fit_power_law(SIZES, law(SIZES)[None], np.ones(5))
    assert found == pytest.approx((0.05, 2.0, 0.5), abs=1e-6)
    assert predicted(found[None], 3200) == pytest.approx(law(3200))


def test_an_error_cannot_fall_below_zero():
    errors = law(SIZES, a=-0.02, b=2.0, c=0.5)
    (found,) = fit_power_law(SIZES, errors[None], np.ones(5))
    assert found[0] == 0
    assert found[1] > 0


def test_a_falling_curve_gives_forecasts_with_intervals_that_hold_the_truth():
    found = curve(answers(law(SIZES), own=0.01), SIZES, rows=1600, rng=np.random.default_rng(0))

    assert found.fit is not None
    assert [one.more_rows for one in found.forecasts] == [400, 1600, 4800]
    for one in found.forecasts:
        truth = law(1600) - law(1600 + one.more_rows)
        assert one.low <= one.gain <= one.high
        assert one.low - 0.004 <= truth <= one.high + 0.004
    assert [point.rows for point in found.points] == SIZES.tolist()
    assert found.points[0].score.value == pytest.approx(1 - law(100), abs=0.02)


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        ([0.3, 0.2, 0.28, 0.2, 0.15], "rises by more than chance"),
        ([0.2] * 5, "does not fall by more than chance"),
        ([0.40, 0.395, 0.39, 0.385, 0.10], "no power law"),
    ],
)
def test_an_ill_behaved_curve_gives_no_forecast_and_says_why(errors, why):
    found = curve(answers(errors, own=0.02), SIZES, rows=1600, rng=np.random.default_rng(0))
    assert found.fit is None
    assert found.forecasts == ()
    assert found.why.startswith("No reliable fit")
    assert why in found.why
    assert len(found.points) == 5


def test_three_sizes_are_too_few():
    found = curve(answers(law(SIZES[:3])), SIZES[:3], rows=400, rng=np.random.default_rng(0))
    assert "too few rows" in found.why


def test_no_forecast_reaches_beyond_four_times_what_was_seen():
    found = curve(answers(law(SIZES), own=0.01), SIZES, rows=5000, rng=np.random.default_rng(0))
    assert [one.more_rows for one in found.forecasts] == [400]
