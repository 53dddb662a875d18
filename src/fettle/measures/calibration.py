"""Calibration: raw outputs and targets in, one temperature and how true the probabilities are out.

A bare calibration error means nothing on few rows, so each comes with what chance alone would
show: the 95% that rows drawn by the model's own probabilities stay below. Rows that hang together
come right or wrong together, and chance shows more.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from fettle.core.errors import ShapeError
from fettle.core.evaluation import Bin, Calibration, Reliability
from fettle.core.score import Score
from fettle.measures.groups import FEW, drawing, reach
from fettle.measures.intervals import LEVEL, ends_of_groups, mean_interval, percentiles

__all__ = [
    "calibrated", "calibration_error", "confidence_of", "debiased_error", "fitted_temperature",
    "log_probabilities", "reliability", "reliability_bins", "temperature", "temperature_interval",
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


def temperature_interval(
    outputs: np.ndarray, targets: np.ndarray, heat: float, *, groups: np.ndarray | None = None,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Between which temperatures, (low, high), that of more such rows would well be.

    Args:
        outputs: float (rows, classes), on which the temperature was fitted.
        targets: int (rows,); each in [0, classes).
        heat: from `temperature` of these.
        groups: int (rows,), numbered from 0, where rows hang together.
        level: of the interval.

    Returns:
        From 0.05 to 20, which is all that a temperature can be, where there is one group alone.

    Raises:
        ShapeError: outputs and targets differ in rows, or there are none.

    Source: White, "Maximum Likelihood Estimation of Misspecified Models", Econometrica 50, 1982,
    theorem 3.2, of log T; Cameron and Miller, Journal of Human Resources 50, 2015, for groups.
    """
    from scipy.special import stdtrit

    _require_rows(outputs, targets)
    several = len(targets) if groups is None else int(groups.max()) + 1
    lowest, highest = float(np.exp(-_LOG_RANGE)), float(np.exp(_LOG_RANGE))
    if several == 1:
        return lowest, highest
    raw = outputs.astype(np.float64) / heat
    chance = np.exp(log_probabilities(raw))
    mean = (chance * raw).sum(axis=1)
    slope = mean - raw[np.arange(len(targets)), targets]  # of each row's log-likelihood in log T
    bend = (chance * (raw - mean[:, None]) ** 2).sum() + slope.sum() + 1 / _PRIOR**2
    sums = slope if groups is None else np.bincount(groups, slope)
    error = np.sqrt(several / (several - 1) * (sums**2).sum()) / max(float(bend), 1e-12)
    factor = float(np.exp(min(stdtrit(several - 1, (1 + level) / 2) * error, 2 * _LOG_RANGE)))
    return max(heat / factor, lowest), min(heat * factor, highest)


def calibrated(
    outputs: np.ndarray, targets: np.ndarray, heat: float, *, rows: int, source: str, seed: int,
    groups: np.ndarray | None = None,
) -> Calibration:
    """Reliability before and after the outputs are divided by this temperature.

    Args:
        outputs: float (test rows, classes), as they come.
        targets: int (test rows,).
        heat: from `temperature`.
        rows: that it was fitted on.
        source: what rows those were.
        seed: of the resamples.
        groups: int (test rows,), numbered from 0, where rows hang together.
    """
    before, after = (
        reliability(outputs / by, targets, rng=np.random.default_rng(seed), groups=groups)
        for by in (1.0, heat)
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
    outputs: np.ndarray, targets: np.ndarray, *, rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> Reliability:
    """NLL, Brier score and calibration error of raw outputs, with intervals and bins.

    Args:
        outputs: float (rows, classes); divided by the temperature already, where there is one.
        targets: int (rows,); a number of `classes` or more is a class that no output stands for.
        rng: draws the resamples.
        groups: int (rows,), numbered from 0, where rows hang together: they are drawn whole.

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

    bins, by_chance = reliability_bins(confidence, right, rng=rng, groups=groups)
    return Reliability(
        nll=Score("nll", float(nll.mean()), *mean_interval(nll, rng=rng, groups=groups), rows),
        brier=Score("brier", float(brier.mean()), *mean_interval(brier, rng=rng, groups=groups),
                    rows),
        error=calibration_error(confidence, right, groups, rng=rng),
        ece=sum(one.rows * abs(one.confidence - one.accuracy) for one in bins) / rows,
        ece_by_chance=by_chance,
        bins=bins,
    )


def calibration_error(
    confidence: np.ndarray, right: np.ndarray, groups: np.ndarray | None = None, *,
    rng: np.random.Generator,
) -> Score:
    """The debiased error with its interval; 0 to 1 where all rows are one group.

    Args:
        confidence: float (rows,), from 0 to 1.
        right: bool (rows,).
        groups: int (rows,), numbered from 0, where rows hang together: they are drawn whole.
        rng: draws the resamples.
    """
    rows = len(right)
    value = debiased_error(confidence, right, groups)
    if groups is not None and not groups.any():
        return Score("calibration_error", value, 0.0, 1.0, rows)
    draw = drawing(rows, groups, rng)
    found = np.array([debiased_error(confidence[at], right[at], of)
                      for at, of in (draw() for _ in range(_resamples(rows) // 2))])
    low, high = (percentiles(found) if groups is None
                 else ends_of_groups(found, value, int(groups.max()) + 1))
    return Score("calibration_error", value, max(min(float(low), value), 0.0),
                 min(max(float(high), value), 1.0), rows)


def debiased_error(
    confidence: np.ndarray, right: np.ndarray, groups: np.ndarray | None = None
) -> float:
    """The root mean square gap between confidence and accuracy, without what chance adds to it.

    The mean over bins of (confidence - accuracy)^2 - accuracy (1 - accuracy) / (rows - 1), and
    its root; 0.0 where that mean is negative. Where rows hang together, what chance adds is the
    variance of a bin's accuracy over groups, which is the same where each row is alone.

    Args:
        confidence: float (rows,), from 0 to 1.
        right: bool (rows,).
        groups: int (rows,), numbered from 0, where rows hang together.

    Source: Kumar et al., "Verified Uncertainty Calibration", NeurIPS 2019, section 5.
    """
    bin_of = _bin_of(confidence)
    times, said, hits = _binned(bin_of, confidence, right)
    accuracy = hits / times
    gap = (said / times - accuracy) ** 2
    if groups is None:
        chance = accuracy * (1 - accuracy) / np.maximum(times - 1, 1)
    else:
        chance = _variance_over_groups(right - accuracy[bin_of], bin_of, groups) / times**2
    return float(np.sqrt(max((times * (gap - chance)).sum() / times.sum(), 0.0)))


def _variance_over_groups(
    off: np.ndarray, bin_of: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Of each bin's sum, (bins,), from what each row is off by; 0.0 for a bin of one group."""
    shape = int(bin_of.max()) + 1, int(groups.max()) + 1
    at = bin_of * shape[1] + groups
    sums = np.bincount(at, off, minlength=shape[0] * shape[1]).reshape(shape)
    inside = (np.bincount(at, minlength=sums.size).reshape(shape) > 0).sum(axis=1)
    return np.asarray((sums**2).sum(axis=1) * inside / np.maximum(inside - 1, 1))


def reliability_bins(
    confidence: np.ndarray, right: np.ndarray, *, rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> tuple[tuple[Bin, ...], float]:
    """Bins of equally many rows with their consistency bands; the ECE that chance stays below.

    Where rows hang together, both are at least as wide as what bins differ by when groups are
    drawn whole: no claimed probability says how much the rows of a group come out alike.

    Args:
        confidence: float (rows,), from 0 to 1.
        right: bool (rows,).
        rng: draws rows, and for each whether it is right with the probability that it claims.
        groups: int (rows,), numbered from 0, where rows hang together.

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
    by_chance = float(np.quantile(errors, LEVEL))
    if groups is not None:
        strays, of_groups = _strays(bin_of, confidence, right, groups, rng)
        low = np.clip(np.minimum(low, said / times - strays), 0.0, 1.0)
        high = np.clip(np.maximum(high, said / times + strays), 0.0, 1.0)
        by_chance = min(max(by_chance, of_groups), 1.0)
    found = tuple(
        Bin(int(times[at]), float(said[at] / times[at]), float(hits[at] / times[at]),
            float(low[at]), float(high[at]))
        for at in range(bins)
    )
    return found, by_chance


def _strays(
    bin_of: np.ndarray, confidence: np.ndarray, right: np.ndarray, groups: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """How far accuracy strays from confidence by drawing whole groups: in each bin, (bins,), and
    over all, in 95% of draws. 1.0 where there is one group to draw."""
    rows, bins, several = len(bin_of), int(bin_of.max()) + 1, int(groups.max()) + 1
    if several == 1:
        return np.ones(bins), 1.0
    times = np.bincount(bin_of)
    at = np.bincount(bin_of * several + groups, minlength=bins * several)
    inside = (at.reshape(bins, several) > 0).sum(axis=1)
    off = right - confidence
    off = off - (np.bincount(bin_of, off) / times)[bin_of]  # as if every bin were true
    draw = drawing(rows, groups, rng)
    sums = np.empty((_resamples(rows) // 2, bins))
    for number in range(len(sums)):
        at, _ = draw()
        there = np.bincount(bin_of[at], minlength=bins)
        sums[number] = np.bincount(bin_of[at], off[at], minlength=bins) / np.maximum(there, 1)
    normal = NormalDist().inv_cdf((1 + LEVEL) / 2)
    of_bin = np.array([reach(int(one), LEVEL) / normal if one > 1 else 1.0 for one in inside])
    strays = of_bin * np.quantile(np.abs(sums), LEVEL, axis=0)
    sums *= np.sqrt(inside / np.maximum(inside - 1, 1))  # else the spread of few is too small
    whole = float(np.quantile(np.abs(sums) @ times / rows, LEVEL))
    whole *= reach(several, LEVEL) / normal if several < FEW else 1.0
    return np.where((inside == 1) & (times > 1), 1.0, strays), whole


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
