"""Performance without labels: calibrated probabilities in, the expected score out.

A model whose probabilities hold is right as often as it says. That stays true where inputs
change, and no longer where what inputs mean has changed: a label that stands for something new
is not seen here. Nothing but labels shows that.
"""

from dataclasses import dataclass

import numpy as np

from fettle.core.errors import ShapeError

__all__ = ["BLIND", "Expected", "banded", "expected", "fallen"]

BLIND = (
    "Estimated from the model's own probabilities: blind to a change of what the labels mean, and "
    "wrong where the model is sure of things it never saw. Only labels show that; an audit stream "
    "of random rows gives them."
)
ERRORS = 3.0
"""Standard errors of the band, as monitoring commonly draws it."""
DRAWS = 400


@dataclass(frozen=True, slots=True)
class Expected:
    """A score as it is expected to be, with its band of three standard errors."""

    value: float
    low: float
    high: float
    error: float
    """One standard error."""
    rows: int


def expected(
    probabilities: np.ndarray, *, metric: str, rng: np.random.Generator, shift: float = 0.0
) -> Expected:
    """The score that these probabilities promise, if they hold.

    Args:
        probabilities: float (rows, classes), calibrated; each row sums to 1.
        metric: accuracy or macro_f1.
        rng: draws rows, and a label for each from its own probabilities.
        shift: added to the value: how much more was right than promised where labels were known.

    Raises:
        ShapeError: there is no row.

    Source: confidence-based performance estimation; Kivimäki et al., "Performance Estimation in
    Binary Classification Using Calibrated Confidence", arXiv 2505.05295, section 3.
    """
    rows = len(probabilities)
    if not rows:
        raise ShapeError("There is no row to estimate a score of.")
    if metric == "accuracy":
        sure = probabilities.max(axis=1)
        value = float(sure.mean())
        error = float(np.sqrt(value * (1 - value) / rows))
    else:
        said = probabilities.argmax(axis=1)
        cumulated = np.cumsum(probabilities, axis=1)
        drawn = []
        for _ in range(DRAWS):
            some = rng.integers(rows, size=rows)
            right = (cumulated[some] < rng.random((rows, 1))).sum(axis=1)
            drawn.append(_macro_f1(np.minimum(right, probabilities.shape[1] - 1), said[some],
                                   probabilities.shape[1]))
        value, error = float(np.mean(drawn)), float(np.std(drawn))
    return banded(value, error, rows=rows, shift=shift)


def banded(value: float, error: float, *, rows: int, shift: float = 0.0) -> Expected:
    """A score from 0 to 1 with its band.

    Args:
        value: what is promised.
        error: one standard error of it.
        rows: that promised it.
        shift: added to the value.
    """
    value = float(np.clip(value + shift, 0.0, 1.0))
    return Expected(value, max(value - ERRORS * error, 0.0), min(value + ERRORS * error, 1.0),
                    error, rows)


def fallen(reference: Expected, current: Expected, *, margin: float) -> bool:
    """Whether the expected score fell by more than the margin, and more than chance explains."""
    fall = reference.value - current.value
    return fall > max(margin, ERRORS * float(np.hypot(reference.error, current.error)))


def _macro_f1(right: np.ndarray, said: np.ndarray, classes: int) -> float:
    """Over the classes that occur."""
    hits = np.bincount(right[right == said], minlength=classes)
    both = np.bincount(right, minlength=classes) + np.bincount(said, minlength=classes)
    there = both > 0
    return float((2 * hits[there] / both[there]).mean())
