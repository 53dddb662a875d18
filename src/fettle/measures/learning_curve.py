"""Learning curves: errors at several sizes in, a power law and what more rows would bring out.

A curve that does not fall, or that no power law follows, gives no forecast: ill-behaved curves
exist, and a number would be made up.
"""

import numpy as np

from fettle.core.evaluation import CurvePoint, Forecast, LearningCurve
from fettle.core.score import Score
from fettle.core.task import ByRow
from fettle.measures.intervals import ends_of_groups, percentiles
from fettle.measures.judging import RIGHT

__all__ = ["curve", "fit_power_law", "predicted"]

FARTHEST = 4
"""A forecast reaches at most to so many times the rows that were seen."""
USUAL = 400
"""More rows that a person may think of labelling."""
ONE_GROUP = "No reliable fit: all test rows are one group, which tells nothing of other groups."
_RESAMPLES = 400
_EXPONENTS = np.linspace(0.1, 2.0, 39)
_STRAY = 3.0
"""Standard errors by which a point may lie off the curve, or above the point before it."""


def curve(
    values: np.ndarray, sizes: np.ndarray, *, rows: int, rng: np.random.Generator,
    by_row: ByRow = RIGHT, groups: np.ndarray | None = None,
) -> LearningCurve:
    """The score at each size with its interval, the power law through them, and forecasts.

    Args:
        values: (sizes, subsets, test rows): how well a head did that saw a subset of that size;
            where rows are right or wrong, 1 or 0.
        sizes: int (sizes,), rising.
        rows: that there are to learn from; forecasts are of more than these.
        rng: draws test rows and subsets.
        by_row: what the values are.
        groups: int (test rows,), numbered from 0, where these hang together: they are drawn whole.

    Source: Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017, section 3;
    Viering and Loog, "The Shape of Learning Curves", IEEE TPAMI 2023, for when not to believe it.
    """
    losses = values if by_row.less_is_better else 1.0 - values
    several = None if groups is None else int(groups.max()) + 1
    errors = _errors(losses, rng, groups)  # (resamples, sizes)
    error = losses.mean(axis=(1, 2))
    low, high = _ends(errors, error, several)
    if several == 1:
        low, high = np.zeros(len(sizes)), np.full(len(sizes), losses.max())
    ends = (low, high) if by_row.less_is_better else (np.maximum(1 - high, 0.0), 1 - low)
    shown = error if by_row.less_is_better else 1 - error
    points = tuple(
        CurvePoint(int(size), Score(by_row.name, float(shown[at]), float(ends[0][at]),
                                    float(ends[1][at]), values.shape[2]))
        for at, size in enumerate(sizes)
    )
    law = fit_power_law(sizes, error[None], _weights(errors))[0]
    why_not = ONE_GROUP if several == 1 else _why_not(sizes, error, errors, law, several)
    if why_not:
        return LearningCurve(points, None, (), why_not)
    laws = fit_power_law(sizes, errors, _weights(errors))
    forecasts = tuple(
        _forecast(law, laws, rows, more, several) for more in _more(rows, int(sizes[-1])))
    why = (
        "A power law through heads solved on the frozen features of parts of the rows; the model "
        "itself may gain more or less."
        + (" Groups were taken whole: it speaks of rows of further groups." if several else "")
    )
    a, b, c = (float(number) for number in law)
    return LearningCurve(points, (a, b, c), forecasts, why)


def fit_power_law(sizes: np.ndarray, errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The (a, b, c) of error = a + b * rows ** -c with the least weighted squares, a line each.

    Args:
        sizes: int (sizes,).
        errors: float (curves, sizes).
        weights: float (sizes,), above 0.

    Returns:
        (curves, 3): a and b at least 0, c from 0.1 to 2.
    """
    best = np.full(len(errors), np.inf)
    found = np.zeros((len(errors), 3))
    for c in _EXPONENTS:
        x = sizes.astype(float) ** -c
        total, mean_x = weights.sum(), (weights * x).sum() / weights.sum()
        mean_y = (errors @ weights) / total
        slope = ((errors - mean_y[:, None]) * weights * (x - mean_x)).sum(axis=1)
        slope /= (weights * (x - mean_x) ** 2).sum()
        level = mean_y - slope * mean_x
        through_zero = (errors * weights * x).sum(axis=1) / (weights * x * x).sum()
        b = np.maximum(np.where(level < 0, through_zero, slope), 0.0)
        a = np.where(level < 0, 0.0, np.where(slope < 0, mean_y, level))
        loss = (weights * (errors - a[:, None] - b[:, None] * x) ** 2).sum(axis=1)
        better = loss < best
        best[better] = loss[better]
        found[better] = np.stack([a, b, np.full(len(a), c)], axis=1)[better]
    return found


def predicted(laws: np.ndarray, rows: float) -> np.ndarray:
    """The error at so many rows, (curves,), by laws (curves, 3)."""
    return np.asarray(laws[:, 0] + laws[:, 1] * rows ** -laws[:, 2])


def _errors(
    losses: np.ndarray, rng: np.random.Generator, groups: np.ndarray | None
) -> np.ndarray:
    """Errors of resampled test rows, groups whole, and subsets: (resamples, sizes)."""
    sizes, subsets, rows = losses.shape
    several = rows if groups is None else int(groups.max()) + 1
    times = rng.multinomial(several, np.full(several, 1 / several), size=_RESAMPLES)
    times = times if groups is None else times[:, groups]
    means = times @ losses.reshape(-1, rows).T.astype(float) / times.sum(axis=1, keepdims=True)
    means = means.reshape(_RESAMPLES, sizes, subsets)
    drawn = rng.integers(subsets, size=means.shape)
    return np.asarray(np.take_along_axis(means, drawn, axis=2).mean(axis=2))


def _ends(
    drawn: np.ndarray, measured: np.ndarray, several: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of errors from resamples of rows, or of so many groups; none is below 0."""
    if several is None or several == 1:
        return percentiles(drawn)
    low, high = ends_of_groups(drawn, measured, several)
    return np.maximum(low, 0.0), high


def _weights(errors: np.ndarray) -> np.ndarray:
    return np.asarray(1 / np.maximum(errors.var(axis=0), 1e-8))


def _why_not(
    sizes: np.ndarray, error: np.ndarray, errors: np.ndarray, law: np.ndarray,
    several: int | None,
) -> str:
    """Why the curve is not to be believed; empty where it is."""
    if len(sizes) < 4:
        return "No reliable fit: there are too few rows to learn from for four sizes."
    steps = np.diff(error)
    strays = np.diff(errors, axis=1).std(axis=0)
    rises = np.flatnonzero(steps > _STRAY * strays)
    if len(rises):
        return (
            f"No reliable fit: from {sizes[rises[0]]:,} to {sizes[rises[0] + 1]:,} rows the error "
            "rises by more than chance."
        )
    falls = errors[:, 0] - errors[:, -1]
    if _ends(falls, error[0] - error[-1], several)[0] <= 0:
        return (
            f"No reliable fit: from {sizes[0]:,} to {sizes[-1]:,} rows the error does not fall by "
            "more than chance."
        )
    off = np.abs(error - _along(law, sizes)) > _STRAY * errors.std(axis=0)
    if off.any():
        return "No reliable fit: no power law runs through the points."
    return ""


def _along(law: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The errors of one law at several sizes, (sizes,)."""
    return np.asarray(law[0] + law[1] * sizes.astype(float) ** -law[2])


def _more(rows: int, seen: int) -> list[int]:
    """How many more rows to speak of: 400, as many again, and three times as many."""
    return [
        more for more in sorted({USUAL, rows, 3 * rows}) if rows + more <= FARTHEST * seen
    ]


def _forecast(
    law: np.ndarray, laws: np.ndarray, rows: int, more: int, several: int | None
) -> Forecast:
    gains = predicted(laws, rows) - predicted(laws, rows + more)
    gain = (predicted(law[None], rows) - predicted(law[None], rows + more))[0]
    low, high = _ends(gains, gain, several)
    return Forecast(more, float(gain), min(float(low), float(gain)), max(float(high), float(gain)))
