import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)

from fettle.core.errors import ShapeError
from fettle.measures import classification as ours

TARGETS = np.array([0, 0, 0, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, 1, 0, 3])


def random_rows(seed, classes=7, rows=200):
    rng = np.random.default_rng(seed)
    return rng.integers(classes, size=rows), rng.integers(1, classes + 2, size=rows)


def test_a_line_of_the_confusion_is_a_true_class_and_a_column_a_predicted_one():
    counts = ours.confusion(TARGETS, PREDICTIONS, 4)

    assert counts.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_macro_f1_by_hand_counts_a_class_that_is_only_predicted():
    # f1: class 0 is 2*2/(3+3), class 1 2*1/(2+2), class 2 and class 3 0
    assert ours.macro_f1(TARGETS, PREDICTIONS) == pytest.approx((2 / 3 + 1 / 2) / 4)
    assert ours.accuracy(TARGETS, PREDICTIONS) == pytest.approx(3 / 6)


@pytest.mark.parametrize("seed", range(5))
def test_every_score_is_that_of_scikit_learn(seed):
    targets, predictions = random_rows(seed)
    how = {"average": "macro", "zero_division": 0}

    assert ours.accuracy(targets, predictions) == pytest.approx(
        accuracy_score(targets, predictions)
    )
    assert ours.macro_f1(targets, predictions) == pytest.approx(
        f1_score(targets, predictions, **how)
    )
    assert ours.macro_precision(targets, predictions) == pytest.approx(
        precision_score(targets, predictions, **how)
    )
    assert ours.macro_recall(targets, predictions) == pytest.approx(
        recall_score(targets, predictions, **how)
    )


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_single_classes_are_those_of_scikit_learn(seed):
    targets, predictions = random_rows(seed)
    counts = ours.confusion(targets, predictions, 10)
    precision, recall, f1, _ = precision_recall_fscore_support(
        targets, predictions, labels=range(10), zero_division=0
    )

    np.testing.assert_array_equal(counts, confusion_matrix(targets, predictions, labels=range(10)))
    np.testing.assert_allclose(ours.class_precision(counts), precision)
    np.testing.assert_allclose(ours.class_recall(counts), recall)
    np.testing.assert_allclose(ours.class_f1(counts), f1)


def test_many_tables_are_scored_as_each_alone():
    tables = np.stack([ours.confusion(*random_rows(seed), 9) for seed in range(4)])

    together = ours.macro_f1_of(tables)

    assert together.shape == (4,)
    np.testing.assert_allclose(together, [ours.macro_f1_of(table) for table in tables])


def test_a_class_that_does_not_exist_is_refused():
    with pytest.raises(ShapeError, match="hold class 0 to 3"):
        ours.confusion(TARGETS, PREDICTIONS, 3)


def test_uneven_rows_are_refused():
    with pytest.raises(ShapeError, match="shape"):
        ours.confusion(TARGETS, PREDICTIONS[1:], 4)
