"""Slices: one value a row and parts of the rows in, the parts that are worse or that lost out."""

from collections.abc import Sequence

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
    adjusted p of a loss is at most 0.05 while the whole did not lose.

    Args:
        parts: (by, value, bool (rows,)) each.
        values: of the model, (rows,); bool where rows are right or wrong.
        before: of the one before.
        by_row: how such values are put together.
        names: of the one before and of the model.
        groups: int (rows,), where rows hang together: intervals and changes count them whole.

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
    worse = false_discovery_control(
        [by_row.worse(values[part], values[~part]) for *_, part in large])
    changes = [
        None if before is None else by_row.compare(
            *names, before[part], values[part], *_of(groups, part))
        for *_, part in large
    ]
    changed = false_discovery_control([1.0 if one is None else one.p for one in changes])
    whole = () if groups is None else (groups,)
    whole_lost = before is not None and by_row.compare(*names, before, values, *whole).high < 0
    found = [
        Slice(
            by, value, by_row.score(values[part], *_of(groups, part)), float(worse[at]),
            change := changes[at],
            None if change is None else float(changed[at]),
            change is not None and change.difference < 0 and float(changed[at]) <= Q
            and not whole_lost,
        )
        for at, (by, value, part) in enumerate(large)
    ]
    return tuple(sorted(found, key=lambda one: (
        -one.score.high if by_row.less_is_better else one.score.low, one.by, one.value)))


def _of(groups: np.ndarray | None, part: np.ndarray) -> tuple[np.ndarray, ...]:
    """The groups of these rows, where there are any."""
    return () if groups is None else (groups[part],)
