"""Shift: two samples of one signal in, how far they lie apart and whether that may be chance out.

An alarm needs three things: enough rows, a test that rules out chance among all signals that are
watched together, and an effect that is worth a person's time. Tests are two-sample: the reference
is a sample too, and not taken for the truth.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from fettle.core.errors import ShapeError

__all__ = [
    "DRAWS", "FLOORS", "LEVEL", "Shift", "adjusted", "categories", "confirmed", "effective_rows",
    "embeddings", "newcomers", "numbers", "rows_needed", "since",
]

LEVEL = 0.01
"""Share of false alarms among alarms, over the signals of one window."""
FLOORS = {"numbers": 0.10, "categories": 0.10, "embedding": 0.60, "newcomers": 0.01,
          "labels": 0.10}
"""The least effect that is worth an alarm: in standard deviations, total variation, area under the
curve, and share of rows; of several labels the share of rows of the one that moved most."""
SEEN, POWER, EFFICIENCY = 0.6, 0.8, 0.7
"""Rows are enough where a shift of 0.6 standard deviations is seen four times in five; for a shift
of normal numbers Kolmogorov-Smirnov needs some 1 / 0.7 times the rows of a test of means."""
DRAWS = 1999
"""Permutations: the smallest p is 1 in 2,000, so that up to 20 signals can be watched together."""
FOLDS, DIRECTIONS, RIDGE = 5, 32, 1e-2
NOISE = 0.02
"""Directions that spread less, as a share of the widest, are left out: there vectors that were
rounded on the disk differ from fresh ones by that alone."""
EXPECTED = 5
"""Rows expected in a cell, from which on chi-squared's own distribution holds."""
EXACT = 250_000
"""Products of the two sizes up to which the exact distribution of Kolmogorov-Smirnov is cheap."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far two samples lie apart."""

    effect: float
    """In the unit of FLOORS."""
    p: float
    """Of so great a difference, or a greater, between two samples of one population."""


def numbers(reference: np.ndarray, current: np.ndarray) -> Shift:
    """Two samples of a number: their mean distance in standard deviations, and whether by chance.

    Args:
        reference, current: float (rows,), without missing values.

    Returns:
        effect: the 1-Wasserstein distance over the reference's standard deviation (over that of
            both together where the reference is constant); p of Kolmogorov-Smirnov.

    Raises:
        ShapeError: a sample is empty, or holds what is no finite number.

    Source: Kolmogorov-Smirnov, two-sample; Ramdas et al., "On Wasserstein Two-Sample Testing",
    Entropy 19, 2017.
    """
    from scipy.stats import ks_2samp, wasserstein_distance

    _require_numbers(reference, current)
    spread = float(np.std(reference)) or float(np.std(np.concatenate([reference, current])))
    if not spread:
        return Shift(0.0, 1.0)
    cheap = len(reference) * len(current) <= EXACT
    with warnings.catch_warnings():  # where the exact count overflows, scipy takes the asymptotic p
        warnings.filterwarnings("ignore", "ks_2samp: Exact calculation", RuntimeWarning)
        found = ks_2samp(reference, current, method="auto" if cheap else "asymp")
    return Shift(float(wasserstein_distance(reference, current)) / spread, float(found.pvalue))


def categories(
    reference: Sequence[str] | np.ndarray, current: Sequence[str] | np.ndarray, *,
    rng: np.random.Generator,
) -> Shift:
    """Two samples of a category: half the summed difference of shares, and whether by chance.

    Args:
        reference, current: one name a row.
        rng: draws permutations where a cell is too rare for chi-squared's own distribution.

    Returns:
        effect: the total variation distance, 0.0 to 1.0; p of the two-sample chi-squared test.

    Raises:
        ShapeError: a sample is empty.

    Source: Pearson's chi-squared for two samples; permutations given both margins.
    """
    counts, _ = _table(reference, current)
    shares = counts / counts.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    if counts.shape[1] < 2:
        return Shift(0.0, 1.0)
    return Shift(distance, _chi_squared_p(counts, rng))


def newcomers(
    reference: Sequence[str] | np.ndarray, current: Sequence[str] | np.ndarray, *,
    rng: np.random.Generator,
) -> tuple[Shift, tuple[str, ...]]:
    """Categories that the reference does not have: their share of rows, p, and their names.

    p is how often as many rows are of new categories where all rows are dealt anew to both samples.
    A point estimate of what a sample has not seen (Good and Turing's) would not do: where classes
    are many and rows few, how many of them are unseen varies far more than a binomial count.

    Args:
        reference, current: one name a row.
        rng: deals the rows.

    Raises:
        ShapeError: a sample is empty.

    Source: Fisher's permutation test; "The Design of Experiments", 1935, section 21.
    """
    counts, names = _table(reference, current)
    columns, many = counts.sum(axis=0), int(counts[1].sum())
    new = counts[0] == 0
    rows = int(counts[1, new].sum())
    order = np.argsort(-counts[1, new], kind="stable")
    told = tuple(str(names[new][at]) for at in order)
    if not rows:
        return Shift(0.0, 1.0), told
    dealt = _dealt(columns, many, rng)
    as_many = np.where(dealt == columns, columns, 0).sum(axis=1) >= rows
    return Shift(rows / many, float(1 + as_many.sum()) / (DRAWS + 1)), told


def embeddings(
    reference: np.ndarray, current: np.ndarray, *, rng: np.random.Generator, draws: int = DRAWS
) -> Shift:
    """Two samples of vectors: how well a linear classifier tells them apart, and whether by chance.

    The vectors' main directions and their squares (so that a change of spread shows too) are
    fitted by ridge regression on folds; every row is judged by a fit that did not see it. The fit
    is linear in who belongs where, so all permutations are one product of matrices.

    Args:
        reference, current: float (rows, width), in rows of one width.
        rng: draws folds and permutations.
        draws: permutations; the smallest p is 1 / (draws + 1).

    Returns:
        effect: area under the curve, 0.5 where they cannot be told apart.

    Raises:
        ShapeError: fewer than five rows on a side, or widths that differ.

    Source: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017, section 3;
    Rabanser et al., "Failing Loudly", NeurIPS 2019, section 3.
    """
    if reference.ndim != 2 or reference.shape[1:] != current.shape[1:] or (
        min(len(reference), len(current)) < FOLDS
    ):
        raise ShapeError(
            f"Embeddings {reference.shape} and {current.shape}: both need {FOLDS} rows of the same "
            "width."
        )
    if not (np.isfinite(reference).all() and np.isfinite(current).all()):
        raise ShapeError("The embeddings hold numbers that are not finite.")
    order = rng.permutation(len(reference) + len(current))  # so that equal rows stand in no order
    features = _directions(np.concatenate([reference, current]).astype(np.float64)[order])
    belongs = np.zeros((len(features), draws + 1))                   # (rows, permutations)
    belongs[:, 0] = order >= len(reference)
    for draw in range(1, draws + 1):
        belongs[:, draw] = rng.permutation(belongs[:, 0])
    judged = np.empty_like(belongs)
    fold = rng.permutation(np.arange(len(features)) % FOLDS)
    for number in range(FOLDS):
        inside = fold == number
        seen = features[~inside]
        squares = seen.T @ seen + RIDGE * len(seen) * np.eye(seen.shape[1])
        weights = np.linalg.solve(squares, seen.T @ (belongs[~inside] - belongs[~inside].mean(0)))
        judged[inside] = features[inside] @ weights
    areas = _areas(judged, belongs, fold)
    return Shift(float(areas[0]), float((1 + (areas[1:] >= areas[0]).sum()) / (draws + 1)))


def adjusted(p: Sequence[float]) -> np.ndarray:
    """p-values of the signals of one window, corrected for their number, (signals,).

    Source: Benjamini and Hochberg, JRSS B 57, 1995.
    """
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p)) if len(p) else np.empty(0)


def effective_rows(reference: int, current: int) -> float:
    """Rows that two samples are worth together: half the harmonic mean of their sizes."""
    return reference * current / (reference + current) if reference and current else 0.0


def rows_needed(reference: int, *, signals: int, level: float = LEVEL) -> int | None:
    """Rows of a window from which on a shift of 0.6 standard deviations is seen 4 times in 5.

    Args:
        reference: rows of the reference.
        signals: that are watched together.

    Returns:
        None where the reference is too small for any window to be enough.
    """
    from scipy.stats import norm

    wanted = ((norm.isf(level / max(signals, 1) / 2) + norm.ppf(POWER)) / SEEN) ** 2 / EFFICIENCY
    return ceil(wanted * reference / (reference - wanted)) if reference > wanted else None


def confirmed(alarms: Sequence[bool | None]) -> bool:
    """Whether two of the last three windows that had enough rows raised an alarm.

    Args:
        alarms: window by window, the oldest first; None where there were not enough rows.
    """
    told = [one for one in alarms if one is not None]
    return sum(told[-3:]) >= 2


def since(alarms: Sequence[bool | None]) -> int | None:
    """The window with which the present alarm began; None where none is raised now.

    It is the first alarm behind the last two windows in a row that raised none.
    """
    told = [at for at, one in enumerate(alarms) if one is not None]
    begun: int | None = None
    quiet = 0
    for at in told:
        quiet = 0 if alarms[at] else quiet + 1
        if alarms[at] and begun is None:
            begun = at
        if quiet >= 2:
            begun = None
    return begun


def _table(
    reference: Sequence[str] | np.ndarray, current: Sequence[str] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Counts (2, categories), and the names of the categories."""
    if not len(reference) or not len(current):
        raise ShapeError(f"{len(reference)} and {len(current)} rows: both need at least one.")
    both = np.concatenate([np.asarray(reference, dtype=str), np.asarray(current, dtype=str)])
    names, numbered = np.unique(both, return_inverse=True)
    return np.stack([
        np.bincount(numbered[: len(reference)], minlength=len(names)),
        np.bincount(numbered[len(reference):], minlength=len(names)),
    ]), names


def _chi_squared_p(counts: np.ndarray, rng: np.random.Generator) -> float:
    """Of the two-sample table (2, categories): by its distribution, or by permutations."""
    from scipy.stats import chi2

    columns = counts.sum(axis=0)
    share = counts[1].sum() / counts.sum()

    def statistic(current: np.ndarray) -> np.ndarray:
        """(tables,), of the second line of tables with these margins (tables, categories)."""
        return np.asarray(((current - columns * share) ** 2 / columns).sum(axis=1)
                          / (share * (1 - share)))

    found = statistic(counts[1:2])[0]
    if (columns * min(share, 1 - share)).min() >= EXPECTED:
        return float(chi2.sf(found, len(columns) - 1))
    dealt = _dealt(columns, counts[1].sum(), rng)
    return float((1 + (statistic(dealt) >= found * (1 - 1e-12)).sum()) / (DRAWS + 1))


def _dealt(columns: np.ndarray, many: int, rng: np.random.Generator) -> np.ndarray:
    """The second lines (DRAWS, categories) of tables with these margins, by chance alone."""
    return rng.multivariate_hypergeometric(columns, many, size=DRAWS, method="marginals")


def _directions(vectors: np.ndarray) -> np.ndarray:
    """The main directions of all rows and their squares, each of variance 1, (rows, features)."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    found = centred @ axes[:, ::-1][:, :DIRECTIONS]
    found = found[:, found.std(axis=0) >= NOISE * max(found[:, 0].std(), 1e-9)]
    found = np.concatenate([found, found**2], axis=1)
    found -= found.mean(axis=0)
    spread = found.std(axis=0)
    return np.asarray(found[:, spread > 1e-9] / spread[spread > 1e-9])


def _areas(judged: np.ndarray, belongs: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Area under the curve within each fold, their mean by pairs, (permutations,)."""
    won = np.zeros(belongs.shape[1])
    pairs = np.zeros(belongs.shape[1])
    for number in np.unique(fold):
        inside = fold == number
        order = np.argsort(judged[inside], axis=0, kind="stable")
        sorted_ = np.take_along_axis(belongs[inside], order, axis=0)
        ranks = np.arange(1, len(sorted_) + 1)[:, None]
        ones = sorted_.sum(axis=0)
        won += (sorted_ * ranks).sum(axis=0) - ones * (ones + 1) / 2
        pairs += ones * (len(sorted_) - ones)
    return np.divide(won, pairs, out=np.full(len(won), 0.5), where=pairs > 0)


def _require_numbers(*samples: np.ndarray) -> None:
    for sample in samples:
        if not len(sample) or not np.isfinite(sample).all():
            raise ShapeError(
                f"A sample of {len(sample)} numbers: it needs at least one, and finite ones."
            )
