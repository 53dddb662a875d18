"""Performance of what is watched: a Portrait in, how well its answers did, or may do, out.

One answer a row is right or wrong; of several labels each row has an F1, of numbers an error.
"""

import numpy as np

from fettle.core.drift import PREDICTION, Portrait
from fettle.core.labels import with_unseen
from fettle.core.score import Score
from fettle.measures import (
    classification,
    intervals,
    label_judging,
    label_sets,
    label_watching,
    regression,
    unlabelled,
)
from fettle.measures.traits import in_numbers

__all__ = ["expected", "gap", "is_labelled", "score", "values"]


def expected(
    portrait: Portrait, metric: str, rng: np.random.Generator, shift: float = 0.0
) -> unlabelled.Expected:
    """The score that probabilities promise; of several labels, each by itself.

    Args:
        portrait: of rows with answers that are no numbers.
        metric: accuracy or macro_f1; of several labels micro_f1 or macro_f1.
        rng: draws rows, and labels for them.
        shift: added to the value.

    Raises:
        ShapeError: there is no row.
    """
    if portrait.thresholds is None:
        return unlabelled.expected(portrait.probabilities, metric=metric, rng=rng, shift=shift)
    return label_watching.expected(
        portrait.probabilities, portrait.called, metric=metric, rng=rng, shift=shift)


def is_labelled(portrait: Portrait) -> np.ndarray:
    """Which rows have a label that answers can be compared with, bool (rows,)."""
    labels = portrait.labels or (None,) * portrait.rows
    if not portrait.classes:
        return np.isfinite(in_numbers(labels))
    return np.array([bool((label or "").strip()) for label in labels], dtype=bool)


def values(portrait: Portrait) -> np.ndarray:
    """Whether each answer is the label, bool (rows,), False where there is none; of numbers the
    absolute error, of several labels their F1, not a number where there is no label."""
    labels = portrait.labels or (None,) * portrait.rows
    if portrait.thresholds is not None:
        truth = with_unseen(labels, portrait.classes)
        each = label_sets.row_f1(truth, _wide(portrait.called, truth))
        return np.where(is_labelled(portrait), each, np.nan)
    if not portrait.classes:
        return np.abs(portrait.traits[PREDICTION] - in_numbers(labels))
    said = np.array(portrait.classes)[portrait.probabilities.argmax(axis=1)]
    return np.array([
        (label or "").strip() == one for label, one in zip(labels, said, strict=True)
    ], dtype=bool)


def score(values: np.ndarray, portrait: Portrait) -> Score:
    """Accuracy, the mean absolute error, or the mean F1 of rows, of these values."""
    if portrait.thresholds is not None:
        return label_judging.mean_row_f1(values[np.isfinite(values)])
    if not portrait.classes:
        return regression.ERRORS.score(values[np.isfinite(values)])
    hits = int(values.sum())
    return Score("accuracy", hits / len(values), *intervals.wilson(hits, len(values)), len(values))


def gap(reference: Portrait, right: np.ndarray, promised: float, metric: str) -> float:
    """How much more was right on the test rows than their probabilities promised.

    Args:
        reference: of the test rows, whose labels are known.
        right: of `values`.
        promised: the metric that is promised of them.
        metric: accuracy or macro_f1; of several labels micro_f1 or macro_f1.
    """
    if reference.thresholds is not None:
        truth = with_unseen(reference.labels, reference.classes)
        counts = label_sets.tallies(truth, _wide(reference.called, truth))
        return float(label_sets.SCORES[metric](counts)) - promised
    if metric == "accuracy":
        return float(right.mean()) - promised
    said = reference.probabilities.argmax(axis=1)
    numbers = {name: at for at, name in enumerate(reference.classes)}
    targets = np.array([numbers.get((one or "").strip(), len(numbers))
                        for one in reference.labels])
    return classification.macro_f1(targets, said) - promised


def _wide(called: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The calls with a column more where a row has a label that no training row had."""
    return np.pad(called, ((0, 0), (0, truth.shape[1] - called.shape[1])))
