"""Selective answers: confidence and right answers in, what it brings to leave unsure rows out."""

from collections.abc import Sequence

import numpy as np

from fettle.core.errors import ShapeError
from fettle.core.evaluation import Abstention, Coverage, LookAt, Threshold
from fettle.core.score import Score
from fettle.measures.groups import drawing, effective_rows, together
from fettle.measures.intervals import ends_of_groups, percentiles, share_interval, wilson

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
    groups: np.ndarray | None = None,
    among: np.ndarray | None = None,
) -> Abstention:
    """The curve of accuracy against coverage, its area, and thresholds for wanted accuracies.

    Args:
        confidence: float (rows,), of the test rows.
        right: bool (rows,).
        validation: the same two of rows that the thresholds are chosen on.
        rng: draws the resamples.
        wanted: accuracies, each above 0 and below 1.
        groups: int (rows,), numbered from 0, where test rows hang together: they count whole.
        among: the same of the validation rows.

    Raises:
        ShapeError: confidence and right differ in rows, or have none.

    Source: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS
    2017, section 2.
    """
    _require_rows(confidence, right)
    worth = _worth(validation[1], among)
    return Abstention(
        curve=_curve(confidence, right, groups),
        area=_area(confidence, right, groups, rng),
        best_area=best_area(right),
        thresholds=tuple(
            _judged(one, threshold_for(one, *validation, worth=worth), confidence, right, groups)
            for one in wanted
        ),
    )


def _worth(right: np.ndarray, groups: np.ndarray | None) -> float:
    """For how much of a row that is alone each of these counts, from 0 to 1."""
    numbers = None if groups is None or not len(right) else together(groups)
    if numbers is None:
        return 1.0
    return effective_rows(right, numbers, level=SURE) / len(right)


def _area(
    confidence: np.ndarray, right: np.ndarray, groups: np.ndarray | None, rng: np.random.Generator
) -> Score:
    """The area with its interval; 0 to 1 where all rows are one group."""
    rows, value = len(right), area(confidence, right)
    draw = drawing(rows, groups, rng)
    found = np.array([area(confidence[at], right[at])
                      for at, _ in (draw() for _ in range(_RESAMPLES))])
    if groups is None:
        low, high = percentiles(found)
    elif groups.any():
        low, high = ends_of_groups(found, value, int(groups.max()) + 1)
    else:
        low, high = np.zeros(()), np.ones(())
    return Score("area_under_risk_coverage", value, max(float(low), 0.0), min(float(high), 1.0),
                 rows)


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


def threshold_for(
    wanted: float, confidence: np.ndarray, right: np.ndarray, *, worth: float = 1.0
) -> float | None:
    """The lowest confidence at or above which answers are right often enough.

    Often enough: the lower end of the 80% Wilson interval of their accuracy reaches what is
    wanted, on at least 20 rows.

    Args:
        wanted: an accuracy, above 0 and below 1.
        confidence: float (rows,), of rows that the model did not learn from.
        right: bool (rows,).
        worth: for how much of a row each counts, from 0 to 1; less than 1 where they hang together.

    Returns:
        None where no confidence will do.
    """
    at, answered, hits = coverage(confidence, right)
    for number in range(len(at) - 1, -1, -1):
        if worth * answered[number] < FEWEST:
            return None
        if wilson(worth * hits[number], worth * answered[number], SURE)[0] >= wanted:
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
    wanted: float, threshold: float | None, confidence: np.ndarray, right: np.ndarray,
    groups: np.ndarray | None,
) -> Threshold:
    """What a threshold, which validation rows gave, does to test rows."""
    if threshold is None:
        return Threshold(wanted, None)
    answered = confidence >= threshold
    share = Score("coverage", float(answered.mean()), *share_interval(answered, groups), len(right))
    return Threshold(wanted, threshold, share, _accuracy(right, answered, groups))


def _curve(
    confidence: np.ndarray, right: np.ndarray, groups: np.ndarray | None
) -> tuple[Coverage, ...]:
    """The curve at every twentieth of the rows, as near as equal confidences allow."""
    at, answered, _ = coverage(confidence, right)
    rows = len(right)
    chosen = sorted({int(np.abs(answered - share * rows).argmin()) for share in SHARES})
    return tuple(
        Coverage(float(at[one]), float(answered[one] / rows),
                 _accuracy(right, confidence >= at[one], groups))
        for one in chosen
    )


def _accuracy(right: np.ndarray, answered: np.ndarray, groups: np.ndarray | None) -> Score:
    """Of the rows that are answered."""
    rows = int(answered.sum())
    value = float(right[answered].mean()) if rows else 0.0
    of = None if groups is None else groups[answered]
    return Score("accuracy", value, *share_interval(right[answered], of), rows)


def _require_rows(confidence: np.ndarray, right: np.ndarray) -> None:
    if len(confidence) != len(right) or not len(right):
        raise ShapeError(
            f"{len(confidence)} confidences and {len(right)} answers: both need the same rows, at "
            "least one."
        )
