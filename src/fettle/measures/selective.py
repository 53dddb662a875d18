"""Selective answers: confidence and right answers in, what it brings to leave unsure rows out."""

from collections.abc import Sequence

import numpy as np

from fettle.core.errors import ShapeError
from fettle.core.evaluation import Abstention, Coverage, LookAt, Threshold
from fettle.core.score import Score
from fettle.measures.intervals import percentiles, wilson

__all__ = ["abstention", "area", "best_area", "coverage", "threshold_for", "wrong_and_sure"]

WANTED = (0.90, 0.95, 0.99)
SHARES = tuple(step / 20 for step in range(1, 21))
"""Of the rows answered, at the points of the curve that are kept."""
SURE = 0.80
"""Level of the interval whose lower end must reach the wanted accuracy on validation: it does so
by luck in one case of ten."""
FEWEST = 20
_RESAMPLES = 500


def abstention(
    confidence: np.ndarray,
    right: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    rng: np.random.Generator,
    wanted: Sequence[float] = WANTED,
) -> Abstention:
    """The curve of accuracy against coverage, its area, and thresholds for wanted accuracies.

    Args:
        confidence: float (rows,), of the test rows.
        right: bool (rows,).
        validation: the same two of rows that the thresholds are chosen on.
        rng: draws the resamples.
        wanted: accuracies, each above 0 and below 1.

    Raises:
        ShapeError: confidence and right differ in rows, or have none.

    Source: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS
    2017, section 2.
    """
    _require_rows(confidence, right)
    rows = len(confidence)
    drawn = [
        area(confidence[at], right[at])
        for at in (rng.integers(rows, size=rows) for _ in range(_RESAMPLES))
    ]
    low, high = percentiles(np.asarray(drawn))
    found = area(confidence, right)
    return Abstention(
        curve=_curve(confidence, right),
        area=Score("area_under_risk_coverage", found, float(low), float(high), rows),
        best_area=best_area(right),
        thresholds=tuple(_judged(one, validation, confidence, right) for one in wanted),
    )


def coverage(
    confidence: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At each different confidence, the highest first: it, the rows at or above it, those right.

    Args:
        confidence: float (rows,).
        right: bool (rows,).
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    last = np.flatnonzero(np.diff(sorted_confidence, append=-np.inf))
    return sorted_confidence[last], last + 1, np.cumsum(right[order])[last]


def area(confidence: np.ndarray, right: np.ndarray) -> float:
    """The mean risk over all coverages; rows of equal confidence share their risk.

    Args:
        confidence: float (rows,).
        right: bool (rows,).

    Source: Geifman et al., "Bias-Reduced Uncertainty Estimation", ICLR 2019, section 2.
    """
    _, answered, hits = coverage(confidence, right)
    ranks = np.arange(1, len(right) + 1)
    # Within a tie, hits come at an even rate.
    hit = np.interp(ranks, np.append(0, answered), np.append(0, hits))
    return float((1 - hit / ranks).mean())


def best_area(right: np.ndarray) -> float:
    """The area of a model that is surer of every right answer than of any wrong one."""
    rows, wrong = len(right), int((~right).sum())
    answered = np.arange(1, rows + 1)
    return float((np.maximum(answered - (rows - wrong), 0) / answered).mean())


def threshold_for(wanted: float, confidence: np.ndarray, right: np.ndarray) -> float | None:
    """The lowest confidence at or above which answers are right often enough.

    Often enough: the lower end of the 80% Wilson interval of their accuracy reaches what is
    wanted, on at least 20 rows.

    Args:
        wanted: an accuracy, above 0 and below 1.
        confidence: float (rows,), of rows that the model did not learn from.
        right: bool (rows,).

    Returns:
        None where no confidence will do.
    """
    at, answered, hits = coverage(confidence, right)
    for number in range(len(at) - 1, -1, -1):
        if answered[number] < FEWEST:
            return None
        if wilson(int(hits[number]), int(answered[number]), SURE)[0] >= wanted:
            return float(at[number])
    return None


def wrong_and_sure(
    why: str, ids: Sequence[str], confidence: np.ndarray, said: np.ndarray, targets: np.ndarray,
    labels: Sequence[str], *, most: int = 15,
) -> tuple[LookAt, ...]:
    """The wrong rows that the model is surest of, the surest first.

    Args:
        why: a person should look at them.
        ids: one a row.
        confidence: float (rows,).
        said, targets: int (rows,); each in [0, len(labels)).
        labels: of the classes.
        most: how many at most.
    """
    order = [row for row in np.argsort(-confidence, kind="stable") if said[row] != targets[row]]
    return tuple(
        LookAt(ids[row], why, labels[targets[row]], labels[said[row]], float(confidence[row]))
        for row in order[:most]
    )


def _judged(
    wanted: float, validation: tuple[np.ndarray, np.ndarray], confidence: np.ndarray,
    right: np.ndarray,
) -> Threshold:
    """A threshold from validation rows, and what it does to test rows."""
    threshold = threshold_for(wanted, *validation)
    if threshold is None:
        return Threshold(wanted, None)
    answered = confidence >= threshold
    rows, hits = int(answered.sum()), int((right & answered).sum())
    return Threshold(
        wanted,
        threshold,
        Score("coverage", rows / len(right), *wilson(rows, len(right)), len(right)),
        Score("accuracy", hits / max(rows, 1), *wilson(hits, rows), rows),
    )


def _curve(confidence: np.ndarray, right: np.ndarray) -> tuple[Coverage, ...]:
    """The curve at every twentieth of the rows, as near as equal confidences allow."""
    at, answered, hits = coverage(confidence, right)
    rows = len(right)
    chosen = sorted({int(np.abs(answered - share * rows).argmin()) for share in SHARES})
    return tuple(
        Coverage(
            float(at[one]), float(answered[one] / rows),
            Score("accuracy", float(hits[one] / answered[one]),
                  *wilson(int(hits[one]), int(answered[one])), int(answered[one])),
        )
        for one in chosen
    )


def _require_rows(confidence: np.ndarray, right: np.ndarray) -> None:
    if len(confidence) != len(right) or not len(right):
        raise ShapeError(
            f"{len(confidence)} confidences and {len(right)} answers: both need the same rows, at "
            "least one."
        )
