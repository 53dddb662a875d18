"""Classification scores: targets and predictions in, accuracy and per-class scores out.

Everything is worked out from the confusion counts, so that one definition serves a single score,
a score a class, and thousands of resamples at once (measures/intervals.py). Classes are numbers.
"""

import numpy as np

from fettle.core.errors import ShapeError

__all__ = [
    "accuracy",
    "accuracy_of",
    "class_f1",
    "class_precision",
    "class_recall",
    "confusion",
    "macro_f1",
    "macro_f1_of",
    "macro_precision",
    "macro_precision_of",
    "macro_recall",
    "macro_recall_of",
]


def confusion(targets: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was taken for each: int (classes, classes).

    A line is a true class, a column a predicted one.

    Args:
        targets: int (rows,); each in [0, classes).
        predictions: int (rows,); each in [0, classes).
        classes: how many there are, whether or not they occur.

    Raises:
        ShapeError: the two differ in rows, or a number lies outside [0, classes).
    """
    targets, predictions = np.asarray(targets), np.asarray(predictions)
    if targets.shape != predictions.shape or targets.ndim != 1:
        raise ShapeError(
            f"Targets have shape {targets.shape} and predictions {predictions.shape}: "
            "both must be one number a row, of the same rows."
        )
    for name, numbers in (("targets", targets), ("predictions", predictions)):
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
            raise ShapeError(
                f"The {name} hold class {numbers.min()} to {numbers.max()}: "
                f"each must be at least 0 and below {classes}."
            )
    cells = targets.astype(np.int64) * classes + predictions
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def accuracy_of(counts: np.ndarray) -> np.ndarray:
    """The share of rows on the diagonal.

    Args:
        counts: confusion counts (..., classes, classes); any number of tables at once.

    Returns:
        One float a table, (...); 0.0 for a table without rows.
    """
    right = np.trace(counts, axis1=-2, axis2=-1)
    return _share(right, counts.sum((-2, -1)))


def class_precision(counts: np.ndarray) -> np.ndarray:
    """Of the rows that were called a class, the share that is of it; 0.0 where none was called.

    Args:
        counts: confusion counts (..., classes, classes).

    Returns:
        (..., classes).
    """
    return _share(_diagonal(counts), counts.sum(-2))


def class_recall(counts: np.ndarray) -> np.ndarray:
    """Of the rows of a class, the share that was called so; 0.0 where there is none.

    Args:
        counts: confusion counts (..., classes, classes).

    Returns:
        (..., classes).
    """
    return _share(_diagonal(counts), counts.sum(-1))


def class_f1(counts: np.ndarray) -> np.ndarray:
    """The harmonic mean of precision and recall of each class; 0.0 where both are.

    Args:
        counts: confusion counts (..., classes, classes).

    Returns:
        (..., classes).
    """
    return _share(2 * _diagonal(counts), counts.sum(-1) + counts.sum(-2))


def macro_precision_of(counts: np.ndarray) -> np.ndarray:
    """The mean precision over the classes that occur in a table (..., classes, classes)."""
    return _mean_over_present(class_precision(counts), counts)


def macro_recall_of(counts: np.ndarray) -> np.ndarray:
    """The mean recall over the classes that occur in a table (..., classes, classes)."""
    return _mean_over_present(class_recall(counts), counts)


def macro_f1_of(counts: np.ndarray) -> np.ndarray:
    """The mean F1 over the classes that occur in a table (..., classes, classes)."""
    return _mean_over_present(class_f1(counts), counts)


def accuracy(targets: np.ndarray, predictions: np.ndarray) -> float:
    """The share of rows whose prediction is the target, from 0 to 1; 0.0 without rows."""
    return float(accuracy_of(_occurring(targets, predictions)))


def macro_precision(targets: np.ndarray, predictions: np.ndarray) -> float:
    """The mean precision over the classes that occur in targets or predictions.

    The same as scikit-learn's precision_score(average="macro", zero_division=0).

    Args:
        targets: int (rows,), at least 0.
        predictions: int (rows,), at least 0.
    """
    return float(macro_precision_of(_occurring(targets, predictions)))


def macro_recall(targets: np.ndarray, predictions: np.ndarray) -> float:
    """The mean recall over the classes that occur in targets or predictions.

    The same as scikit-learn's recall_score(average="macro", zero_division=0).

    Args:
        targets: int (rows,), at least 0.
        predictions: int (rows,), at least 0.
    """
    return float(macro_recall_of(_occurring(targets, predictions)))


def macro_f1(targets: np.ndarray, predictions: np.ndarray) -> float:
    """The mean F1 over the classes that occur in targets or predictions.

    The same as scikit-learn's f1_score(average="macro", zero_division=0).

    Args:
        targets: int (rows,), at least 0.
        predictions: int (rows,), at least 0.
    """
    return float(macro_f1_of(_occurring(targets, predictions)))


def _occurring(targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """The confusion counts with just as many classes as the largest number asks for."""
    highest = max((int(np.max(a)) for a in (targets, predictions) if len(a)), default=0)
    return confusion(targets, predictions, highest + 1)


def _diagonal(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, and 0.0 where the whole is nothing."""
    return np.asarray(part / np.maximum(whole, 1))


def _mean_over_present(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean of (..., classes) over the classes with a row in their line or column."""
    present = (counts.sum(-1) + counts.sum(-2)) > 0
    return _share((scores * present).sum(-1), present.sum(-1))
