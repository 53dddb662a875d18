"""How sure scores of several labels a row are: truth and answers in, intervals out.

Labels of a row hang together, so whole rows are drawn, never single decisions.
"""

from collections.abc import Callable

import numpy as np

from fettle.core.errors import ShapeError
from fettle.measures import intervals
from fettle.measures.groups import patterns
from fettle.measures.label_sets import decisions, require_alike, tallies

__all__ = ["paired_difference", "tally_interval"]

SMOOTHING = intervals.SMOOTHING / 2
"""Rows that are added before rows are drawn, as if answers had nothing to do with truth: what
intervals.confusion_interval adds to a table of two classes, which is what each label has."""
_FINE = 1e6
"""Shares as counts: a score of shares below one would be a score of nothing."""


def tally_interval(
    score: Callable[[np.ndarray], np.ndarray], truth: np.ndarray, called: np.ndarray, *,
    rng: np.random.Generator, groups: np.ndarray | None = None,
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
        groups: int (rows,), numbered from 0, where rows hang together: the interval is then the
            wider of those by row and by group, and 0.0 to 1.0 of one group alone.

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
    low, high = (float(end) + measured - centre for end in intervals.percentiles(found))
    if groups is not None:
        several = int(groups.max()) + 1
        if several == 1:
            return 0.0, 1.0
        drawn = _drawn_whole(lambda counts: score(counts[:, 0]), decisions(truth, called)[:, None],
                             groups, rng)
        lowest, highest = intervals.ends_of_groups(drawn, measured, several)
        low, high = min(low, float(lowest)), max(high, float(highest))
    return max(min(low, measured), 0.0), min(max(high, measured), 1.0)


def _drawn_whole(
    score: Callable[[np.ndarray], np.ndarray], told: np.ndarray, groups: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Scores, (resamples,), of groups drawn whole.

    Args:
        score: from counts (resamples, models, labels, 3).
        told: int (rows, models, labels, 3): decisions of each model.
        groups: int (rows,), numbered from 0.
        rng: draws.
    """
    rows = len(told)
    kinds, kind_of = np.unique(told.reshape(rows, -1), axis=0, return_inverse=True)
    held, shares = patterns(kind_of.ravel(), groups)
    sums = (held.astype(np.float32) @ kinds.astype(np.float32))  # (patterns, models * labels * 3)
    return intervals.resampled(
        lambda drawn: score((drawn.astype(np.float32) @ sums).reshape(-1, *told.shape[1:])),
        shares, rows=int(groups.max()) + 1, width=len(held) + sums.shape[1], rng=rng,
    )


def paired_difference(
    score: Callable[[np.ndarray], np.ndarray], truth: np.ndarray, first: np.ndarray,
    second: np.ndarray, *, rng: np.random.Generator, level: float = intervals.LEVEL,
    groups: np.ndarray | None = None,
) -> tuple[float, float, float, float]:
    """The difference of a score between two models: (difference, low, high, standard error).

    Rows are drawn in pairs, so that what makes a row hard for both does not widen the interval.

    Args:
        score: from tallies (resamples, labels, 3) to (resamples,): micro_f1_of.
        truth: bool (rows, labels).
        first, second: bool (rows, labels): what each model calls.
        rng: draws the resamples.
        level: the share of resamples inside the interval.
        groups: int (rows,), numbered from 0, where rows hang together: they are drawn whole.

    Returns:
        The second minus the first, its interval, and its bootstrap standard error; of one group
        alone the interval is -1.0 to 1.0.

    Raises:
        ShapeError: the three differ in shape, or have no rows.

    Source: Koehn, "Statistical Significance Tests for Machine Translation Evaluation", 2004.
    """
    require_alike(truth, first)
    require_alike(truth, second)
    rows, labels = truth.shape
    if not rows:
        raise ShapeError("A paired difference needs at least one row.")
    if groups is not None:
        return _paired_whole(score, truth, first, second, groups, rng, level)
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


def _paired_whole(
    score: Callable[[np.ndarray], np.ndarray], truth: np.ndarray, first: np.ndarray,
    second: np.ndarray, groups: np.ndarray, rng: np.random.Generator, level: float,
) -> tuple[float, float, float, float]:
    """As `paired_difference`, of groups."""
    told = np.stack([decisions(truth, first), decisions(truth, second)], axis=1)

    def change(counts: np.ndarray) -> np.ndarray:
        return score(counts[:, 1]) - score(counts[:, 0])

    difference, several = float(change(told.sum(axis=0)[None])[0]), int(groups.max()) + 1
    drawn = _drawn_whole(change, told, groups, rng)
    error = float(drawn.std(ddof=1))
    if several == 1:
        return difference, -1.0, 1.0, error
    low, high = intervals.ends_of_groups(drawn, difference, several, level)
    return difference, max(float(low), -1.0), min(float(high), 1.0), error
