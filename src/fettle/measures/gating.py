"""Gating: two models' answers on the same rows in, how much worse the second could be out.

First is the champion, second the challenger. A bound is one-sided: the end of a 90% interval is
passed by chance once in twenty. Groups, int (rows,), say which rows hang together: they count
whole; None where each is alone.
"""

from collections.abc import Sequence
from math import comb
from statistics import NormalDist

import numpy as np

from fettle.core.errors import ShapeError
from fettle.measures.classification import macro_f1_of
from fettle.measures.groups import drawing, effective_rows, sign_flip, together
from fettle.measures.intervals import ends_of_groups, mean_interval, percentiles, share_interval
from fettle.measures.paired import newcombe, paired_interval, rows_needed

__all__ = [
    "LEVEL", "accuracy_change", "calibration_change", "error_change", "flip_rate", "flips_allowed",
    "harmed", "latency_ratio", "macro_f1_change", "more_rows", "more_rows_of_errors",
]

LEVEL = 0.90
"""Of the two-sided interval, so that each end is a one-sided bound of 95%."""
BINS = 15
RESAMPLES = 1000
ALPHA = 0.05

Change = tuple[float, float, float]
"""(value, low, high)."""
Groups = np.ndarray | None


def accuracy_change(first: np.ndarray, second: np.ndarray, groups: Groups = None) -> Change:
    """Accuracy of the second minus that of the first, with one-sided bounds of 95%.

    Args:
        first, second: bool (rows,): is it right?
        groups: which rows hang together.

    Source: Newcombe, Statistics in Medicine 17, 1998, method 10.
    """
    _require_same(first, second)
    wins, losses = int((second & ~first).sum()), int((first & ~second).sum())
    both, rows = int((first & second).sum()), len(first)
    worth = 1 / _effect(second.astype(int) - first.astype(int), groups)
    counts = (wins, losses, both, rows - wins - losses - both)
    _, low, high = newcombe(*(worth * count for count in counts), level=LEVEL)
    return (wins - losses) / rows, low, high


def macro_f1_change(
    targets: np.ndarray, first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator,
    groups: Groups = None,
) -> Change:
    """Macro F1 of the second minus that of the first, by the paired bootstrap.

    Args:
        targets, first, second: int (rows,), at least 0.
        rng: draws the resamples.
        groups: which rows hang together.
    """
    numbers = None if groups is None else together(groups)
    return paired_interval(
        macro_f1_of, targets, first, second, rng=rng, level=LEVEL, groups=numbers)


def error_change(
    first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator, groups: Groups = None
) -> Change:
    """By which share of the first's mean error the second's is smaller, with one-sided bounds.

    Args:
        first, second: absolute errors, float (rows,).
        rng: draws the resamples.
        groups: which rows hang together.

    Returns:
        Below 0 where the second is worse; 0 throughout where neither is ever off.
    """
    _require_same(first, second)
    mean = float(first.mean())
    if not mean:
        return (0.0, 0.0, 0.0) if not second.any() else (-1.0, -1.0, -1.0)
    low, high = mean_interval(first - second, rng=rng, level=LEVEL, groups=groups)
    return float((first - second).mean()) / mean, low / mean, high / mean


def more_rows_of_errors(
    first: np.ndarray, second: np.ndarray, *, margin: float, groups: Groups = None
) -> int:
    """As `more_rows`, of absolute errors: the margin is a share of the first's mean error."""
    _require_same(first, second)
    gains = first - second
    reach = margin * float(first.mean()) + max(float(gains.mean()), 0.0)
    z = NormalDist().inv_cdf(1 - ALPHA) + NormalDist().inv_cdf(0.8)
    spread = float(gains.std(ddof=1)) if len(gains) > 1 else 0.0
    if not reach:
        return 1
    return max(int(np.ceil((z * spread / reach) ** 2 * _effect(gains, groups))) - len(gains), 1)


def more_rows(
    first: np.ndarray, second: np.ndarray, *, margin: float, change: float, groups: Groups = None
) -> int:
    """About how many more rows show that the second is no worse than the margin, in 80% of cases.

    Taken for true: the measured change where the second is the better one, else that both are
    equally good; and that they go on to differ on the share of rows on which they did.

    Args:
        first, second: bool (rows,): is it right?
        margin: how much worse the second may be, above 0.
        change: of the score that is gated, as measured.
        groups: which rows hang together; more rows are taken to come in as many as these.

    Source: Connor, Biometrics 43, 1987, with the margin added to the change.
    """
    _require_same(first, second)
    rows = len(first)
    differing = (int((first != second).sum()) + 1) / (rows + 2)  # never 0: that shows nothing
    needed = rows_needed(
        margin + max(change, 0.0), discordant=differing, power=0.8, alpha=2 * ALPHA
    )
    effect = _effect(second.astype(int) - first.astype(int), groups)
    return max(int(np.ceil(needed * effect)) - rows, 1)


def flip_rate(first: np.ndarray, second: np.ndarray, groups: Groups = None) -> Change:
    """The share of rows that the first gets right and the second does not.

    Args:
        first, second: bool (rows,): is it right?
        groups: which rows hang together.

    Source: Yan et al., "Positive-Congruent Training", CVPR 2021, section 3: negative flip rate;
    Wilson's interval.
    """
    _require_same(first, second)
    flips = first & ~second
    return (float(flips.mean()), *share_interval(flips, groups, LEVEL))


def flips_allowed(
    first: np.ndarray, second: np.ndarray, *, least: float, share: float, groups: Groups = None
) -> float:
    """The share of rows that may be right with the first and wrong with the second.

    Two models that err often flip more rows than two that err seldom, however alike they are: so
    it grows with the rate that two models with unrelated errors would have. Where the second is
    shown to be better, as many rows more may flip as it is shown to gain.

    Args:
        first, second: bool (rows,): is it right?
        least: allowed in any case.
        share: of the rate of unrelated errors.
        groups: which rows hang together.

    Source: Yan et al., "Positive-Congruent Training", CVPR 2021, section 3: the flips of unrelated
    errors, (1 - error of the first) times the error of the second, as their yardstick.
    """
    _, gain, _ = accuracy_change(first, second, groups)
    unrelated = float(first.mean()) * float(1 - second.mean())
    return max(least, share * unrelated) + max(gain, 0.0)


def calibration_change(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], *,
    rng: np.random.Generator, groups: Groups = None,
) -> Change:
    """Expected calibration error of the second minus that of the first, by the paired bootstrap.

    Args:
        first, second: confidence, float (rows,) from 0 to 1, and bool (rows,): is it right?
        rng: draws the resamples.
        groups: which rows hang together.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2: 15 bins
    of equal width.
    """
    _require_same(first[1], second[1])
    rows = len(first[1])
    gaps = []
    for confidence, right in (first, second):
        bin_of = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        gaps.append((bin_of, np.where(right, 1.0, 0.0) - confidence))
    whole = [_ece(bin_of, gap, np.ones(rows)) for bin_of, gap in gaps]
    numbers = None if groups is None else together(groups)
    draw = drawing(rows, numbers, rng)
    drawn = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        times = np.bincount(draw()[0], minlength=rows).astype(float)
        before, after = (_ece(bin_of, gap, times) for bin_of, gap in gaps)
        drawn[number] = after - before
    change = whole[1] - whole[0]
    if numbers is None:
        low, high = percentiles(drawn, LEVEL)
    elif numbers.any():
        low, high = ends_of_groups(drawn, change, int(numbers.max()) + 1, LEVEL)
    else:
        return change, -1.0, 1.0
    return change, min(float(low), change), max(float(high), change)


def harmed(
    parts: Sequence[tuple[str, np.ndarray]], first: np.ndarray, second: np.ndarray, *,
    fewest: int, most_lost: float, groups: Groups = None,
) -> tuple[list[str], tuple[str, float, int] | None]:
    """The parts that lost more than they may, and not by chance; and the part that lost most.

    A part is harmed where its accuracy fell by more than `most_lost`, and where so many losses
    against so few wins would come of equally good models with a chance of at most 5% over all
    parts (exact, one-sided, adjusted by Holm).

    Args:
        parts: a name and bool (rows,) each.
        first, second: bool (rows,): is it right?
        fewest: smaller parts are not judged.
        most_lost: above 0; a share of the part's rows.
        groups: which rows hang together; then the signs of whole groups are turned.

    Returns:
        The names of the harmed; and of the part with the greatest loss its name, change and rows,
        or None where no part is large enough.

    Source: McNemar, Psychometrika 12, 1947, exact; Holm, Scand. J. Statistics 6, 1979.
    """
    _require_same(first, second)
    found = []
    for name, part in parts:
        rows = int(part.sum())
        if rows >= fewest:
            wins = int((second & ~first & part).sum())
            losses = int((first & ~second & part).sum())
            of = None if groups is None else together(groups[part])
            p = _at_least(losses, wins + losses) if of is None else _by_signs(
                second[part].astype(int) - first[part].astype(int), of)
            found.append((p, name, (wins - losses) / rows, rows))
    lost = []
    for number, (p, name, change, _) in enumerate(sorted(found)):
        if p * (len(found) - number) > ALPHA:
            break
        if change < -most_lost:
            lost.append(name)
    if not found:
        return [], None
    _, name, change, rows = min(found, key=lambda one: one[2])
    return lost, (name, change, rows)


def latency_ratio(
    first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator
) -> Change:
    """How many times as long the second takes, at the 95th percentile.

    Args:
        first, second: float (calls,): seconds of calls made in turns.
        rng: draws the resamples of pairs of calls.
    """
    _require_same(first, second)
    value = float(np.quantile(second, 0.95) / np.quantile(first, 0.95))
    calls = len(first)
    drawn = rng.integers(calls, size=(RESAMPLES, calls))
    ratios = np.quantile(second[drawn], 0.95, axis=1) / np.quantile(first[drawn], 0.95, axis=1)
    low, high = percentiles(ratios, LEVEL)
    return value, min(float(low), value), max(float(high), value)


def _ece(bin_of: np.ndarray, gap: np.ndarray, times: np.ndarray) -> float:
    """The sum over bins of |accuracy - confidence| by rows, from the gap of each row."""
    return float(np.abs(np.bincount(bin_of, weights=gap * times)).sum() / times.sum())


def _at_least(losses: int, differing: int) -> float:
    """The chance of so many losses or more among rows on which equally good models differ."""
    return sum(comb(differing, k) for k in range(losses, differing + 1)) / 2**differing


def _by_signs(changes: np.ndarray, groups: np.ndarray) -> float:
    """The chance of so great a loss or a greater one, were groups' changes as likely turned."""
    return sign_flip(changes, groups) / 2 if changes.sum() < 0 else 1.0


def _effect(values: np.ndarray, groups: Groups) -> float:
    """How many of these rows tell as much of their mean as one row that is alone."""
    numbers = None if groups is None else together(groups)
    return 1.0 if numbers is None else len(values) / effective_rows(values, numbers, level=LEVEL)


def _require_same(first: np.ndarray, second: np.ndarray) -> None:
    if len(first) != len(second) or not len(first):
        raise ShapeError(f"{len(first)} and {len(second)} rows: both need the same, at least one.")
