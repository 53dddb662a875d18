"""How sure scores of several labels a row are: truth and answers in, intervals out.

Labels of a row hang together, so whole rows are drawn, never single decisions.
"""

from collections.abc import Callable

import numpy as np

from fettle.core.errors import ShapeError
from fettle.measures import intervals
from fettle.measures.label_sets import decisions, require_alike, tallies

__all__ = ["paired_difference", "tally_interval"]

SMOOTHING = intervals.SMOOTHING / 2
"""Rows that are added before rows are drawn, as if answers had nothing to do with truth: what
intervals.confusion_interval adds to a table of two classes, which is what each label has."""
_FINE = 1e6
"""Shares as counts: a score of shares below one would be a score of nothing."""


def tally_interval(
    score: Callable[[np.ndarray], np.ndarray], truth: np.ndarray, called: np.ndarray, *,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The bootstrap interval, (low, high), of a score of the tallies; whole rows are drawn.

    Two more rows, with answers that stand beside other rows' truth, are spread over what is drawn
    from (SMOOTHING), and the scores are moved back by what that did to their centre: else a label
    of few rows, all right, would seem to be right for certain.

    Args:
        score: from tallies (resamples, labels, 3) to (resamples,): macro_f1_of.
        truth: bool (rows, labels).
        called: bool (rows, labels).
        rng: draws the resamples.

    Raises:
        ShapeError: the two differ in shape, or have no rows.

    Source: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.4, for
    smoothing what is drawn from.
    """
    require_alike(truth, called)
    rows, labels = truth.shape
    if not rows:
        raise ShapeError("An interval needs at least one row.")
    alone = decisions(truth, called[rng.permutation(rows)])
    pairs = np.concatenate([decisions(truth, called), alone]).reshape(2 * rows, labels * 3)
    weight = np.repeat([1.0, SMOOTHING / rows], rows)
    kinds, kind_of = np.unique(pairs, axis=0, return_inverse=True)
    shares = np.bincount(kind_of.ravel(), weights=weight) / weight.sum()
    told = kinds.astype(np.float32)  # (kinds, labels * 3); counts far below 2**24 stay exact

    def scores_of(drawn: np.ndarray) -> np.ndarray:
        return score((drawn.astype(np.float32) @ told).reshape(-1, labels, 3))

    found = intervals.resampled(
        scores_of, shares, rows=rows, width=len(kinds) + 3 * labels, rng=rng
    )
    measured = float(score(tallies(truth, called)[None])[0])
    centre = float(score((shares @ kinds).reshape(1, labels, 3) * _FINE)[0])
    low, high = intervals.percentiles(found)
    moved = measured - centre
    return (
        max(min(float(low) + moved, measured), 0.0),
        min(max(float(high) + moved, measured), 1.0),
    )


def paired_difference(
    score: Callable[[np.ndarray], np.ndarray], truth: np.ndarray, first: np.ndarray,
    second: np.ndarray, *, rng: np.random.Generator, level: float = intervals.LEVEL,
) -> tuple[float, float, float, float]:
    """The difference of a score between two models: (difference, low, high, standard error).

    Rows are drawn in pairs, so that what makes a row hard for both does not widen the interval.

    Args:
        score: from tallies (resamples, labels, 3) to (resamples,): micro_f1_of.
        truth: bool (rows, labels).
        first, second: bool (rows, labels): what each model calls.
        rng: draws the resamples.
        level: the share of resamples inside the interval.

    Returns:
        The second minus the first, its interval, and its bootstrap standard error.

    Raises:
        ShapeError: the three differ in shape, or have no rows.

    Source: Koehn, "Statistical Significance Tests for Machine Translation Evaluation", 2004.
    """
    require_alike(truth, first)
    require_alike(truth, second)
    rows, labels = truth.shape
    if not rows:
        raise ShapeError("A paired difference needs at least one row.")
    both = np.concatenate([decisions(truth, first), decisions(truth, second)], axis=1)
    kinds, times = np.unique(both.reshape(rows, -1), axis=0, return_counts=True)
    told = kinds.astype(np.float32)

    def differences_of(drawn: np.ndarray) -> np.ndarray:
        counts = (drawn.astype(np.float32) @ told).reshape(-1, 2, labels, 3)
        return score(counts[:, 1]) - score(counts[:, 0])

    drawn = intervals.resampled(
        differences_of, times / rows, rows=rows, width=len(kinds) + 6 * labels, rng=rng
    )
    low, high = intervals.percentiles(drawn, level)
    difference = float(differences_of(times[None])[0])
    return difference, float(low), float(high), float(drawn.std(ddof=1))
