"""Groups: rows that hang together, in; what they are worth, and how chance treats them whole, out.

Rows of one customer, document or twin cluster come right or wrong together. Counting each as one
more witness makes every interval too narrow.
"""

from collections import Counter
from collections.abc import Callable
from math import erfc, sqrt

import numpy as np

from fettle.core.errors import ShapeError

__all__ = [
    "FEW", "TRUSTED", "drawing", "effective_rows", "few_groups", "patterns", "reach", "sign_flip",
    "together",
]

FEW = 30
"""With fewer groups it is unsure how much they differ, and an interval has to reach further."""
TRUSTED = 10
"""With fewer groups even an interval that reaches further stands on little; a reader is told."""
_EXACT = 20_000
"""Differing rows up to which the distribution of sign flips is worked out; above, it is normal."""


def together(groups: np.ndarray) -> np.ndarray | None:
    """The groups numbered from 0, int (rows,); None where every row is alone.

    Args:
        groups: int (rows,); equal where rows hang together.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    return None if len(names) == len(groups) else numbers


def few_groups(several: int | None) -> tuple[str, ...]:
    """What a reader must know where so few groups of test rows judge; nothing from ten on.

    Args:
        several: groups; None where every row is alone.
    """
    if several is None or several >= TRUSTED:
        return ()
    if several == 1:
        return (
            "All test rows belong to one group: nothing here says how it goes with another group, "
            "so no interval can be trusted. Give test rows of ten groups or more.",
        )
    return (
        f"The test rows belong to {several} groups: with fewer than {TRUSTED} no interval can be "
        f"trusted. Each is widened, as far as Student's t with {several - 1} degrees of freedom "
        "reaches, which allows for chance and not for groups of a kind that is not among them. "
        "Give test rows of more groups.",
    )


def reach(several: int, level: float) -> float:
    """How many bootstrap standard errors an interval reaches up and down, of resampled groups.

    The bootstrap takes the groups for all there are, and so their spread for too small; and the
    spread of few is itself unsure: t sqrt(groups / (groups - 1)), which nears the normal quantile.

    Args:
        several: groups, two or more.
        level: how often the interval should hold the truth.

    Source: Cameron and Miller, "A Practitioner's Guide to Cluster-Robust Inference", Journal of
    Human Resources 50, 2015, section VI: t with one degree of freedom less than groups.
    """
    from scipy.special import stdtrit

    return float(stdtrit(several - 1, (1 + level) / 2)) * sqrt(several / (several - 1))


def drawing(
    rows: int, groups: np.ndarray | None, rng: np.random.Generator
) -> Callable[[], tuple[np.ndarray, np.ndarray | None]]:
    """A function that draws rows with replacement, groups whole.

    Args:
        rows: how many there are.
        groups: int (rows,), numbered from 0; None where each is alone.
        rng: draws.

    Returns:
        Each call gives row numbers, about as many as rows; and their groups, numbered by draw (one
        that is drawn twice counts as two), or None.
    """
    if groups is None:
        return lambda: (rng.integers(rows, size=rows), None)
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes

    def draw() -> tuple[np.ndarray, np.ndarray]:
        some = rng.integers(len(sizes), size=len(sizes))
        lengths = sizes[some]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return order[np.repeat(starts[some], lengths) + within], np.repeat(
            np.arange(len(some)), lengths)

    return draw


def effective_rows(values: np.ndarray, groups: np.ndarray, *, level: float = 0.95) -> float:
    """How many rows that are alone would tell as much of the mean of these.

    Rows over the design effect, and less where so few groups are that their spread is itself
    unsure; the number of groups where all rows have one value; all rows where each is alone.

    Args:
        values: float (rows,), such as right (1) or wrong (0), or a paired difference.
        groups: int (rows,), numbered from 0; equal where rows hang together.
        level: of the interval that the rows are counted for.

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
    end = (1 + level) / 2
    unsure = float(stdtrit(rows - 1, end) / stdtrit(several - 1, end)) ** 2
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
