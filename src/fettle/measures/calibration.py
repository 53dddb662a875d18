"""Calibration: raw outputs and targets in, one temperature and how true the probabilities are out.

A bare calibration error means nothing on few rows, so each comes with what chance alone would
show: the 95% that rows drawn by the model's own probabilities stay below.
"""

from collections.abc import Callable

import numpy as np

from fettle.core.errors import ShapeError
from fettle.core.evaluation import Bin, Calibration, Reliability
from fettle.core.score import Score
from fettle.measures.intervals import LEVEL, mean_interval

__all__ = [
    "calibrated", "confidence_of", "debiased_error", "fitted_temperature", "log_probabilities",
    "reliability", "reliability_bins", "temperature",
]

BINS = 15
FEWEST_IN_BIN = 10
_RESAMPLES = 1000
_ROWS_AT_MOST = 20_000_000
"""Drawn in all; more rows need fewer resamples for a steady band."""
_LOG_RANGE = 3.0
_PRIOR = 1.0
"""Standard deviation of log T before any row is seen. It weighs as much as a handful of rows, and
keeps T finite where no validation row is wrong, so that the likelihood has no maximum."""


def temperature(outputs: np.ndarray, targets: np.ndarray) -> float:
    """The number that raw outputs are divided by so that their probabilities are likeliest.

    Minimised: the summed negative log-likelihood plus (log T)^2 / 2.

    Args:
        outputs: float (rows, classes), of rows that the network did not learn from.
        targets: int (rows,); each in [0, classes).

    Returns:
        Above 1 where the network is too sure of itself, below 1 where it is not sure enough;
        from 0.05 to 20. 1.0 without rows.

    Raises:
        ShapeError: outputs and targets differ in rows.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2; the
    prior is ours.
    """
    _require_rows(outputs, targets, fewest=0)
    raw, at = outputs.astype(np.float64), np.arange(len(targets))
    return fitted_temperature(
        lambda heat: float(log_probabilities(raw / heat)[at, targets].sum()), rows=len(targets)
    )


def fitted_temperature(likelihood: Callable[[float], float], *, rows: int) -> float:
    """The temperature at which rows are likeliest, from 0.05 to 20; 1.0 without rows.

    Args:
        likelihood: from a temperature to the summed log-likelihood of the rows.
        rows: how many there are.
    """
    from scipy.optimize import minimize_scalar

    if not rows:
        return 1.0
    found = minimize_scalar(
        lambda log_t: -likelihood(float(np.exp(log_t))) + (log_t / _PRIOR) ** 2 / 2,
        bounds=(-_LOG_RANGE, _LOG_RANGE), method="bounded", options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def calibrated(
    outputs: np.ndarray, targets: np.ndarray, heat: float, *, rows: int, source: str, seed: int
) -> Calibration:
    """Reliability before and after the outputs are divided by this temperature.

    Args:
        outputs: float (test rows, classes), as they come.
        targets: int (test rows,).
        heat: from `temperature`.
        rows: that it was fitted on.
        source: what rows those were.
        seed: of the resamples.
    """
    before, after = (
        reliability(outputs / by, targets, rng=np.random.default_rng(seed)) for by in (1.0, heat)
    )
    return Calibration(heat, rows, source, before, after)


def confidence_of(outputs: np.ndarray, heat: float) -> np.ndarray:
    """The probability of each answer at this temperature, (rows,), from (rows, classes)."""
    return np.asarray(np.exp(log_probabilities(outputs.astype(np.float64) / heat).max(axis=1)))


def log_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, (rows, classes), from raw outputs (rows, classes)."""
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def reliability(
    outputs: np.ndarray, targets: np.ndarray, *, rng: np.random.Generator
) -> Reliability:
    """NLL, Brier score and calibration error of raw outputs, with intervals and bins.

    Args:
        outputs: float (rows, classes); divided by the temperature already, where there is one.
        targets: int (rows,); a number of `classes` or more is a class that no output stands for.
        rng: draws the resamples.

    Raises:
        ShapeError: the two differ in rows, or have none.

    Source: Brier, Monthly Weather Review 78, 1950; Kumar et al., "Verified Uncertainty
    Calibration", NeurIPS 2019, section 5; Bröcker and Smith, "Increasing the Reliability of
    Reliability Diagrams", Weather and Forecasting 22, 2007, section 3.
    """
    _require_rows(outputs, targets)
    rows, classes = outputs.shape
    logs = log_probabilities(outputs.astype(np.float64))
    probabilities = np.exp(logs)
    known = targets < classes
    column = np.where(known, targets, 0)
    of_truth = np.where(known, probabilities[np.arange(rows), column], 0.0)
    nll = -np.where(known, logs[np.arange(rows), column], logs.min(axis=1))
    brier = (probabilities**2).sum(axis=1) - 2 * of_truth + 1
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets

    error = debiased_error(confidence, right)
    draws = [debiased_error(confidence[at], right[at])
             for at in (rng.integers(rows, size=rows) for _ in range(_resamples(rows) // 2))]
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    bins, by_chance = reliability_bins(confidence, right, rng=rng)
    return Reliability(
        nll=Score("nll", float(nll.mean()), *mean_interval(nll, rng=rng), rows),
        brier=Score("brier", float(brier.mean()), *mean_interval(brier, rng=rng), rows),
        error=Score("calibration_error", error, min(float(low), error), max(float(high), error),
                    rows),
        ece=sum(one.rows * abs(one.confidence - one.accuracy) for one in bins) / rows,
        ece_by_chance=by_chance,
        bins=bins,
    )


def debiased_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """The root mean square gap between confidence and accuracy, without what chance adds to it.

    The mean over bins of (confidence - accuracy)^2 - accuracy (1 - accuracy) / (rows - 1), and
    its root; 0.0 where that mean is negative.

    Args:
        confidence: float (rows,), from 0 to 1.
        right: bool (rows,).

    Source: Kumar et al., "Verified Uncertainty Calibration", NeurIPS 2019, section 5.
    """
    times, said, hits = _binned(_bin_of(confidence), confidence, right)
    accuracy = hits / times
    gap = (said / times - accuracy) ** 2
    chance = accuracy * (1 - accuracy) / np.maximum(times - 1, 1)
    return float(np.sqrt(max((times * (gap - chance)).sum() / times.sum(), 0.0)))


def reliability_bins(
    confidence: np.ndarray, right: np.ndarray, *, rng: np.random.Generator
) -> tuple[tuple[Bin, ...], float]:
    """Bins of equally many rows with their consistency bands; the ECE that chance stays below.

    Args:
        confidence: float (rows,), from 0 to 1.
        right: bool (rows,).
        rng: draws rows, and for each whether it is right with the probability that it claims.

    Returns:
        The bins, the least confident first; and the 95% quantile of the plug-in error of rows
        that are right exactly as often as they say.

    Source: Bröcker and Smith, Weather and Forecasting 22, 2007, section 3: consistency resampling.
    """
    bin_of = _bin_of(confidence)
    times, said, hits = _binned(bin_of, confidence, right)
    rows, bins = len(confidence), len(times)
    frequency = np.full((_resamples(rows), bins), np.nan)
    errors = np.empty(len(frequency))
    for number in range(len(frequency)):
        drawn = rng.integers(rows, size=rows)
        chance = rng.random(rows) < confidence[drawn]
        there = np.bincount(bin_of[drawn], minlength=bins)
        happened = np.bincount(bin_of[drawn], weights=chance, minlength=bins)
        claimed = np.bincount(bin_of[drawn], weights=confidence[drawn], minlength=bins)
        frequency[number, there > 0] = (happened / np.maximum(there, 1))[there > 0]
        errors[number] = np.abs(happened - claimed).sum() / rows
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(frequency, [tail, 1 - tail], axis=0)
    found = tuple(
        Bin(int(times[at]), float(said[at] / times[at]), float(hits[at] / times[at]),
            float(low[at]), float(high[at]))
        for at in range(bins)
    )
    return found, float(np.quantile(errors, LEVEL))


def _bin_of(confidence: np.ndarray) -> np.ndarray:
    """Bins of equally many rows, at least ten each; rows of equal confidence are never parted."""
    rows = len(confidence)
    bins = int(np.clip(rows // FEWEST_IN_BIN, 1, BINS))
    edges = np.unique(np.quantile(confidence, np.arange(1, bins) / bins, method="inverted_cdf"))
    _, numbered = np.unique(np.searchsorted(edges, confidence, side="left"), return_inverse=True)
    return numbered


def _binned(
    bin_of: np.ndarray, confidence: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each bin: rows, summed confidence, right answers; (bins,) each."""
    return (
        np.bincount(bin_of), np.bincount(bin_of, weights=confidence),
        np.bincount(bin_of, weights=right),
    )


def _resamples(rows: int) -> int:
    return int(np.clip(_ROWS_AT_MOST // max(rows, 1), 200, _RESAMPLES))


def _require_rows(outputs: np.ndarray, targets: np.ndarray, *, fewest: int = 1) -> None:
    if len(outputs) != len(targets) or len(targets) < fewest:
        raise ShapeError(
            f"{len(outputs)} outputs and {len(targets)} targets: both need the same rows, and at "
            f"least {fewest}."
        )
