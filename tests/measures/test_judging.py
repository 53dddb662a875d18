import numpy as np
import pytest

from fettle.core.score import Score
from fettle.measures import judging

TARGETS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 1, 0])
RIGHT = TARGETS == PREDICTED


def rng():
    return np.random.default_rng(0)


def test_scores_by_hand():
    found = {one.name: one for one in judging.scores(TARGETS, PREDICTED, 3, rng=rng())}
    # precision 2/3, 2/3, 0; recall 2/3, 1, 0; F1 2/3, 4/5, 0
    assert {name: one.value for name, one in found.items()} == pytest.approx({
        "accuracy": 4 / 6,
        "macro_precision": 4 / 9,
        "macro_recall": 5 / 9,
        "macro_f1": (2 / 3 + 4 / 5) / 3,
    })
    assert all(one.low < one.value < one.high and one.rows == 6 for one in found.values())
    # Wilson's interval of 4 of 6 at 95%
    accuracy = found["accuracy"]
    assert (accuracy.low, accuracy.high) == pytest.approx((0.3000, 0.9032), abs=1e-3)


def test_the_same_generator_gives_the_same_intervals():
    first, second = (judging.scores(TARGETS, PREDICTED, 3, rng=rng()) for _ in range(2))
    assert first == second


def test_a_comparison_counts_the_rows_that_only_one_gets_right():
    first = np.array([True] * 5 + [False] * 5)
    second = np.array([True] * 4 + [False] + [True] * 3 + [False] * 2)
    found = judging.compare("before", "after", first, second)
    assert (found.first, found.second) == ("before", "after")
    assert (found.metric, found.rows) == ("accuracy", 10)
    assert (found.wins, found.losses) == (3, 1)
    assert found.difference == pytest.approx(0.2)
    assert found.low < 0 < found.high
    assert found.p == pytest.approx(0.625)  # 2 * (1 + 4) / 2**4
    assert found.verdict == "cannot tell"
    other = judging.compare("after", "before", second, first)
    assert (other.wins, other.losses) == (1, 3)
    assert (other.difference, other.low, other.high) == pytest.approx(
        (-found.difference, -found.high, -found.low)
    )


def test_better_means_that_the_interval_leaves_out_zero():
    nothing, everything = np.zeros(40, bool), np.ones(40, bool)
    assert judging.compare("a", "b", nothing, everything).verdict == "better"
    assert judging.compare("a", "b", everything, nothing).verdict == "worse"
    same = judging.compare("a", "b", everything, everything)
    assert (same.verdict, same.difference, same.p) == ("cannot tell", 0.0, 1.0)


def test_every_class_has_its_scores_with_their_rows():
    found = judging.class_scores(TARGETS, PREDICTED, ("ant", "bee", "cow"), rng=rng())
    assert [(one.label, one.rows) for one in found] == [("ant", 3), ("bee", 2), ("cow", 1)]
    assert [(one.precision.value, one.precision.rows) for one in found] == [
        (pytest.approx(2 / 3), 3), (pytest.approx(2 / 3), 3), (0.0, 0)
    ]  # fmt: skip
    assert [(one.recall.value, one.recall.rows) for one in found] == [
        (pytest.approx(2 / 3), 3), (1.0, 2), (0.0, 1)
    ]  # fmt: skip
    assert [one.f1.value for one in found] == pytest.approx([2 / 3, 4 / 5, 0])
    assert (found[2].precision.low, found[2].precision.high) == (0.0, 1.0)  # nothing is known
    for one in found:
        for score in (one.precision, one.recall, one.f1):
            assert 0 <= score.low <= score.value <= score.high <= 1


def test_a_line_is_a_true_class_and_a_column_a_predicted_one():
    assert judging.confusion_table(TARGETS, PREDICTED, ("a", "b", "c", "d")) == (
        (2, 1, 0, 0), (0, 2, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0)
    )  # fmt: skip


def test_the_second_look_costs_what_the_better_of_two_equal_models_seems_better_by():
    """Of two standard normal numbers the larger is 0.564 on average, of ten 1.539 (Blom: 0.589 and
    1.547); an interval of 0.0392 is 0.01 of standard error."""
    score = Score("accuracy", 0.9, 0.8804, 0.9196, 900)
    assert judging.looks(1, score) == ()
    (two,), (ten,) = judging.looks(2, score), judging.looks(10, score)
    assert "looked at 2 times" in two
    assert "by up to about 0.006 (accuracy)" in two
    assert "by up to about 0.015 (accuracy)" in ten
    tiny = Score("mae", 2e-6, 1e-6, 3e-6, 900)
    assert "3.007e-07 (mae)" in judging.looks(2, tiny)[0]
