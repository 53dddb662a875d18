"""Gates where numbers are answered: the errors of champion and challenger in, gates out."""

from collections.abc import Sequence

import numpy as np

from fettle.core.score import number
from fettle.core.version import Gate
from fettle.measures import gating

__all__ = ["SLICE_ROWS", "compare_numbers"]

SLICE_ROWS = 50
"""A slice of fewer rows is not judged."""
MARGIN_OF_ERRORS, SLICE_LOSS_OF_ERRORS = 0.02, 0.10
"""Shares of the champion's mean absolute error."""


def compare_numbers(
    truth: np.ndarray, said: tuple[np.ndarray, np.ndarray], fields: Sequence[tuple[str, ...]], *,
    rng: np.random.Generator, groups: np.ndarray | None = None,
) -> tuple[tuple[Gate, ...], int | None]:
    """The gates on the mean absolute error, over all rows and in thirds by length and truth; and
    about how many rows more would tell, where it cannot be told.

    Args:
        truth: (rows,); rows whose truth is no number are not compared.
        said: by the champion and by the challenger, (rows,) each.
        fields: what they read of each row.
        rng: of the resamples.
        groups: int (rows,), where rows hang together: they count whole.
    """
    known = np.isfinite(truth)
    first, second = (np.abs(one - truth)[known] for one in said)
    of = None if groups is None else groups[known]
    change, low, high = gating.error_change(first, second, rng=rng, groups=of)
    verdict = "pass" if low > -MARGIN_OF_ERRORS else "fail" if high < 0 else "cannot tell"
    sentence = (
        f"mean absolute error {number(second.mean(), 'mae')} against "
        f"{number(first.mean(), 'mae')}, "
        f"{change:+.1%} of it gained"
    )
    headline = Gate("mae", verdict, change, -MARGIN_OF_ERRORS, low, high, len(first), sentence)
    lengths = np.array([sum(map(len, row)) for row in fields], dtype=float)[known]
    worst: tuple[float, str, int] | None = None
    lost = []
    for name, values in (("length", lengths), ("truth", truth[known])):
        edges = np.quantile(values, [1 / 3, 2 / 3])
        for at, third in enumerate(("lowest", "middle", "highest")):
            part = np.searchsorted(edges, values, side="left") == at
            if part.sum() < SLICE_ROWS:
                continue
            gain, _, top = gating.error_change(first[part], second[part], rng=rng,
                                               groups=None if of is None else of[part])
            worst = min(worst or (np.inf, "", 0), (gain, f"the {third} third by {name}",
                                                   int(part.sum())))
            if gain < -SLICE_LOSS_OF_ERRORS and top < 0:
                lost.append(f"the {third} third by {name}")
    if worst is None:
        slices = Gate("slices", "pass", None, -SLICE_LOSS_OF_ERRORS, None, None, 0,
                      f"no slice has {SLICE_ROWS} rows, so none was judged")
    else:
        told = f"lost: {', '.join(lost)}; " if lost else ""
        told += f"{worst[0]:+.1%} on {worst[1]}, the most that was lost"
        slices = Gate("slices", "fail" if lost else "pass", worst[0], -SLICE_LOSS_OF_ERRORS, None,
                      None, worst[2], told)
    more = gating.more_rows_of_errors(first, second, margin=MARGIN_OF_ERRORS, groups=of)
    return (headline, slices), more if verdict == "cannot tell" else None
