"""Intervals: a measured number in, the lowest and highest that it may well be out.

Shares have a closed form; everything else is resampled by row. What depends on the confusion
counts alone is resampled cell by cell, which is the same draw and takes a fraction of the time.
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from fettle.core.errors import ShapeError
from fettle.measures.groups import FEW, effective_rows, patterns, reach, together

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "bootstrap_interval",
    "confusion_interval",
    "confusion_intervals",
    "ends_of_groups",
    "grouped_intervals",
    "mean_interval",
    "percentiles",
    "resampled",
    "share_interval",
    "wilson",
]

LEVEL = 0.95
RESAMPLES = 2000
SMOOTHING = 4.0
"""Rows that are added before cells are drawn, over the number of classes: two rows for two classes,
0.4 for ten. They are spread as if answers had nothing to do with truth. Without them a class of few
rows, all right, seems to be right for certain; so many bring the coverage of macro F1 nearest to
95% (bench/coverage.py)."""
_FINE = 1e6
_NUMBERS_AT_ONCE = 4_000_000
"""Counts held in memory at a time while resampling: 32 MB."""


def wilson(successes: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """The score interval of a share, (low, high); (0.0, 1.0) when n is 0: nothing is known.

    Args:
        successes: how many of the n; no whole number where groups count for less than their rows.
        n: how many were looked at.
        level: how often the interval should hold the true share.

    Raises:
        ShapeError: successes below 0 or above n.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
    JASA 22, 1927.
    """
    if not 0 <= successes <= n:
        raise ShapeError(f"{successes} of {n} is no share: give 0 to n successes of n.")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    middle = share + z * z / (2 * n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (middle - half) / scale
    high = 1.0 if successes == n else (middle + half) / scale
    return low, high


def share_interval(
    right: np.ndarray, groups: np.ndarray | None, level: float = LEVEL
) -> tuple[float, float]:
    """Wilson's interval of a share, (low, high), with as many rows as groups are worth.

    Args:
        right: bool (rows,).
        groups: int (rows,), where rows hang together; None where each is alone.
        level: how often the interval should hold the true share.
    """
    hits, rows = int(right.sum()), len(right)
    if groups is None or rows == 0:
        return wilson(hits, rows, level)
    worth = effective_rows(right, np.unique(groups, return_inverse=True)[1], level=level)
    return wilson(worth * (hits / rows), worth, level)


def ends_of_groups(
    drawn: np.ndarray, measured: np.ndarray | float, several: int, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of a score from resamples of whole groups, the measured value inside.

    Between percentiles; of fewer than 30 groups at least as far as Student's t reaches, since
    two to five groups can only be drawn in a handful of ways.

    Args:
        drawn: (resamples, ...).
        measured: (...), on the groups as they are.
        several: how many groups there are, two or more.
        level: of the interval.
    """
    low, high = percentiles(drawn, level)
    half = np.asarray(0.0)
    if several < FEW:
        half = reach(several, level) * drawn.std(axis=0, ddof=1)
    return np.minimum(low, measured - half), np.maximum(high, measured + half)


def grouped_intervals(
    scores: Sequence[Callable[[np.ndarray], np.ndarray]],
    targets: np.ndarray,
    predicted: np.ndarray,
    classes: int,
    groups: np.ndarray,
    *,
    rng: np.random.Generator,
) -> list[tuple[float, float]]:
    """Bootstrap intervals, (low, high), of scores of one confusion table, groups drawn whole.

    Args:
        scores: each from counts (resamples, classes, classes) to (resamples,).
        targets, predicted: int (rows,), each in [0, classes).
        classes: how many there are.
        groups: int (rows,), numbered from 0; equal where rows hang together.
        rng: draws the resamples.

    Returns:
        One a score, from 0 to 1; of few groups at least as wide as Student's t makes them; 0.0 to
        1.0 where all rows are one group, of which nothing can be drawn.

    Source: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.
    """
    if not groups.any():
        return [(0.0, 1.0)] * len(scores)
    cells, kinds = np.unique(targets * classes + predicted, return_inverse=True)
    counts, shares = patterns(kinds, groups)

    def scores_of(drawn: np.ndarray) -> np.ndarray:
        tables = np.zeros((len(drawn), classes * classes), dtype=np.int64)
        tables[:, cells] = drawn @ counts
        shaped = tables.reshape(-1, classes, classes)
        return np.stack([score(shaped) for score in scores], axis=1)

    several = int(groups.max()) + 1
    found = resampled(scores_of, shares, rows=several, width=classes**2, rng=rng)
    table = np.bincount(targets * classes + predicted, minlength=classes**2)
    measured = np.array([score(table.reshape(1, classes, classes))[0] for score in scores])
    low, high = (np.clip(end, 0.0, 1.0) for end in ends_of_groups(found, measured, several))
    return list(zip(low.tolist(), high.tolist(), strict=True))


def bootstrap_interval(
    measure: Callable[[np.ndarray], float],
    rows: int,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float]:
    """The (low, high) between which `measure` falls in `level` of resamples of the rows.

    Args:
        measure: from row numbers, int (rows,) with repeats, to a number.
        rows: how many rows there are; measure is asked for numbers in [0, rows).
        rng: draws the resamples.
        resamples: how many; 2,000 make the ends steady to about 3% of the width.
        level: the share of resamples inside.

    Raises:
        ShapeError: no rows.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; percentile method.
    """
    if rows < 1:
        raise ShapeError("An interval needs at least one row.")
    scores = [measure(rng.integers(rows, size=rows)) for _ in range(resamples)]
    low, high = percentiles(np.asarray(scores), level)
    return float(low), float(high)


def confusion_interval(
    score: Callable[[np.ndarray], np.ndarray],
    counts: np.ndarray,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float]:
    """The bootstrap interval, (low, high), of a score that depends on confusion counts alone.

    Drawing rows with replacement draws cells from a multinomial distribution, so this is a
    bootstrap of the rows, without touching them. What is drawn from is smoothed (SMOOTHING), and
    the scores are moved back by what that did to their centre.

    Args:
        score: from counts (resamples, classes, classes) to (resamples,): macro_f1_of.
        counts: int (classes, classes).
        rng: draws the resamples.

    Raises:
        ShapeError: the counts hold no rows.

    Source: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.4, for
    smoothing what is drawn from.
    """
    low, high = confusion_intervals(score, counts, rng=rng, resamples=resamples, level=level)
    return float(low), float(high)


def confusion_intervals(
    score: Callable[[np.ndarray], np.ndarray],
    counts: np.ndarray,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[np.ndarray, np.ndarray]:
    """As `confusion_interval`, for a score with one number a class: low and high, (classes,).

    Args:
        score: from counts (resamples, classes, classes) to (resamples, classes): class_f1.
        counts: int (classes, classes).
        rng: draws the resamples.

    Raises:
        ShapeError: the counts hold no rows.
    """
    classes, rows = len(counts), int(counts.sum())
    if rows < 1:
        raise ShapeError("An interval needs at least one row.")
    alone = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / rows**2
    added = SMOOTHING / classes
    shares = (counts + added * alone) / (rows + added)  # (classes, classes), adds up to 1
    cells = np.flatnonzero(shares)

    def scores_of(drawn: np.ndarray) -> np.ndarray:
        tables = np.zeros((len(drawn), classes * classes), dtype=np.int64)
        tables[:, cells] = drawn
        return score(tables.reshape(-1, classes, classes))

    scores = resampled(scores_of, shares.ravel()[cells], rows=rows, width=classes**2, rng=rng,
                       resamples=resamples)
    measured = score(counts[None])[0]
    moved = measured - score(shares[None] * _FINE)[0]
    low, high = percentiles(scores, level)
    return (
        np.clip(np.minimum(low + moved, measured), 0.0, 1.0),
        np.clip(np.maximum(high + moved, measured), 0.0, 1.0),
    )


def mean_interval(
    values: np.ndarray, *, rng: np.random.Generator, level: float = LEVEL,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """The bootstrap interval, (low, high), of the mean of one number a row.

    Args:
        values: float (rows,).
        rng: draws the resamples.
        level: the share of resamples inside.
        groups: int (rows,), where rows hang together: the interval is then the wider of those by
            row and by group. All rows in one group may as well have any mean up to the largest
            value, either way.

    Returns:
        No end below 0 where no value is.

    Raises:
        ShapeError: no rows.
    """
    numbers = None if groups is None or not len(groups) else together(groups)
    if numbers is not None:
        ends = (_mean_of_groups(values, numbers, rng, level),
                mean_interval(values, rng=rng, level=level))
        lowest, highest = min(one[0] for one in ends), max(one[1] for one in ends)
        return (max(lowest, 0.0) if (values >= 0).all() else lowest), highest
    rows = len(values)
    if rows < 1:
        raise ShapeError("An interval needs at least one row.")
    at_once = max(1, _NUMBERS_AT_ONCE // rows)
    means = [
        values[rng.integers(rows, size=(min(at_once, RESAMPLES - start), rows))].mean(axis=1)
        for start in range(0, RESAMPLES, at_once)
    ]
    low, high = percentiles(np.concatenate(means), level)
    return float(low), float(high)


def _mean_of_groups(
    values: np.ndarray, numbers: np.ndarray, rng: np.random.Generator, level: float
) -> tuple[float, float]:
    """Of groups numbered from 0, drawn whole."""
    several = int(numbers.max()) + 1
    if several == 1:
        most = float(np.abs(values).max())
        return -most, most
    sums, sizes = np.bincount(numbers, values), np.bincount(numbers)
    drawn = resampled(
        lambda times: (times @ sums) / (times @ sizes), np.full(several, 1 / several),
        rows=several, width=several, rng=rng,
    )
    low, high = ends_of_groups(drawn, float(values.mean()), several, level)
    return float(low), float(high)


def resampled(
    scores_of: Callable[[np.ndarray], np.ndarray],
    shares: np.ndarray,
    *,
    rows: int,
    width: int,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """The scores of resamples of rows of which many are alike.

    Args:
        scores_of: from counts a kind (some resamples, kinds) to (some resamples, ...).
        shares: float (kinds,): of each kind among all rows; they add up to 1.
        rows: how many rows a resample has.
        width: how many numbers scores_of holds a resample, to keep memory bounded.
        rng: draws the resamples.

    Returns:
        (resamples, ...).

    Raises:
        ShapeError: no rows.
    """
    if rows < 1:
        raise ShapeError("An interval needs at least one row.")
    at_once = max(1, _NUMBERS_AT_ONCE // max(width, 1))
    drawn = (
        rng.multinomial(rows, shares, size=min(at_once, resamples - start))
        for start in range(0, resamples, at_once)
    )
    return np.concatenate([scores_of(counts) for counts in drawn])


def percentiles(scores: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """The ends between which `level` of the scores (resamples, ...) lie: two arrays (...)."""
    tail = (1 - level) / 2
    low, high = np.quantile(scores, [tail, 1 - tail], axis=0)
    return low, high
