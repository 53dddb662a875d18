"""Calibration where a row has several labels: one temperature, and how true probabilities are.

Each label of each row is a question of yes or no; what is said of it is the probability of yes.
"""

from dataclasses import replace

import numpy as np

from fettle.core.errors import ShapeError
from fettle.core.evaluation import Calibration, Reliability
from fettle.core.score import Score
from fettle.measures.calibration import (
    calibration_error,
    debiased_error,
    fitted_temperature,
    reliability_bins,
)
from fettle.measures.intervals import mean_interval, percentiles

__all__ = ["calibrated", "log_likelihood", "probabilities", "reliability", "temperature"]

_RESAMPLES = 500
_DECISIONS_AT_MOST = 20_000_000
"""Drawn in all; of more rows and labels, fewer resamples are as steady."""


def probabilities(outputs: np.ndarray, heat: float = 1.0) -> np.ndarray:
    """The probability of each label, float64 (rows, labels), from raw outputs (rows, labels)."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -outputs.astype(np.float64) / heat)))


def log_likelihood(outputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The log of the probability of each row's labels, summed over labels: float64 (rows,).

    Args:
        outputs: float (rows, labels), raw.
        truth: bool (rows, labels).

    Raises:
        ShapeError: the two differ in shape.
    """
    if outputs.shape != truth.shape or truth.ndim != 2:
        raise ShapeError(
            f"Outputs have shape {outputs.shape} and truth {truth.shape}: both must be (rows, "
            "labels) of the same rows and labels."
        )
    signed = np.where(truth, outputs, -outputs).astype(np.float64)
    return np.asarray(-np.logaddexp(0.0, -signed).sum(axis=1))


def temperature(outputs: np.ndarray, truth: np.ndarray) -> float:
    """The number that raw outputs are divided by so that their probabilities are likeliest.

    Args:
        outputs: float (rows, labels), of rows that the network did not learn from.
        truth: bool (rows, labels).

    Returns:
        Above 1 where the network is too sure of itself; from 0.05 to 20. 1.0 without rows.

    Raises:
        ShapeError: the two differ in shape.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2, for
    each label as a question of two answers.
    """
    log_likelihood(outputs, truth)
    return fitted_temperature(
        lambda heat: float(log_likelihood(outputs / heat, truth).sum()), rows=len(truth)
    )


def calibrated(
    outputs: np.ndarray, truth: np.ndarray, heat: float, *, rows: int, source: str, seed: int,
    groups: np.ndarray | None = None,
) -> Calibration:
    """Reliability before and after the outputs are divided by this temperature.

    Args:
        outputs: float (test rows, labels), as they come.
        truth: bool (test rows, labels).
        heat: from `temperature`.
        rows: that it was fitted on.
        source: what rows those were.
        seed: of the resamples.
        groups: int (test rows,), numbered from 0, where rows hang together.
    """
    before, after = (
        reliability(outputs / by, truth, rng=np.random.default_rng(seed), groups=groups)
        for by in (1.0, heat)
    )
    return Calibration(heat, rows, source, before, after)


def reliability(
    outputs: np.ndarray, truth: np.ndarray, *, rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> Reliability:
    """NLL, Brier score and calibration error of the probabilities of yes, over all labels.

    NLL and Brier score are means over labels, so that sets of few and of many labels compare;
    whole rows are drawn for the intervals, and whole groups where rows hang together.

    Args:
        outputs: float (rows, labels); divided by the temperature already, where there is one.
        truth: bool (rows, labels).
        rng: draws the resamples.
        groups: int (rows,), numbered from 0, where rows hang together.

    Raises:
        ShapeError: the two differ in shape, or have no rows.

    Source: Kumar et al., "Verified Uncertainty Calibration", NeurIPS 2019, section 5; Bröcker and
    Smith, Weather and Forecasting 22, 2007, section 3.
    """
    rows, labels = truth.shape
    nll = -log_likelihood(outputs, truth) / max(labels, 1)
    if not rows:
        raise ShapeError("How true probabilities are cannot be said without rows.")
    said = probabilities(outputs)
    brier = ((said - truth) ** 2).mean(axis=1)
    of = None if groups is None else np.repeat(groups, labels)
    bins, by_chance = reliability_bins(said.ravel(), truth.ravel(), rng=rng, groups=of)
    return Reliability(
        nll=Score("nll", float(nll.mean()), *mean_interval(nll, rng=rng, groups=groups), rows),
        brier=Score("brier", float(brier.mean()), *mean_interval(brier, rng=rng, groups=groups),
                    rows),
        error=_by_row(said, truth, rng) if of is None else replace(
            calibration_error(said.ravel(), truth.ravel(), of, rng=rng), rows=rows),
        ece=sum(one.rows * abs(one.confidence - one.accuracy) for one in bins) / truth.size,
        ece_by_chance=by_chance,
        bins=bins,
    )


def _by_row(said: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Score:
    """The calibration error, its interval from rows drawn whole."""
    rows, error = len(truth), debiased_error(said.ravel(), truth.ravel())
    times = int(np.clip(_DECISIONS_AT_MOST // truth.size, 50, _RESAMPLES))
    drawn = [
        debiased_error(said[at].ravel(), truth[at].ravel())
        for at in (rng.integers(rows, size=rows) for _ in range(times))
    ]
    low, high = percentiles(np.asarray(drawn))
    return Score("calibration_error", error, min(float(low), error), max(float(high), error), rows)
