"""Judging answers of several labels a row: truth and calls in, Scores and Comparisons out.

Calls are float (rows, labels, 2): 1 where a label is called and 0 where it is not, and beside it
its probability, NaN where the answers rank nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np

from fettle.core.evaluation import ClassScores, Contender, LookAt
from fettle.core.score import Comparison, Score
from fettle.measures import classification, intervals, paired
from fettle.measures.groups import effective_rows, sign_flip, together
from fettle.measures.label_intervals import tally_interval
from fettle.measures.label_sets import SCORES, ranking_precision, row_f1, tallies

__all__ = [
    "called", "calls", "compare", "contenders", "label_scores", "mean_row_f1", "rows_to_tell",
    "scores", "smallest_gain", "values", "worse", "wrong_and_sure",
]

_Z = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
"""A true difference of so many standard errors shows in 80% of cases."""


def calls(is_called: np.ndarray, probabilities: np.ndarray | None = None) -> np.ndarray:
    """Calls, float32 (rows, labels, 2), of answers with or without probabilities.

    Args:
        is_called: bool (rows, labels).
        probabilities: float (rows, labels); None where there are none.
    """
    ranks = np.full(is_called.shape, np.nan) if probabilities is None else probabilities
    return np.stack([is_called.astype(np.float32), ranks.astype(np.float32)], axis=-1)


def called(said: np.ndarray, labels: int) -> np.ndarray:
    """Which labels are called: bool (rows, labels); those that no output stands for never are.

    Args:
        said: calls, or bool (rows, labels) where those are known already.
        labels: how many there are; what stands beyond them is cut off.
    """
    marks = said[..., 0] > 0.5 if said.ndim == 3 else said
    found = np.zeros((len(said), labels), dtype=bool)
    width = min(labels, marks.shape[1])
    found[:, :width] = marks[:, :width]
    return found


def values(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """F1 of each row's labels, float (rows,), from calls and bool (rows, labels)."""
    return row_f1(truth, called(said, truth.shape[1]))


def scores(
    said: np.ndarray, truth: np.ndarray, *, rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> tuple[Score, ...]:
    """Every score of these answers, each with its interval and its rows.

    Args:
        said: calls.
        truth: bool (rows, labels).
        rng: draws the resamples.
        groups: int (rows,), numbered from 0, where rows hang together: they count whole.

    Returns:
        micro_f1, macro_f1, row_f1, subset_accuracy, hamming_loss; and ranking_precision, of the
        labels that have outputs, where the answers have probabilities.

    Raises:
        ShapeError: there are no rows.
    """
    answers, rows = called(said, truth.shape[1]), len(truth)
    counts = tallies(truth, answers)
    found = []
    for name, score in SCORES.items():
        low, high = tally_interval(score, truth, answers, rng=rng, groups=groups)
        found.append(Score(name, float(score(counts)), low, high, rows))
    found.append(mean_row_f1(row_f1(truth, answers), groups, rng=rng))
    found.append(_share("subset_accuracy", (truth == answers).all(axis=1), groups))
    found.append(_mean("hamming_loss", (truth != answers).mean(axis=1), rng, groups))
    ranks = said[..., 1]
    if np.isfinite(ranks).all():
        each = ranking_precision(truth[:, : ranks.shape[1]], ranks)
        found.append(_mean("ranking_precision", each, rng, groups))
    return tuple(found)


def mean_row_f1(
    each: np.ndarray, groups: np.ndarray | None = None, *, rng: np.random.Generator | None = None
) -> Score:
    """The mean F1 of rows, float (rows,), with its interval; groups, int (rows,), count whole."""
    return _mean("row_f1", each, rng or np.random.default_rng(0), groups)


def _mean(
    name: str, each: np.ndarray, rng: np.random.Generator, groups: np.ndarray | None
) -> Score:
    """Of numbers from 0 to 1."""
    low, high = intervals.mean_interval(each, rng=rng, groups=groups)
    return Score(name, float(each.mean()), max(low, 0.0), min(high, 1.0), len(each))


def _share(name: str, holds: np.ndarray, groups: np.ndarray | None) -> Score:
    """Of the rows of which something holds, bool (rows,); 0.0 where there are no rows."""
    value = float(holds.mean()) if len(holds) else 0.0
    return Score(name, value, *intervals.share_interval(holds, groups), len(holds))


def label_scores(
    truth: np.ndarray, answers: np.ndarray, labels: Sequence[str], *, rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> tuple[ClassScores, ...]:
    """Precision and recall of each label by Wilson's interval, F1 by the bootstrap.

    Args:
        truth: bool (rows, labels).
        answers: bool (rows, labels): which are called.
        labels: their names.
        rng: draws the resamples.
        groups: int (rows,), numbered from 0, where rows hang together.
    """
    found = []
    for at, (right, strange, missed) in enumerate(tallies(truth, answers).tolist()):
        neither = len(truth) - right - strange - missed
        table = np.array([[right, missed], [strange, neither]])
        low, high = intervals.confusion_interval(_f1_of_first, table, rng=rng)
        has, is_called = truth[:, at], answers[:, at]
        if groups is not None:
            ((lowest, highest),) = intervals.grouped_intervals(
                [_f1_of_first], (~has).astype(int), (~is_called).astype(int), 2, groups, rng=rng)
            low, high = min(low, lowest), max(high, highest)
        there = right + missed
        found.append(ClassScores(
            labels[at], there,
            _share("precision", has[is_called], None if groups is None else groups[is_called]),
            _share("recall", is_called[has], None if groups is None else groups[has]),
            Score("f1", 2 * right / max(there + right + strange, 1), low, high, there),
        ))
    return tuple(found)


def _f1_of_first(counts: np.ndarray) -> np.ndarray:
    return classification.class_f1(counts)[..., 0]


def compare(
    first: str, second: str, first_values: np.ndarray, second_values: np.ndarray,
    groups: np.ndarray | None = None,
) -> Comparison:
    """The second model against the first by the mean F1 of rows, on the same rows.

    Wins are rows on which the second's F1 is higher; p is the exact sign test of wins and losses.

    Args:
        first, second: their names.
        first_values, second_values: float (rows,): F1 of each row.
        groups: int (rows,), where rows hang together: they are drawn, and their signs are turned,
            whole.
    """
    gain = second_values.astype(float) - first_values.astype(float)
    low, high = intervals.mean_interval(gain, rng=np.random.default_rng(0), groups=groups)
    wins, losses = int((gain > 0).sum()), int((gain < 0).sum())
    numbers = None if groups is None else together(groups)
    p, several = paired.mcnemar(wins, losses), None
    if numbers is not None:
        p, several = sign_flip(np.sign(gain).astype(int), numbers), int(numbers.max()) + 1
    return Comparison(first, second, "row_f1", float(gain.mean()), max(low, -1.0), min(high, 1.0),
                      wins, losses, p, len(gain), several)


def worse(inside: np.ndarray, outside: np.ndarray) -> float:
    """The one-sided p that the first rows have a lower F1 than the second: rank-sum test.

    Args:
        inside, outside: float (rows,) each, of different rows.

    Source: Mann and Whitney, "On a Test of Whether one of Two Random Variables is Stochastically
    Larger than the Other", Annals of Mathematical Statistics 18, 1947; corrected for ties.
    """
    from scipy.stats import mannwhitneyu

    both = np.concatenate([inside, outside])
    if not len(inside) or not len(outside) or np.ptp(both) == 0:
        return 1.0
    return float(mannwhitneyu(inside, outside, alternative="less", method="asymptotic").pvalue)


def smallest_gain(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None
) -> float | None:
    """The smallest gain in the mean F1 of rows that so many rows show in 80% of cases.

    Args:
        first, second: float (rows,): F1 of each row, of two models.
        groups: int (rows,), where rows hang together.

    Returns:
        Above 0, to 1; 1.0 with a single row; None where no row differs, which says nothing of how
        models that differ would.
    """
    gain = second.astype(float) - first.astype(float)
    if len(gain) < 2:
        return 1.0
    if not gain.any():
        return None
    return min(float(_Z * gain.std(ddof=1) / sqrt(len(gain) / _effect(gain, groups))), 1.0)


def _effect(gain: np.ndarray, groups: np.ndarray | None) -> float:
    """How many of these rows tell as much as one row that is alone."""
    numbers = None if groups is None else together(groups)
    return 1.0 if numbers is None else len(gain) / effective_rows(gain, numbers)


def rows_to_tell(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None
) -> int | None:
    """How many more rows would show this difference, were it the true one, in 80% of cases.

    Args:
        first, second: float (rows,): F1 of each row, of two models.
        groups: int (rows,), where rows hang together.

    Returns:
        0 where these are enough; None where there is no difference, so that no number will do.
    """
    gain = second.astype(float) - first.astype(float)
    if len(gain) < 2 or not gain.mean():
        return None
    wanted = ceil((_Z * gain.std(ddof=1) / abs(gain.mean())) ** 2 * _effect(gain, groups))
    return max(wanted - len(gain), 0)


def contenders(
    answers: Mapping[str, tuple[str, np.ndarray, str]], truth: np.ndarray, *, kept: str, seed: int,
    groups: np.ndarray | None = None,
) -> tuple[Contender, ...]:
    """Each one's scores, and the kept model compared with it on the same rows.

    Args:
        answers: kind, calls and a note by contender.
        truth: bool (rows, labels).
        kept: name of the kept model among them.
        seed: of the resamples, the same for each.
        groups: int (rows,), numbered from 0, where rows hang together.
    """
    own = values(answers[kept][1], truth)
    return tuple(
        Contender(
            name=name, kind=kind,
            scores=scores(said, truth, rng=np.random.default_rng(seed), groups=groups),
            versus_kept=None if name == kept else compare(
                name, kept, values(said, truth), own, groups),
            note=note,
        )
        for name, (kind, said, note) in answers.items()
    )


def wrong_and_sure(
    why: str, ids: Sequence[str], said: np.ndarray, truth: np.ndarray,
    named: Callable[[np.ndarray], Sequence[str]], *, most: int = 15,
) -> tuple[LookAt, ...]:
    """The rows with the surest wrong call, or the surest label left out, the surest first.

    Args:
        why: a person should look at them.
        ids: one a row.
        said: calls with probabilities.
        truth: bool (rows, labels).
        named: from bool (some rows, labels) to those labels in words.
        most: how many at most.
    """
    width = said.shape[1]
    answers, known = called(said, truth.shape[1]), truth[:, :width]
    sure = np.where(known, 1 - said[..., 1], said[..., 1])  # how unlikely the truth was
    worst = np.where(answers[:, :width] != known, sure, -1.0).max(axis=1, initial=-1.0)
    order = [int(row) for row in np.argsort(-worst, kind="stable") if worst[row] >= 0][:most]
    texts = zip(order, named(truth[order]), named(answers[order]), strict=True)
    return tuple(
        LookAt(ids[row], why, label, called_so, float(worst[row]))
        for row, label, called_so in texts
    )
