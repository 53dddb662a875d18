"""Thresholds: probabilities and truth of rows that were not learned from in, one a label out.

A label is called in a row where its probability reaches its threshold.
"""

import numpy as np

from fettle.core.errors import ShapeError

__all__ = ["FEWEST", "fitted", "fitted_together"]

FEWEST = 10
"""Rows that have a label, from which it gets a threshold of its own; a rarer one takes the shared
one, since the best cut among a handful of rows is the luck of these rows."""
LOWEST, HIGHEST = 0.01, 0.99
USUAL = 0.5


def fitted(
    probabilities: np.ndarray, truth: np.ndarray, *, fewest: int = FEWEST
) -> tuple[np.ndarray, np.ndarray]:
    """For each label the threshold with the highest F1 on these rows, and whether it is its own.

    Of equally good ones, the nearest to 0.5. A label that fewer than `fewest` rows have, or that
    all have, takes the one that is best for all labels together.

    Args:
        probabilities: float (rows, labels), of rows that the network did not learn from.
        truth: bool (rows, labels).
        fewest: rows that have a label.

    Returns:
        float (labels,) from 0.01 to 0.99, and bool (labels,). 0.5 everywhere without rows.

    Raises:
        ShapeError: the two differ in shape.

    Source: Lewis et al., "RCV1: A New Benchmark Collection for Text Categorization Research", JMLR
    5, 2004, section 5.1 (SCut); Yang, "A Study on Thresholding Strategies for Text Categorization",
    SIGIR 2001, section 2.3, for why rare labels need another.
    """
    shared = fitted_together(probabilities, truth)
    found = np.full(truth.shape[1], shared)
    has = truth.sum(axis=0)
    own = (has >= fewest) & (has < len(truth))
    for label in np.flatnonzero(own):
        found[label] = _best(probabilities[:, label], truth[:, label])
    return found, own


def fitted_together(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The one threshold for all labels with the highest micro F1; 0.5 where no row has a label.

    Args:
        probabilities: float (rows, labels).
        truth: bool (rows, labels).

    Raises:
        ShapeError: the two differ in shape.
    """
    if probabilities.shape != truth.shape or truth.ndim != 2:
        raise ShapeError(
            f"Probabilities have shape {probabilities.shape} and truth {truth.shape}: both must be "
            "(rows, labels) of the same rows and labels."
        )
    return _best(probabilities.ravel(), truth.ravel())


def _best(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The middle of the gap at which F1 is highest, as near to 0.5 as that gap allows."""
    if not truth.any():
        return USUAL
    order = np.argsort(-probabilities, kind="stable")
    sorted_p = probabilities[order].astype(np.float64)
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(truth) + 1) + hits[-1])
    below = np.append(sorted_p[1:], 0.0)
    cuts = sorted_p > below  # rows of equal probability are called together
    if not cuts.any():
        return USUAL
    best = np.flatnonzero(cuts & (f1 >= f1[cuts].max() - 1e-12))
    middles = (sorted_p[best] + below[best]) / 2
    inside = (below[best] < USUAL) & (sorted_p[best] >= USUAL)
    middles = np.where(inside, USUAL, middles)
    return float(np.clip(middles[np.abs(middles - USUAL).argmin()], LOWEST, HIGHEST))
