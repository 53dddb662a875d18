"""Numbers that were predicted: truth and answers in, errors, scores and intervals out.

MAE and RMSE are in the unit of the target, and less is better; R2 and Spearman's rank correlation
have no unit, and more is better.
"""

from collections.abc import Callable, Mapping
from math import sqrt
from statistics import NormalDist

import numpy as np

from fettle.core.errors import ShapeError
from fettle.core.evaluation import Contender
from fettle.core.score import Comparison, Score
from fettle.core.task import ByRow
from fettle.measures.groups import drawing, effective_rows, together
from fettle.measures.intervals import RESAMPLES, ends_of_groups, mean_interval, percentiles

__all__ = [
    "ERRORS", "LESS", "SCORES", "compare", "contenders", "half_width", "mae", "paired_loss", "r2",
    "rmse", "score", "spearman",
]

LESS = frozenset(("mae", "rmse"))
"""Scores of which less is better."""
_SAME = 1e-12
"""Share of the largest number by which numbers must differ, to be more than rounding."""
_AT_ONCE = 4_000_000
"""Numbers held in memory at a time while resampling: 32 MB."""
_RANKED = 500
"""Resamples for a score of ranks, which are sorted anew in each."""
_MANY = 20_000
"""Of more rows, the interval of Spearman's correlation has a closed form."""
_OF_MANY = 100
"""Resamples of groups for a score of ranks of so many rows."""


def mae(truth: np.ndarray, said: np.ndarray) -> float:
    """The mean absolute error, in the unit of the target."""
    _require_same(truth, said)
    return float(np.abs(said - truth).mean())


def rmse(truth: np.ndarray, said: np.ndarray) -> float:
    """The root of the mean squared error, in the unit of the target."""
    _require_same(truth, said)
    return float(np.sqrt(np.square(said - truth).mean()))


def r2(truth: np.ndarray, said: np.ndarray) -> float:
    """The share of the variance of the truth that is explained: 1 at best, 0 for its mean.

    Returns:
        Below 0 for what is worse than the mean; 0.0 where every truth is the same.
    """
    _require_same(truth, said)
    return float(_r2(np.ones((1, len(truth))), truth, said)[0])


def spearman(truth: np.ndarray, said: np.ndarray) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank.

    Returns:
        From -1 to 1; 0.0 where one of the two is the same in every row.
    """
    _require_same(truth, said)
    return float(_spearman(truth[None, :], said[None, :])[0])


SCORES: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mae": mae, "rmse": rmse, "r2": r2, "spearman": spearman,
}


def score(
    name: str, truth: np.ndarray, said: np.ndarray, *, seed: int = 0,
    groups: np.ndarray | None = None,
) -> Score:
    """One of SCORES with its 95% interval, by the bootstrap of the rows.

    Args:
        name: mae, rmse, r2 or spearman.
        truth, said: float (rows,).
        seed: of the resamples.
        groups: int (rows,), numbered from 0, where rows hang together: the interval is then the
            wider of those by row and by group.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979, percentile method; for
    Spearman on over 20,000 rows Bonett and Wright, Psychometrika 65, 2000, equation 4.
    """
    value = SCORES[name](truth, said)
    rng = np.random.default_rng(seed)
    low, high = percentiles(_resamples(name, truth, said, rng)) if (
        name != "spearman" or len(truth) <= _MANY) else _by_z(value, len(truth))
    if groups is not None:
        lowest, highest = _of_groups(name, truth, said, groups, rng)
        low, high = min(float(low), lowest), max(float(high), highest)
    return Score(name, value, min(float(low), value), max(float(high), value), len(truth))


def _of_groups(
    name: str, truth: np.ndarray, said: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """The interval by groups drawn whole; of one group alone up to the largest error, or from -1 to
    1 of what has no unit."""
    several = int(groups.max()) + 1
    if several == 1:
        return (0.0, float(np.abs(said - truth).max())) if name in LESS else (-1.0, 1.0)
    found = _resamples(name, truth, said, rng, groups)
    low, high = (float(end) for end in ends_of_groups(found, SCORES[name](truth, said), several))
    if name in LESS:
        return max(low, 0.0), high
    return low if name == "r2" else max(low, -1.0), min(high, 1.0)


def compare(
    first: str, second: str, before: np.ndarray, after: np.ndarray,
    groups: np.ndarray | None = None,
) -> Comparison:
    """By how much the mean absolute error falls from the first model to the second.

    Won are rows to which the second is nearer, lost those to which the first is.

    Args:
        first, second: their names.
        before, after: absolute errors of each on the same rows, float (rows,).
        groups: int (rows,), where rows hang together: they are drawn, and turned, whole.

    Source: the interval by the paired bootstrap (Efron, 1979); p by Fisher's randomization of
    signs ("The Design of Experiments", 1935, section 21), drawn 10,000 times.
    """
    _require_same(before, after)
    gains = before - after
    low, high = mean_interval(gains, rng=np.random.default_rng(0), groups=groups)
    value = float(gains.mean())
    numbers = None if groups is None else together(groups)
    turned = gains if numbers is None else np.bincount(numbers, gains)
    return Comparison(
        first, second, "mae", value, min(low, value), max(high, value),
        int((gains > 0).sum()), int((gains < 0).sum()), _by_signs(turned), len(gains),
        None if numbers is None else len(turned),
    )


def contenders(
    answers: Mapping[str, tuple[str, np.ndarray, str]], truth: np.ndarray, *, kept: str, seed: int,
    groups: np.ndarray | None = None,
) -> tuple[Contender, ...]:
    """Each one's scores, and the kept model compared with it on the same rows.

    Args:
        answers: kind, numbers (rows,) and a note by contender.
        truth: float (rows,).
        kept: name of the kept model among them.
        seed: of the resamples, the same for each.
        groups: int (rows,), numbered from 0, where rows hang together.
    """
    errors = {name: np.abs(said - truth) for name, (_, said, _) in answers.items()}
    return tuple(
        Contender(
            name=name, kind=kind,
            scores=tuple(score(one, truth, said, seed=seed, groups=groups) for one in SCORES),
            versus_kept=None if name == kept else compare(
                name, kept, errors[name], errors[kept], groups),
            note=note,
        )
        for name, (kind, said, note) in answers.items()
    )


def paired_loss(
    name: str, truth: np.ndarray, best: np.ndarray, other: np.ndarray, *, seed: int,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """How much of a score is lost by taking the other model, and the bootstrap standard error, by
    row or by group, whichever is greater.

    Args:
        name: r2 or spearman.
        truth, best, other: float (rows,).
        seed: of the resamples, which are the same rows for both.
        groups: int (rows,), numbered from 0, where rows hang together.
    """
    loss = SCORES[name](truth, best) - SCORES[name](truth, other)
    errors = []
    for whole in (None,) if groups is None else (None, groups):
        drawn = [_resamples(name, truth, said, np.random.default_rng(seed), whole)
                 for said in (best, other)]
        errors.append(float((drawn[0] - drawn[1]).std(ddof=1)))
    return float(loss), max(errors)


def half_width(errors: np.ndarray, level: float) -> float | None:
    """How far an answer must be taken to reach, up and down, to hold the truth so often.

    Args:
        errors: absolute errors on rows that were not learned from, float (rows,).
        level: how often, such as 0.9.

    Returns:
        None where so few rows promise nothing: fewer than level / (1 - level).

    Source: Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 113, 2018,
    section 2.2 (split conformal).
    """
    rank = int(np.ceil((len(errors) + 1) * level - 1e-9))
    return float(np.sort(errors)[rank - 1]) if 0 < rank <= len(errors) else None


def _resamples(
    name: str, truth: np.ndarray, said: np.ndarray, rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """The score on resamples of the rows, or of whole groups."""
    rows = len(truth)
    at_once = max(1, _AT_ONCE // rows)
    if name == "spearman" and groups is not None:
        draw = drawing(rows, groups, rng)
        times = _RANKED if rows <= _MANY else _OF_MANY
        asked = (draw()[0] for _ in range(times))
        return np.concatenate([_spearman(truth[None, at], said[None, at]) for at in asked])
    if name == "spearman":
        sizes = [min(at_once, _RANKED - start) for start in range(0, _RANKED, at_once)]
        drawn = (rng.integers(rows, size=(size, rows)) for size in sizes)
        return np.concatenate([_spearman(truth[at], said[at]) for at in drawn])
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    errors = np.abs(said - truth)
    measure: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "mae": lambda times: times @ errors / times.sum(axis=1),
        "rmse": lambda times: np.sqrt(times @ np.square(errors) / times.sum(axis=1)),
        "r2": lambda times: _r2(times, truth, said),
    }
    several = rows if groups is None else int(groups.max()) + 1
    shares = np.full(several, 1 / several)
    counts = (rng.multinomial(several, shares, size=size) for size in sizes)
    return np.concatenate([
        measure[name](one if groups is None else one[:, groups]) for one in counts])


def _r2(times: np.ndarray, truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """R2 where each row counts so many times: (resamples,) from (resamples, rows)."""
    rows = times.sum(axis=1)
    centred = truth - truth.mean()
    scale = float(np.abs(centred).max())  # a score without a unit must not see the unit
    if scale <= _SAME * float(np.abs(truth).max()):
        return np.zeros(len(times))
    centred = centred / scale
    total = times @ np.square(centred) - np.square(times @ centred) / rows
    left = times @ np.square((said - truth) / scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > _SAME * rows, 1 - left / total, 0.0)


def _spearman(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Rank correlations, (resamples,), of (resamples, rows) each."""
    from scipy.stats import rankdata

    ranks = [rankdata(one, axis=1) - (one.shape[1] + 1) / 2 for one in (truth, said)]
    spread = np.sqrt(np.square(ranks[0]).sum(axis=1) * np.square(ranks[1]).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, (ranks[0] * ranks[1]).sum(axis=1) / spread, 0.0)


def _by_z(value: float, rows: int) -> tuple[float, float]:
    """The interval of Spearman's correlation by Fisher's z."""
    z = np.arctanh(np.clip(value, -0.999999, 0.999999))
    half = NormalDist().inv_cdf(0.975) * sqrt((1 + value**2 / 2) / (rows - 3))
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def _by_signs(gains: np.ndarray) -> float:
    """The two-sided p that gains so large come of equally good models, by turned signs."""
    if not gains.any():
        return 1.0
    rng = np.random.default_rng(0)
    draws, at_once = 10_000, max(1, _AT_ONCE // len(gains))
    beyond = 0
    for start in range(0, draws, at_once):
        signs = rng.integers(2, size=(min(at_once, draws - start), len(gains)), dtype=np.int8)
        sums = np.abs((2 * signs - 1) @ gains)
        beyond += int((sums >= np.abs(gains.sum()) * (1 - 1e-12)).sum())
    return (beyond + 1) / (draws + 1)


def _score(errors: np.ndarray, groups: np.ndarray | None = None) -> Score:
    value = float(errors.mean())
    low, high = mean_interval(errors, rng=np.random.default_rng(0), groups=groups)
    return Score("mae", value, min(low, value), max(high, value), len(errors))


def _worse(inside: np.ndarray, outside: np.ndarray) -> float:
    """Mann and Whitney's test, one-sided: that these errors are larger than the others."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(inside, outside, alternative="greater").pvalue)


def _spread(before: np.ndarray, after: np.ndarray, groups: np.ndarray | None) -> float:
    """The standard deviation of a row's gain, as if each were alone: larger where they are not."""
    if len(before) < 2:
        return 0.0
    gains = before - after
    numbers = None if groups is None else together(groups)
    effect = 1.0 if numbers is None else len(gains) / effective_rows(gains, numbers)
    return float(gains.std(ddof=1)) * sqrt(effect)


def _smallest_gain(
    before: np.ndarray, after: np.ndarray, groups: np.ndarray | None = None
) -> float | None:
    """(z(0.975) + z(0.8)) standard errors of the mean gain; None where nothing differs."""
    spread = _spread(before, after, groups)
    return _REACH * spread / sqrt(len(before)) if spread else None


def _rows_to_tell(
    before: np.ndarray, after: np.ndarray, groups: np.ndarray | None = None
) -> int | None:
    gain, spread = float((before - after).mean()), _spread(before, after, groups)
    if not gain:
        return None
    return max(int(np.ceil((_REACH * spread / gain) ** 2)) - len(before), 0)


_REACH = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)


def _require_same(truth: np.ndarray, said: np.ndarray) -> None:
    if truth.shape != said.shape or not len(truth):
        raise ShapeError(
            f"{len(truth)} numbers and {len(said)} answers: both need the same rows, at least one."
        )


ERRORS = ByRow(
    name="mae",
    less_is_better=True,
    score=_score,
    compare=compare,
    worse=_worse,
    smallest_gain=_smallest_gain,
    rows_to_tell=_rows_to_tell,
)
"""Absolute errors, float (rows,): their mean, in the unit of the target."""
