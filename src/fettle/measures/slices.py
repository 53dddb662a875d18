"""Slices: right answers and parts of the rows in, the parts that are worse or that lost out."""

from collections.abc import Sequence

import numpy as np

from fettle.core.errors import ShapeError
from fettle.core.evaluation import Slice
from fettle.measures.judging import accuracy, compare

__all__ = ["FEWEST", "judged"]

FEWEST = 50
"""A smaller slice says too little to be ranked."""
Q = 0.05
"""Of the slices that are called worse, or to have lost, at most this share is so by chance."""


def judged(
    parts: Sequence[tuple[str, str, np.ndarray]],
    right: np.ndarray,
    before: np.ndarray | None,
    *,
    names: tuple[str, str] = ("before", "after"),
) -> tuple[Slice, ...]:
    """Every part of at least 50 rows, the lowest lower bound of accuracy first.

    A slice is compared with all other rows (Fisher's exact test), and with itself before (exact
    McNemar); both p are adjusted over all slices. It lost where the adjusted p of a loss is at
    most 0.05 while the whole did not lose.

    Args:
        parts: (by, value, bool (rows,)) each.
        right: bool (rows,): is the model right?
        before: bool (rows,): was the one before?
        names: of the one before and of the model.

    Raises:
        ShapeError: a part, or before, differs in rows.

    Source: Benjamini and Hochberg, J. R. Statist. Soc. B 57, 1995; Chung et al., "Slice Finder",
    ICDE 2019, for testing slices against their complement.
    """
    from scipy.stats import false_discovery_control

    for _, value, part in (*parts, *([("", "before", before)] if before is not None else [])):
        if len(part) != len(right):
            raise ShapeError(f"{len(part)} rows of {value!r} and {len(right)} answers differ.")
    large = [(by, value, part) for by, value, part in parts
             if FEWEST <= part.sum() < len(right)]
    if not large:
        return ()
    worse = false_discovery_control([_fisher(right[part], right[~part]) for *_, part in large])
    changes = [
        None if before is None else compare(*names, before[part], right[part])
        for *_, part in large
    ]
    changed = false_discovery_control([1.0 if one is None else one.p for one in changes])
    whole_lost = before is not None and compare(*names, before, right).high < 0
    found = [
        Slice(
            by, value, accuracy(right[part]), float(worse[at]), change := changes[at],
            None if change is None else float(changed[at]),
            change is not None and change.difference < 0 and bool(changed[at] <= Q)
            and not whole_lost,
        )
        for at, (by, value, part) in enumerate(large)
    ]
    return tuple(sorted(found, key=lambda one: (one.accuracy.low, one.by, one.value)))


def _fisher(inside: np.ndarray, outside: np.ndarray) -> float:
    """The one-sided p that the slice is worse than the other rows."""
    from scipy.stats import hypergeom

    hits, rows = int(inside.sum()), len(inside)
    all_hits, all_rows = hits + int(outside.sum()), rows + len(outside)
    return min(1.0, float(hypergeom.cdf(hits, all_rows, all_hits, rows)))
