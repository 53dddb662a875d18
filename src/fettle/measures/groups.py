"""Groups: rows that hang together, in; what they are worth, and how chance treats them whole, out.

Rows of one customer, document or twin cluster come right or wrong together. Counting each as one
more witness makes every interval too narrow.
"""

from collections import Counter
from math import erfc, sqrt

import numpy as np

from fettle.core.errors import ShapeError

__all__ = ["effective_rows", "patterns", "sign_flip", "together"]

_LEVEL = 0.975
_EXACT = 20_000
"""Differing rows up to which the distribution of sign flips is worked out; above, it is normal."""


def together(groups: np.ndarray) -> np.ndarray | None:
    """The groups numbered from 0, int (rows,); None where every row is alone.

    Args:
        groups: int (rows,); equal where rows hang together.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    return None if len(names) == len(groups) else numbers


def effective_rows(values: np.ndarray, groups: np.ndarray) -> float:
    """How many rows that are alone would tell as much of the mean of these.

    Rows over the design effect, and less where so few groups are that their spread is itself
    unsure; the number of groups where all rows have one value; all rows where each is alone.

    Args:
        values: float (rows,), such as right (1) or wrong (0), or a paired difference.
        groups: int (rows,), numbered from 0; equal where rows hang together.

    Returns:
        From 1.0 to the number of rows.

    Raises:
        ShapeError: the two differ in rows, or have none.

    Source: Korn and Graubard, "Confidence intervals for proportions with small expected number
    of positive counts estimated from survey data", Survey Methodology 24, 1998; the clustered
    error is that of Miller, arXiv 2411.00640, section 2.2.
    """
    from scipy.special import stdtrit

    rows = len(values)
    if rows != len(groups) or rows == 0:
        raise ShapeError(f"{rows} values in {len(groups)} places: both need the same rows.")
    several = int(groups.max()) + 1
    if several == 1:
        return 1.0
    if several == rows:
        return float(rows)
    apart = np.asarray(values, dtype=float) - float(np.mean(values))
    alone = float((apart**2).sum())
    if alone <= 1e-12 * rows:
        return float(several)
    sums = np.bincount(groups, apart, minlength=several)
    effect = several / (several - 1) * float((sums**2).sum()) / alone
    unsure = float(stdtrit(rows - 1, _LEVEL) / stdtrit(several - 1, _LEVEL)) ** 2
    return float(np.clip(rows / max(effect, 1e-12) * unsure, 1.0, rows))


def sign_flip(differences: np.ndarray, groups: np.ndarray) -> float:
    """The chance that groups' differences, each as likely with the other sign, add up to as much.

    Exact, two-sided; with every row alone it is McNemar's exact test.

    Args:
        differences: int (rows,): 1 where only the second model is right, -1 where only the first.
        groups: int (rows,), numbered from 0.

    Source: Fisher, "The Design of Experiments", 1935, section 21, over groups.
    """
    sums = np.bincount(groups, differences).round().astype(int)
    sizes = np.abs(sums[sums != 0])
    whole, seen = int(sizes.sum()), abs(int(sums.sum()))
    if whole == 0:
        return 1.0
    if whole > _EXACT:
        return float(erfc(seen / sqrt(2 * float((sizes.astype(float) ** 2).sum()))))
    from scipy.stats import binom

    chance = np.ones(1)  # of the sum of those that are positive, (from 0 to its highest,)
    for size, times in Counter(sizes.tolist()).items():
        steps = np.zeros(size * times + 1)
        steps[::size] = binom.pmf(np.arange(times + 1), times, 0.5)
        chance = np.convolve(chance, steps)
    sums_of = np.abs(2 * np.arange(whole + 1) - whole)
    return float(min(1.0, chance[sums_of >= seen].sum()))


def patterns(kinds: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What groups are made of: counts (patterns, kinds), and each pattern's share of the groups.

    Drawing patterns by their shares, as many as there are groups, draws the groups themselves.

    Args:
        kinds: int (rows,), from 0: rows of one kind are alike in all that is scored.
        groups: int (rows,), numbered from 0.
    """
    order = np.lexsort((kinds, groups))
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    held = Counter(tuple(part.tolist()) for part in np.split(kinds[order], starts[1:]))
    counts = np.zeros((len(held), int(kinds.max()) + 1), dtype=np.int64)
    for number, pattern in enumerate(held):
        np.add.at(counts[number], list(pattern), 1)
    times = np.array(list(held.values()), dtype=float)
    return counts, times / times.sum()
