"""Whatever is said of rows that hang together counts them whole: against copies, and by hand."""

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from fettle.measures import calibration, gating, intervals, judging, label_judging, regression
from fettle.measures.groups import drawing, few_groups, reach
from fettle.measures.label_intervals import paired_difference, tally_interval
from fettle.measures.label_sets import SCORES
from fettle.measures.learning_curve import curve
from fettle.measures.selective import abstention, threshold_for
from fettle.measures.slices import judged

RNG = np.random.default_rng
COPIES = 9


def copied(*values):
    """Each row nine times, and which of them are copies of one."""
    rows = len(values[0])
    return *(np.repeat(one, COPIES, axis=0) for one in values), np.repeat(np.arange(rows), COPIES)


def width(score):
    return score.high - score.low


def outputs_with(confidence):
    """Two classes, the first said with this probability."""
    margin = np.log(np.asarray(confidence) / (1 - np.asarray(confidence)))
    return np.stack([margin, np.zeros_like(margin)], axis=1)


def right_at(rows, *where):
    found = np.zeros(rows, dtype=bool)
    found[list(where)] = True
    return found


def test_a_draw_holds_whole_groups_and_numbers_them_anew():
    groups = np.array([2, 0, 1, 1, 2, 2])
    draw = drawing(6, groups, RNG(0))
    seen = set()
    for _ in range(50):
        rows, of = draw()
        parts = [tuple(rows[of == one].tolist()) for one in range(3)]
        assert set(parts) <= {(1,), (2, 3), (0, 4, 5)}
        assert sum(map(len, parts)) == len(rows)
        seen.update(parts)
    assert len(seen) == 3
    rows, of = drawing(6, None, RNG(0))()
    assert (len(rows), of) == (6, None)


def test_few_groups_reach_as_far_as_students_t():
    assert reach(5, 0.95) == pytest.approx(2.7764 * math.sqrt(5 / 4), abs=1e-3)
    assert reach(2, 0.95) == pytest.approx(12.706 * math.sqrt(2), abs=1e-2)
    assert 1.96 < reach(5000, 0.95) < 1.97


def test_of_fewer_than_ten_groups_a_reader_is_told_in_words():
    assert few_groups(None) == few_groups(10) == ()
    (one,), (nine,) = few_groups(1), few_groups(9)
    assert "no interval can be trusted" in one
    assert "no interval can be trusted" in nine
    assert "9 groups" in nine


@pytest.mark.parametrize("customers", [3, 5])
def test_of_three_and_five_groups_the_interval_of_macro_f1_holds_the_truth(customers):
    """Customers of 40 rows, whose rows come right in 55 to 95% of cases: macro F1 is 75%.

    Percentiles alone, which cannot reach beyond the best and the worst customer, hold it less.
    """
    rng, of = RNG(customers), np.repeat(np.arange(customers), 40)
    score = [judging.MACRO["macro_f1"]]
    held = percentile = 0
    for _ in range(150):
        right = rng.random(len(of)) < np.repeat(rng.uniform(0.55, 0.95, customers), 40)
        targets = rng.integers(2, size=len(of))
        said = np.where(right, targets, 1 - targets)
        ((low, high),) = intervals.grouped_intervals(score, targets, said, 2, of, rng=rng)
        held += low <= 0.75 <= high
        each = np.array([right[of == one].mean() for one in range(customers)])
        drawn = each[rng.integers(customers, size=(500, customers))].mean(axis=1)
        low, high = intervals.percentiles(drawn)
        percentile += low <= 0.75 <= high
    assert held / 150 > 0.91
    assert percentile / 150 < 0.89


def test_the_mean_of_two_groups_has_students_interval_by_hand():
    """Groups with means 0.2 and 0.6: 0.4 and 12.706 * 0.2 to each side; none below 0."""
    values, of = np.repeat([0.2, 0.6], 50), np.repeat([0, 1], 50)
    low, high = intervals.mean_interval(values, rng=RNG(0), groups=of)
    assert low == 0.0
    assert high == pytest.approx(0.4 + 12.706 * 0.2, rel=0.03)
    low, _ = intervals.mean_interval(values - 0.3, rng=RNG(0), groups=of)
    assert low == pytest.approx(0.1 - 12.706 * 0.2, rel=0.03)
    assert intervals.mean_interval(values, rng=RNG(0), groups=0 * of) == (0.0, 0.6)


def test_the_interval_of_the_temperature_by_hand():
    """Margins of log 9, 8 of 10 right: T = log 9 / log 4, and each row has an information on log T
    of (log 4)^2 * 0.8 * 0.2; nine copies of a row have that of one."""
    outputs, targets = outputs_with(np.full(1000, 0.9)), (np.arange(1000) % 10 >= 8).astype(int)
    heat = calibration.temperature(outputs, targets)
    error = 1 / (math.log(4) * math.sqrt(0.16 * 1000))
    low, high = calibration.temperature_interval(outputs, targets, heat)
    assert math.log(high / low) == pytest.approx(2 * 1.962 * error, rel=0.01)
    assert low < math.log(9) / math.log(4) < high
    outputs, targets, groups = copied(outputs[:40], targets[:40])
    whole = calibration.temperature_interval(outputs, targets, heat, groups=groups)
    alone = calibration.temperature_interval(outputs, targets, heat)
    times = 3 * math.sqrt(40 / 39) * stdtrit(39, 0.975) / stdtrit(359, 0.975)
    assert math.log(whole[1] / whole[0]) / math.log(alone[1] / alone[0]) == pytest.approx(
        times, rel=0.01)
    assert calibration.temperature_interval(outputs, targets, heat, groups=0 * groups) == (
        pytest.approx(math.exp(-3)), pytest.approx(math.exp(3)))


def test_copies_make_no_probability_surer():
    rng = RNG(0)
    confidence = rng.uniform(0.55, 0.98, size=100)
    targets = (rng.random(100) > confidence).astype(int)
    outputs, targets, groups = copied(outputs_with(confidence), targets)
    alone, whole = (
        calibration.reliability(outputs, targets, rng=RNG(0), groups=of) for of in (None, groups))
    for name in ("nll", "brier", "error"):
        assert width(getattr(whole, name)) > 1.5 * width(getattr(alone, name)), name
    assert whole.error.value < alone.error.value, "copies add chance, and it is taken off"
    assert whole.ece == alone.ece
    assert whole.ece_by_chance > 1.5 * alone.ece_by_chance
    assert all(one.low <= other.low and one.high >= other.high
               for one, other in zip(whole.bins, alone.bins, strict=True))


def test_a_true_probability_is_not_doubted_because_rows_come_out_alike():
    rng, groups = RNG(4), np.repeat(np.arange(60), 6)
    doubted = {"rows": 0, "groups": 0}
    for _ in range(12):
        confidence = np.repeat(rng.uniform(0.6, 0.95, size=60), 6)
        right = np.repeat(rng.random(60), 6) < confidence  # as often as it says, all six or none
        for name, of in (("rows", None), ("groups", groups)):
            bins, by_chance = calibration.reliability_bins(confidence, right, rng=rng, groups=of)
            ece = sum(one.rows * abs(one.confidence - one.accuracy) for one in bins) / len(right)
            doubted[name] += ece > by_chance
    assert doubted["rows"] >= 10
    assert doubted["groups"] <= 3


def test_where_each_row_is_a_group_what_chance_adds_is_as_without_groups():
    rng = RNG(5)
    confidence = rng.uniform(0.5, 1, size=300)
    right = rng.random(300) < confidence - 0.1
    assert calibration.debiased_error(confidence, right, np.arange(300)) == pytest.approx(
        calibration.debiased_error(confidence, right))


def test_copies_find_no_threshold_and_make_no_coverage_surer():
    sure, right, groups = copied(np.linspace(0.5, 0.99, 60), ~right_at(60, 10, 25, 40, 55))
    assert threshold_for(0.90, sure, right) is not None
    found = [abstention(sure, right, (sure, right), rng=RNG(0), groups=of, among=of)
             for of in (None, groups)]
    assert found[0].thresholds[0].threshold is not None
    assert found[1].thresholds[0].threshold is None, "56 of 60 do not show 90%"
    assert found[1].area.value == found[0].area.value
    assert width(found[1].area) > 2 * width(found[0].area)
    for one, other in zip(found[1].curve, found[0].curve, strict=True):
        assert (one.share, one.accuracy.value) == (other.share, other.accuracy.value)
        assert width(one.accuracy) > 1.5 * width(other.accuracy)
    assert threshold_for(0.5, np.full(40, 0.99), np.ones(40, dtype=bool)) == 0.99
    assert threshold_for(0.5, np.full(40, 0.99), np.ones(40, dtype=bool), worth=0.4) is None
    alone = abstention(sure, right, (sure, right), rng=RNG(0), groups=0 * groups)
    assert (alone.area.low, alone.area.high) == (0.0, 1.0)


def test_copied_test_rows_make_no_curve_of_learning_surer():
    rng, sizes = RNG(6), np.array([100, 200, 400, 800, 1600])
    errors = 0.05 + 2.0 * sizes ** -0.5
    hard = rng.uniform(size=250)
    values = np.stack([np.stack([hard > error] * 3) for error in errors])
    rows, groups = np.repeat(values, COPIES, axis=2), np.repeat(np.arange(250), COPIES)
    alone, whole = (curve(rows, sizes, rows=1600, rng=RNG(0), groups=of) for of in (None, groups))
    for one, other in zip(whole.points, alone.points, strict=True):
        assert one.score.value == other.score.value
        assert width(one.score) > 2 * width(other.score)
    assert "Groups were taken whole" in whole.why
    assert "Groups" not in alone.why
    told = curve(rows, sizes, rows=1600, rng=RNG(0), groups=0 * groups)
    assert (told.fit, told.forecasts) == (None, ())
    assert "one group" in told.why


def test_one_customer_who_is_won_is_not_a_better_model():
    """Thirty rows won, all of one of forty customers of thirty rows."""
    groups = np.repeat(np.arange(40), 30)
    first, second = ~right_at(1200, *range(30)), ~right_at(1200)
    assert gating.accuracy_change(first, second)[1] > 0
    value, low, _ = gating.accuracy_change(first, second, groups)
    assert (value, low < 0) == (0.025, True)
    targets = np.arange(1200) % 2
    said = np.where(first, targets, 1 - targets)
    assert gating.macro_f1_change(targets, said, targets, rng=RNG(0))[1] > 0
    assert gating.macro_f1_change(targets, said, targets, rng=RNG(0), groups=groups)[1] <= 0
    assert gating.more_rows(first, second, margin=0.01, change=0.0, groups=groups) > 5 * (
        gating.more_rows(first, second, margin=0.01, change=0.0))


def test_one_customer_who_is_lost_is_no_harm_and_no_flip_that_is_shown():
    groups = np.repeat(np.arange(40), 30)
    first, second = ~right_at(1200), ~right_at(1200, *range(30))
    part = [("all", ~right_at(1200))]
    asked = {"fewest": 50, "most_lost": 0.01}
    assert gating.harmed(part, first, second, **asked)[0] == ["all"]
    assert gating.harmed(part, first, second, **asked, groups=groups)[0] == []
    assert gating.flip_rate(first, second)[1] > 0.015
    assert gating.flip_rate(first, second, groups)[1] < 0.01


def test_ten_customers_who_are_lost_are_harm():
    groups = np.repeat(np.arange(40), 30)
    second = ~right_at(1200, *range(0, 300, 5))
    lost, _ = gating.harmed([("all", ~right_at(1200))], ~right_at(1200), second, fewest=50,
                            most_lost=0.03, groups=groups)
    assert lost == ["all"]


def test_calibration_of_one_group_cannot_be_told():
    hits, one = np.arange(100) >= 25, np.zeros(100, dtype=int)
    sure, unsure = np.full(100, 0.99), np.full(100, 0.75)
    change, low, high = gating.calibration_change((unsure, hits), (sure, hits), rng=RNG(0))
    assert low > 0.02
    assert gating.calibration_change((unsure, hits), (sure, hits), rng=RNG(0), groups=one) == (
        change, -1.0, 1.0)
    groups = np.arange(100) // 25
    _, wide, far = gating.calibration_change(
        (unsure, hits), (sure, hits), rng=RNG(0), groups=groups)
    assert wide <= low
    assert far >= high


def test_how_small_a_gain_shows_hangs_on_the_groups():
    rng = RNG(7)
    first, second, groups = copied(rng.random(100) < 0.8, rng.random(100) < 0.8)
    ask = judging.RIGHT.smallest_gain
    assert ask(first, second, groups) > 2 * ask(first, second)
    assert ask(first, second, np.arange(900)) == ask(first, second)
    more, alone = (judging.RIGHT.rows_to_tell(first, second, of) for of in (groups, None))
    assert more > alone


def test_a_slice_that_one_customer_makes_worse_is_not_called_worse():
    """120 rows of four customers of whom one goes wrong, against sixteen who go well."""
    groups = np.repeat(np.arange(20), 30)
    right = ~right_at(600, *range(20))
    part = np.arange(600) < 120
    (alone,), (whole,) = (judged([("country", "x", part)], right, None, groups=of)
                          for of in (None, groups))
    assert alone.p_worse < 0.001
    assert whole.p_worse > 0.05
    (one,) = judged([("customer", "0", np.arange(600) < 60)], right, None, groups=groups // 2)
    assert one.p_worse == 1.0, "one customer says nothing of others like him"


def test_a_slice_whose_customers_all_go_worse_is_called_worse():
    groups = np.repeat(np.arange(40), 30)
    right = RNG(8).random(1200) < np.where(np.arange(1200) < 600, 0.5, 0.9)
    (found,) = judged([("country", "x", np.arange(1200) < 600)], right, None, groups=groups)
    assert found.p_worse < 1e-6


def test_numbers_of_copies_are_as_unsure_as_the_rows():
    rng = RNG(9)
    truth = rng.normal(size=60)
    said, other = truth + rng.normal(0, 0.5, 60), truth + rng.normal(0, 0.6, 60)
    truth, said, other, groups = copied(truth, said, other)
    for name in regression.SCORES:
        alone, whole = (regression.score(name, truth, said, groups=of) for of in (None, groups))
        assert whole.value == alone.value
        assert width(whole) > 2 * width(alone), name
    errors = np.abs(other - truth), np.abs(said - truth)
    alone, whole = (regression.compare("a", "b", *errors, of) for of in (None, groups))
    assert (alone.groups, whole.groups) == (None, 60)
    assert whole.p > alone.p
    assert whole.high - whole.low > 2 * (alone.high - alone.low)
    assert regression.ERRORS.smallest_gain(*errors, groups) > 2 * (
        regression.ERRORS.smallest_gain(*errors))
    one = regression.compare("a", "b", errors[0] + 1, errors[1], 0 * groups)
    assert one.verdict == "cannot tell"
    assert gating.error_change(*errors, rng=RNG(0), groups=groups)[1] < gating.error_change(
        *errors, rng=RNG(0))[1]


def test_several_labels_of_copies_are_as_unsure_as_the_rows():
    rng = RNG(10)
    truth = rng.random((60, 3)) < 0.4
    first, second = (np.where(rng.random((60, 3)) < wrong, ~truth, truth) for wrong in (0.3, 0.2))
    truth, first, second, groups = copied(truth, first, second)
    calls = label_judging.calls(second, second * 0.8 + 0.1)
    alone, whole = (
        label_judging.scores(calls, truth, rng=RNG(0), groups=of) for of in (None, groups))
    for one, other in zip(whole, alone, strict=True):
        assert one.value == other.value
        assert width(one) > 2 * width(other), one.name
    for one, other in zip(*(label_judging.label_scores(truth, second, "abc", rng=RNG(0), groups=of)
                            for of in (groups, None)), strict=True):
        assert width(one.f1) > 2 * width(other.f1)
        assert width(one.recall) > 1.5 * width(other.recall)
    values = [label_judging.values(label_judging.calls(one), truth) for one in (first, second)]
    made = label_judging.compare("a", "b", *values, groups)
    assert made.groups == 60
    assert made.p > label_judging.compare("a", "b", *values).p
    changes = [paired_difference(SCORES["macro_f1"], truth, first, second, rng=RNG(0), groups=of)
               for of in (groups, None)]
    assert changes[0][0] == pytest.approx(changes[1][0])
    assert changes[0][2] - changes[0][1] > 2 * (changes[1][2] - changes[1][1])
    one_group = paired_difference(SCORES["macro_f1"], truth, first, second, rng=RNG(0),
                                  groups=0 * groups)
    assert one_group[1:3] == (-1.0, 1.0)
    assert tally_interval(SCORES["macro_f1"], truth, second, rng=RNG(0), groups=0 * groups) == (
        0.0, 1.0)
