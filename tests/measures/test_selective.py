import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures.selective import abstention, area, best_area, coverage, threshold_for

# Four rows, the surest first: right, right, wrong, right.
CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6])
RIGHT = np.array([True, True, False, True])


def test_coverage_by_hand():
    at, answered, hits = coverage(CONFIDENCE[::-1], RIGHT[::-1])
    assert at.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert answered.tolist() == [1, 2, 3, 4]
    assert hits.tolist() == [1, 2, 2, 3]


def test_the_area_is_the_mean_risk_over_all_coverages():
    assert area(CONFIDENCE, RIGHT) == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)  # by hand
    assert best_area(RIGHT) == pytest.approx((0 + 0 + 0 + 1 / 4) / 4)


def test_the_order_of_equally_sure_rows_does_not_matter():
    confidence, right = np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, False])
    areas = {round(area(confidence[order], right[order]), 12)
             for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1])}
    assert len(areas) == 1
    # Hits within the tie come at a rate of a third a row: risks 0, (2 - 4/3)/2, (3 - 5/3)/3, 1/2.
    assert areas.pop() == pytest.approx((0 + 1 / 3 + 4 / 9 + 1 / 2) / 4)
    assert coverage(confidence, right)[1].tolist() == [1, 4]


def test_a_sure_model_has_a_smaller_area_than_one_whose_confidence_says_nothing():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(size=4000)
    right = rng.random(4000) < confidence
    assert area(confidence, right) < area(rng.permutation(confidence), right) - 0.1
    assert area(confidence, right) >= best_area(right)


def test_a_threshold_keeps_its_promise_on_other_rows_nine_times_in_ten():
    rng = np.random.default_rng(1)
    kept = []
    for _ in range(200):
        confidence = rng.uniform(0.5, 1, size=600)
        threshold = threshold_for(0.9, confidence, rng.random(600) < confidence)
        # The true accuracy above a threshold; none given is no promise broken.
        kept.append(threshold is None or (threshold + 1) / 2 >= 0.9)
    assert 0.8 <= np.mean(kept) < 1


def test_without_enough_sure_rows_there_is_no_threshold():
    assert threshold_for(0.9, np.full(10, 0.99), np.ones(10, dtype=bool)) is None
    assert threshold_for(0.99, np.full(40, 0.99), np.arange(40) < 38) is None
    assert threshold_for(0.5, np.full(40, 0.99), np.arange(40) < 38) == 0.99


def test_thresholds_are_chosen_on_validation_rows_and_judged_on_test_rows():
    sure = np.repeat([0.95, 0.6], [300, 100])
    validation = sure, np.concatenate([np.ones(300), np.arange(100) < 50]).astype(bool)
    right = np.concatenate([np.arange(300) < 270, np.arange(100) < 50])  # the test is harder

    found = abstention(sure, right, validation, rng=np.random.default_rng(0))

    ninety_five = found.thresholds[1]
    assert (ninety_five.wanted, ninety_five.threshold) == (0.95, 0.95)
    assert ninety_five.share.value == 0.75
    assert (ninety_five.accuracy.value, ninety_five.accuracy.rows) == (0.9, 300)
    assert ninety_five.accuracy.high < 0.95
    assert found.curve[-1].share == 1
    assert found.curve[-1].accuracy.value == 0.8
    assert found.area.low <= found.area.value <= found.area.high


def test_rows_must_fit():
    with pytest.raises(ShapeError):
        abstention(np.zeros(2), np.zeros(3, dtype=bool), (CONFIDENCE, RIGHT),
                   rng=np.random.default_rng(0))
