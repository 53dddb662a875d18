"""Several labels a row: which there are and which were called in, scores out.

Everything but the ranking is worked out from three counts a label (found, called wrongly, missed),
so that one definition serves a single score, a score a label, and thousands of resamples at once.
"""

from collections.abc import Callable

import numpy as np

from fettle.core.errors import ShapeError

__all__ = [
    "SCORES",
    "decisions",
    "hamming_loss",
    "label_f1_of",
    "label_precision_of",
    "label_recall_of",
    "macro_f1_of",
    "micro_f1_of",
    "mistaken",
    "ranking_precision",
    "require_alike",
    "row_f1",
    "subset_accuracy",
    "tallies",
    "wrong_labels",
]


def tallies(truth: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Of each label: rows in which it was found, called wrongly, and missed; int (labels, 3).

    Args:
        truth: bool (rows, labels).
        called: bool (rows, labels).

    Raises:
        ShapeError: the two differ in shape.
    """
    require_alike(truth, called)
    return decisions(truth, called).sum(axis=0)


def label_precision_of(counts: np.ndarray) -> np.ndarray:
    """Of the rows a label was called in, the share that have it; 0.0 where it was called in none.

    Args:
        counts: tallies (..., labels, 3).

    Returns:
        (..., labels).
    """
    return _share(counts[..., 0], counts[..., 0] + counts[..., 1])


def label_recall_of(counts: np.ndarray) -> np.ndarray:
    """Of the rows that have a label, the share it was called in; 0.0 where none has it.

    Args:
        counts: tallies (..., labels, 3).

    Returns:
        (..., labels).
    """
    return _share(counts[..., 0], counts[..., 0] + counts[..., 2])


def label_f1_of(counts: np.ndarray) -> np.ndarray:
    """The harmonic mean of precision and recall of each label; 0.0 where both are.

    Args:
        counts: tallies (..., labels, 3).

    Returns:
        (..., labels).
    """
    found = 2 * counts[..., 0]
    return _share(found, found + counts[..., 1] + counts[..., 2])


def micro_f1_of(counts: np.ndarray) -> np.ndarray:
    """F1 over all decisions on all labels: (...) from tallies (..., labels, 3).

    The same as scikit-learn's f1_score(average="micro", zero_division=0).
    """
    return label_f1_of(counts.sum(axis=-2))


def macro_f1_of(counts: np.ndarray) -> np.ndarray:
    """The mean F1 over the labels that occur, in truth or answers: (...) from (..., labels, 3).

    The same as scikit-learn's f1_score(average="macro", zero_division=0) over these labels.
    """
    occurs = counts.sum(axis=-1) > 0
    return _share((label_f1_of(counts) * occurs).sum(-1), occurs.sum(-1))


def subset_accuracy(truth: np.ndarray, called: np.ndarray) -> float:
    """The share of rows whose labels are all right, and no other was called; 0.0 without rows.

    Args:
        truth: bool (rows, labels).
        called: bool (rows, labels).

    Raises:
        ShapeError: the two differ in shape.
    """
    require_alike(truth, called)
    return float((truth == called).all(axis=1).mean()) if len(truth) else 0.0


def hamming_loss(truth: np.ndarray, called: np.ndarray) -> float:
    """The share of all decisions, one a row and label, that are wrong; 0.0 without any.

    Args:
        truth: bool (rows, labels).
        called: bool (rows, labels).

    Raises:
        ShapeError: the two differ in shape.
    """
    require_alike(truth, called)
    return float((truth != called).mean()) if truth.size else 0.0


def row_f1(truth: np.ndarray, called: np.ndarray) -> np.ndarray:
    """F1 of the set of labels of each row: float (rows,); 1.0 where none is there and none called.

    Args:
        truth: bool (rows, labels).
        called: bool (rows, labels).

    Raises:
        ShapeError: the two differ in shape.

    Source: Godbole and Sarawagi, "Discriminative Methods for Multi-labeled Classification", PAKDD
    2004, section 4.1; scikit-learn's f1_score(average="samples", zero_division=1).
    """
    require_alike(truth, called)
    both, either = (truth & called).sum(axis=1), truth.sum(axis=1) + called.sum(axis=1)
    return np.where(either == 0, 1.0, 2 * both / np.maximum(either, 1))


def wrong_labels(truth: np.ndarray, called: np.ndarray) -> np.ndarray:
    """How many labels of each row were missed or called wrongly: int (rows,).

    Args:
        truth: bool (rows, labels).
        called: bool (rows, labels).

    Raises:
        ShapeError: the two differ in shape.
    """
    require_alike(truth, called)
    return (truth != called).sum(axis=1)


def ranking_precision(truth: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Label-ranking average precision of each row: float (rows,), from above 0 to 1.

    Of each label that a row has: the share of labels it has among those ranked as high or higher;
    the mean of that over its labels. 1.0 for a row that has no label, or every one. Needs no
    thresholds.

    Args:
        truth: bool (rows, labels).
        outputs: float (rows, labels); more is likelier. Any order-keeping scale will do.

    Raises:
        ShapeError: the two differ in shape.

    Source: Schapire and Singer, "BoosTexter: A Boosting-based System for Text Categorization",
    Machine Learning 39, 2000, section 3.3, as scikit-learn's label_ranking_average_precision_score.
    """
    require_alike(truth, outputs)
    rows, labels = truth.shape
    total = np.zeros(rows)
    for label in range(labels):
        has = np.flatnonzero(truth[:, label])
        above = outputs[has] >= outputs[has, label][:, None]  # (rows that have it, labels)
        total[has] += (above & truth[has]).sum(axis=1) / above.sum(axis=1)
    own = truth.sum(axis=1)
    settled = (own == 0) | (own == labels)
    return np.where(settled, 1.0, total / np.maximum(own, 1))


def mistaken(truth: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Which labels stand in for which: int (labels, labels).

    On the diagonal, the rows in which a label was found. Elsewhere, the rows in which the label of
    the line was missed while the label of the column was called wrongly. A row counts once for
    each such pair.

    Args:
        truth: bool (rows, labels).
        called: bool (rows, labels).

    Raises:
        ShapeError: the two differ in shape.
    """
    require_alike(truth, called)
    missed, strange = truth & ~called, called & ~truth
    table = missed.T.astype(np.int64) @ strange.astype(np.int64)
    np.fill_diagonal(table, (truth & called).sum(axis=0))
    return table


def decisions(truth: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Whether each label was found, called wrongly, or missed in each row: int8 (rows, labels, 3).

    Args:
        truth: bool (rows, labels).
        called: bool (rows, labels).
    """
    return np.stack([truth & called, called & ~truth, truth & ~called], axis=-1).astype(np.int8)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, and 0.0 where the whole is nothing."""
    return np.asarray(part / np.maximum(whole, 1))


def require_alike(truth: np.ndarray, other: np.ndarray) -> None:
    """Return if both are (rows, labels) of the same rows and labels.

    Raises:
        ShapeError: they are not.
    """
    if truth.shape != other.shape or truth.ndim != 2:
        raise ShapeError(
            f"Truth has shape {truth.shape} and answers {other.shape}: both must be (rows, labels) "
            "of the same rows and labels."
        )


SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "micro_f1": micro_f1_of, "macro_f1": macro_f1_of,
}
"""Scores of the tallies, by the name that a Plan's metric has."""
