"""Two models on the same rows: how much better is the second, and could it be chance?

First and second are always in this order; a difference is the second minus the first. A win is
a row that only the second gets right, a loss a row that only the first does.
"""

from collections.abc import Callable
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np

from fettle.core.errors import ShapeError
from fettle.measures.groups import patterns
from fettle.measures.intervals import (
    LEVEL,
    RESAMPLES,
    ends_of_groups,
    percentiles,
    resampled,
    wilson,
)

__all__ = [
    "mcnemar",
    "more_rows_to_tell",
    "newcombe",
    "paired_interval",
    "paired_loss",
    "paired_score_loss",
    "rows_needed",
    "smallest_gain",
]


def newcombe(
    wins: float, losses: float, both_right: float, both_wrong: float, *, level: float = LEVEL
) -> tuple[float, float, float]:
    """The difference between two paired shares and its interval: (difference, low, high).

    Args:
        wins: rows that only the second gets right.
        losses: rows that only the first gets right.
        both_right: rows that both get right.
        both_wrong: rows that neither gets right. Of all four, shares of rows where groups of rows
            count for less than their rows.
        level: how often the interval should hold the true difference.

    Returns:
        All three from -1 to 1.

    Raises:
        ShapeError: no rows, or a count below 0.

    Source: Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17, 1998: method 10.
    """
    rows = wins + losses + both_right + both_wrong
    if rows < 0.999 or min(wins, losses, both_right, both_wrong) < 0:
        raise ShapeError("A paired difference needs at least one row, and no count below 0.")
    second, first = both_right + wins, both_right + losses
    share_2, share_1 = second / rows, first / rows
    low_2, high_2 = wilson(second, rows, level)
    low_1, high_1 = wilson(first, rows, level)

    together = float(both_right * both_wrong - wins * losses)
    if together > 0:
        together = max(together - rows / 2, 0.0)  # the continuity correction of method 10
    spread = second * (rows - second) * first * (rows - first)
    phi = together / sqrt(spread) if spread else 0.0

    difference = (wins - losses) / rows
    down, up = share_2 - low_2, high_1 - share_1
    below = sqrt(max(down**2 - 2 * phi * down * up + up**2, 0.0))
    down, up = share_1 - low_1, high_2 - share_2
    above = sqrt(max(down**2 - 2 * phi * down * up + up**2, 0.0))
    return difference, difference - below, difference + above


def mcnemar(wins: int, losses: int) -> float:
    """The exact two-sided p of McNemar's test: the binomial test of wins against losses.

    Args:
        wins: rows that only the second gets right.
        losses: rows that only the first gets right.

    Returns:
        The chance of a split at least this uneven between equally good models; 1.0 without
        a row on which they differ.

    Source: McNemar, Psychometrika 12, 1947.
    """
    from scipy.special import bdtr

    differing = wins + losses
    if differing == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(wins, losses), differing, 0.5)))


def rows_needed(
    gain: float, *, discordant: float | None = None, power: float = 0.8, alpha: float = 0.05
) -> int:
    """How many test rows show a gain in accuracy with McNemar's test.

    n = (z(1 - alpha/2) sqrt(d) + z(power) sqrt(d - gain^2))^2 / gain^2, where d is the share of
    rows on which the two models differ in being right.

    Args:
        gain: the difference in accuracy, above 0 and at most 1.
        discordant: d; it cannot be below the gain, and is taken as the gain if it is. By
            default min(0.04 + 2 gain, 0.06 + 1.2 gain), which is what models that are a gain
            apart tend to show: 6% for one point, 12% for five, 18% for ten.
        power: how often such a gain should be found.
        alpha: how often a gain may be found where there is none.

    Raises:
        ShapeError: the gain is not above 0 and at most 1.

    Source: Connor, "Sample size for testing differences in proportions for the paired-sample
    design", Biometrics 43, 1987.
    """
    if not 0 < gain <= 1:
        raise ShapeError(f"A gain of {gain} cannot be: it lies above 0 and is at most 1.")
    if discordant is None:
        discordant = min(0.04 + 2 * gain, 0.06 + 1.2 * gain)
    differing = min(max(discordant, gain), 1.0)
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    root = z_alpha * sqrt(differing) + z_power * sqrt(max(differing - gain**2, 0.0))
    return ceil(root**2 / gain**2 - 1e-9)


def more_rows_to_tell(
    wins: int, losses: int, rows: int, *, effect: float = 1.0
) -> int | None:
    """How many more test rows would show this difference, were it the true one, in 80% of cases.

    Args:
        wins: rows that only the second model gets right.
        losses: rows that only the first gets right.
        rows: all of them.
        effect: how many of them tell as much as one that is alone; above 1 where they hang
            together.

    Returns:
        0 where these are enough; None where wins and losses are even, so that no number will do.
    """
    if wins == losses:
        return None
    gain, differing = abs(wins - losses) / rows, (wins + losses) / rows
    return max(ceil(rows_needed(gain, discordant=differing) * effect) - rows, 0)


def smallest_gain(
    rows: int, *, discordant: float | None = None, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest gain in accuracy that this many test rows can show, to 0.0001.

    Args:
        rows: how many test rows there are.
        discordant: share of rows on which the models differ in being right; by default the
            assumption of `rows_needed`.
        power: how often such a gain should be found.
        alpha: how often a gain may be found where there is none.

    Returns:
        From 0.0001 to 1.0; 1.0 also where not even that would show.
    """
    low, high = 0, 10_000
    while high - low > 1:
        middle = (low + high) // 2
        needed = rows_needed(middle / 10_000, discordant=discordant, power=power, alpha=alpha)
        low, high = (low, middle) if needed <= rows else (middle, high)
    return high / 10_000


def paired_loss(
    best: np.ndarray, other: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, float]:
    """How much accuracy is lost by taking the other model: (mean, its standard error).

    The keeping rule takes the cheapest whose mean loss is at most one standard error.

    Args:
        best: bool (rows,): is the best model right?
        other: bool (rows,): is the other?
        groups: int (rows,), numbered from 0, where rows hang together.

    Returns:
        The mean of best minus other, and that mean's standard error over rows, or over groups
        where that is greater; 0.0 where all rows agree, or there is only one.

    Raises:
        ShapeError: the two differ in rows, or have none.

    Source: of groups: Cameron and Miller, "A Practitioner's Guide to Cluster-Robust Inference",
    Journal of Human Resources 50, 2015, section II.
    """
    if len(best) != len(other) or len(best) == 0:
        raise ShapeError(f"{len(best)} and {len(other)} rows: both need the same, at least one.")
    losses = np.asarray(best, dtype=float) - np.asarray(other, dtype=float)
    error = losses.std(ddof=1) / sqrt(len(losses)) if len(losses) > 1 else 0.0
    if groups is not None and (several := int(groups.max()) + 1) > 1:
        sums = np.bincount(groups, losses - losses.mean())
        whole = sqrt(several / (several - 1) * np.square(sums).sum()) / len(losses)
        error = max(error, whole)
    return float(losses.mean()), float(error)


def paired_score_loss(
    score: Callable[[np.ndarray], np.ndarray],
    targets: np.ndarray,
    best: np.ndarray,
    other: np.ndarray,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """As `paired_loss`, for any score of the confusion counts, by resampling rows in pairs.

    Args:
        score: from counts (resamples, classes, classes) to (resamples,): macro_f1_of.
        targets: int (rows,), at least 0.
        best: int (rows,): what the best model says.
        other: int (rows,): what the other says.
        rng: draws the resamples.
        groups: int (rows,), numbered from 0, where rows hang together.

    Returns:
        The loss on these rows, and its bootstrap standard error, by row or by group, whichever is
        greater.

    Raises:
        ShapeError: the three differ in rows, or have none.
    """
    loss, losses = _paired_differences(score, targets, other, best, rng, resamples)
    error = float(losses.std(ddof=1))
    if groups is not None:
        _, whole = _paired_differences(score, targets, other, best, rng, resamples, groups)
        error = max(error, float(whole.std(ddof=1)))
    return loss, error


def paired_interval(
    score: Callable[[np.ndarray], np.ndarray],
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    rng: np.random.Generator,
    level: float = LEVEL,
    groups: np.ndarray | None = None,
) -> tuple[float, float, float]:
    """The difference of a score between two models, and its paired bootstrap interval.

    Args:
        score: from counts (resamples, classes, classes) to (resamples,): macro_f1_of.
        targets: int (rows,), at least 0.
        first: int (rows,): what the first model says.
        second: int (rows,): what the second says.
        rng: draws 2,000 resamples.
        level: the share of resamples inside.
        groups: int (rows,), numbered from 0, where rows hang together: they are drawn whole.

    Returns:
        (difference, low, high): second minus first; -1.0 to 1.0 where all rows are one group.

    Raises:
        ShapeError: the three differ in rows, or have none.

    Source: Koehn, "Statistical Significance Tests for Machine Translation Evaluation", 2004.
    """
    difference, differences = _paired_differences(
        score, targets, first, second, rng, RESAMPLES, groups
    )
    if groups is None:
        low, high = percentiles(differences, level)
        return difference, float(low), float(high)
    if not groups.any():
        return difference, -1.0, 1.0
    low, high = ends_of_groups(differences, difference, int(groups.max()) + 1, level)
    return difference, max(float(low), -1.0), min(float(high), 1.0)


def _paired_differences(
    score: Callable[[np.ndarray], np.ndarray],
    targets: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
    groups: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """second minus first on the rows, and on each resample of them, (resamples,).

    A row is one of the kinds (target, first, second) that occur; kinds are what is drawn.
    """
    if not len(targets) == len(first) == len(second) or len(targets) == 0:
        raise ShapeError(
            f"{len(targets)} targets and {len(first)} and {len(second)} predictions: "
            "all need the same rows, at least one."
        )
    classes = 1 + int(max(np.max(targets), np.max(first), np.max(second)))
    rows = np.stack([targets, first, second]).astype(np.int64)
    kinds, of_row, times = np.unique(rows, axis=1, return_inverse=True, return_counts=True)
    cells_1, cells_2 = kinds[0] * classes + kinds[1], kinds[0] * classes + kinds[2]

    def differences_of(drawn: np.ndarray) -> np.ndarray:
        before, after = _tables(drawn, cells_1, classes), _tables(drawn, cells_2, classes)
        return score(after) - score(before)

    made, shares = None, times / len(targets)
    if groups is not None:
        made, shares = patterns(of_row.ravel(), groups)
    differences = resampled(
        lambda drawn: differences_of(drawn if made is None else drawn @ made), shares,
        rows=len(targets) if groups is None else int(groups.max()) + 1,
        width=2 * classes**2 + len(times), rng=rng, resamples=resamples,
    )
    return float(differences_of(times[None, :])[0]), differences


def _tables(drawn: np.ndarray, cells: np.ndarray, classes: int) -> np.ndarray:
    """Confusion counts (resamples, classes, classes) from counts of kinds (resamples, kinds)."""
    order = np.argsort(cells, kind="stable")
    filled, starts = np.unique(cells[order], return_index=True)
    tables = np.zeros((len(drawn), classes**2), dtype=np.int64)
    tables[:, filled] = np.add.reduceat(drawn[:, order], starts, axis=1)
    return tables.reshape(-1, classes, classes)
