"""Slices: one value a row and parts of the rows in, the parts that are worse or that lost out."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from fettle.core.errors import ShapeError
from fettle.core.evaluation import Slice
from fettle.core.task import ByRow
from fettle.measures.judging import RIGHT

__all__ = ["FEWEST", "judged"]

FEWEST = 50
"""A smaller slice says too little to be ranked."""
Q = 0.05
"""Of the slices that are called worse, or to have lost, at most this share is so by chance."""


def judged(
    parts: Sequence[tuple[str, str, np.ndarray]],
    values: np.ndarray,
    before: np.ndarray | None,
    *,
    by_row: ByRow = RIGHT,
    names: tuple[str, str] = ("before", "after"),
    groups: np.ndarray | None = None,
) -> tuple[Slice, ...]:
    """Every part of at least 50 rows, that with the worst end of its interval first.

    A slice is compared with all other rows (where rows are right or wrong: Fisher's exact test),
    and with itself before (exact McNemar); both p are adjusted over all slices. It lost where the
    adjusted p of a loss is at most 0.05 while the whole did not lose. Where rows hang together, the
    p against all others is the larger of that and Student's t over whole groups.

    Args:
        parts: (by, value, bool (rows,)) each.
        values: of the model, (rows,); bool where rows are right or wrong.
        before: of the one before.
        by_row: how such values are put together.
        names: of the one before and of the model.
        groups: int (rows,), numbered from 0, where rows hang together: they count whole.

    Raises:
        ShapeError: a part, or before, differs in rows.

    Source: Benjamini and Hochberg, J. R. Statist. Soc. B 57, 1995; Chung et al., "Slice Finder",
    ICDE 2019, for testing slices against their complement.
    """
    from scipy.stats import false_discovery_control

    for _, value, part in (*parts, *([("", "before", before)] if before is not None else [])):
        if len(part) != len(values):
            raise ShapeError(f"{len(part)} rows of {value!r} and {len(values)} answers differ.")
    large = [(by, value, part) for by, value, part in parts
             if FEWEST <= part.sum() < len(values)]
    if not large:
        return ()
    worse = false_discovery_control([_worse(values, part, groups, by_row) for *_, part in large])
    changes = [
        None if before is None else by_row.compare(
            *names, before[part], values[part], _of(groups, part))
        for *_, part in large
    ]
    changed = false_discovery_control([1.0 if one is None else one.p for one in changes])
    whole_lost = before is not None and by_row.compare(*names, before, values, groups).high < 0
    found = [
        Slice(
            by, value, by_row.score(values[part], _of(groups, part)), float(worse[at]),
            change := changes[at],
            None if change is None else float(changed[at]),
            change is not None and change.difference < 0 and float(changed[at]) <= Q
            and not whole_lost,
        )
        for at, (by, value, part) in enumerate(large)
    ]
    return tuple(sorted(found, key=lambda one: (
        -one.score.high if by_row.less_is_better else one.score.low, one.by, one.value)))


def _worse(
    values: np.ndarray, part: np.ndarray, groups: np.ndarray | None, by_row: ByRow
) -> float:
    """The one-sided p that the part is worse than all other rows, by row and by group."""
    alone = by_row.worse(values[part], values[~part])
    if groups is None:
        return alone
    return max(alone, _worse_by_groups(values, part, groups, by_row.less_is_better))


def _worse_by_groups(
    values: np.ndarray, part: np.ndarray, groups: np.ndarray, less_is_better: bool
) -> float:
    """The one-sided p that the part's mean is the worse one; 1.0 where one group alone makes up the
    part or all the rest.

    Source: Cameron and Miller, "A Practitioner's Guide to Cluster-Robust Inference", Journal of
    Human Resources 50, 2015, section II; as many degrees of freedom as the side with fewer groups.
    """
    from scipy.special import stdtr

    fewest = min(len(np.unique(groups[rows])) for rows in (part, ~part))
    if fewest < 2:
        return 1.0
    means = float(values[part].mean()), float(values[~part].mean())
    off = np.where(part, (values - means[0]) / part.sum(), (means[1] - values) / (~part).sum())
    sums = np.bincount(groups, off)
    error = sqrt(fewest / (fewest - 1) * float((sums**2).sum()))
    gap = (means[0] - means[1]) * (-1 if less_is_better else 1)
    if error <= 1e-12:
        return 0.0 if gap < 0 else 1.0
    return float(stdtr(fewest - 1, gap / error))


def _of(groups: np.ndarray | None, part: np.ndarray) -> np.ndarray | None:
    """The groups of these rows, where there are any."""
    return None if groups is None else groups[part]
