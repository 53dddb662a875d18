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


def scores(said: np.ndarray, truth: np.ndarray, *, rng: np.random.Generator) -> tuple[Score, ...]:
    """Every score of these answers, each with its interval and its rows.

    Args:
        said: calls.
        truth: bool (rows, labels).
        rng: draws the resamples.

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
        low, high = tally_interval(score, truth, answers, rng=rng)
        found.append(Score(name, float(score(counts)), low, high, rows))
    found.append(mean_row_f1(row_f1(truth, answers), rng=rng))
    right = int((truth == answers).all(axis=1).sum())
    found.append(Score("subset_accuracy", right / rows, *intervals.wilson(right, rows), rows))
    found.append(_mean("hamming_loss", (truth != answers).mean(axis=1), rng))
    ranks = said[..., 1]
    if np.isfinite(ranks).all():
        each = ranking_precision(truth[:, : ranks.shape[1]], ranks)
        found.append(_mean("ranking_precision", each, rng))
    return tuple(found)


def mean_row_f1(each: np.ndarray, *, rng: np.random.Generator | None = None) -> Score:
    """The mean F1 of rows, float (rows,), with its interval."""
    return _mean("row_f1", each, rng or np.random.default_rng(0))


def _mean(name: str, each: np.ndarray, rng: np.random.Generator) -> Score:
    low, high = intervals.mean_interval(each, rng=rng)
    return Score(name, float(each.mean()), low, high, len(each))


def label_scores(
    truth: np.ndarray, answers: np.ndarray, labels: Sequence[str], *, rng: np.random.Generator
) -> tuple[ClassScores, ...]:
    """Precision and recall of each label by Wilson's interval, F1 by the bootstrap.

    Args:
        truth: bool (rows, labels).
        answers: bool (rows, labels): which are called.
        labels: their names.
        rng: draws the resamples.
    """
    found = []
    for label, (right, strange, missed) in zip(labels, tallies(truth, answers).tolist(),
                                               strict=True):
        neither = len(truth) - right - strange - missed
        table = np.array([[right, missed], [strange, neither]])
        low, high = intervals.confusion_interval(_f1_of_first, table, rng=rng)
        called_in, has = right + strange, right + missed
        f1 = 2 * right / max(called_in + has, 1)
        found.append(ClassScores(
            label, has,
            Score("precision", right / max(called_in, 1), *intervals.wilson(right, called_in),
                  called_in),
            Score("recall", right / max(has, 1), *intervals.wilson(right, has), has),
            Score("f1", f1, low, high, has),
        ))
    return tuple(found)


def _f1_of_first(counts: np.ndarray) -> np.ndarray:
    return classification.class_f1(counts)[..., 0]


def compare(
    first: str, second: str, first_values: np.ndarray, second_values: np.ndarray
) -> Comparison:
    """The second model against the first by the mean F1 of rows, on the same rows.

    Wins are rows on which the second's F1 is higher; p is the exact sign test of wins and losses.

    Args:
        first, second: their names.
        first_values, second_values: float (rows,): F1 of each row.
    """
    gain = second_values.astype(float) - first_values.astype(float)
    low, high = intervals.mean_interval(gain, rng=np.random.default_rng(0))
    wins, losses = int((gain > 0).sum()), int((gain < 0).sum())
    return Comparison(first, second, "row_f1", float(gain.mean()), low, high, wins, losses,
                      paired.mcnemar(wins, losses), len(gain))


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


def smallest_gain(first: np.ndarray, second: np.ndarray) -> float:
    """The smallest gain in the mean F1 of rows that so many rows show in 80% of cases.

    Args:
        first, second: float (rows,): F1 of each row, of two models.

    Returns:
        From 0 to 1; 1.0 with a single row.
    """
    gain = second.astype(float) - first.astype(float)
    if len(gain) < 2:
        return 1.0
    return min(float(_Z * gain.std(ddof=1) / sqrt(len(gain))), 1.0)


def rows_to_tell(first: np.ndarray, second: np.ndarray) -> int | None:
    """How many more rows would show this difference, were it the true one, in 80% of cases.

    Args:
        first, second: float (rows,): F1 of each row, of two models.

    Returns:
        0 where these are enough; None where there is no difference, so that no number will do.
    """
    gain = second.astype(float) - first.astype(float)
    if len(gain) < 2 or not gain.mean():
        return None
    wanted = ceil((_Z * gain.std(ddof=1) / abs(gain.mean())) ** 2)
    return max(wanted - len(gain), 0)


def contenders(
    answers: Mapping[str, tuple[str, np.ndarray, str]], truth: np.ndarray, *, kept: str, seed: int,
) -> tuple[Contender, ...]:
    """Each one's scores, and the kept model compared with it on the same rows.

    Args:
        answers: kind, calls and a note by contender.
        truth: bool (rows, labels).
        kept: name of the kept model among them.
        seed: of the resamples, the same for each.
    """
    own = values(answers[kept][1], truth)
    return tuple(
        Contender(
            name=name, kind=kind,
            scores=scores(said, truth, rng=np.random.default_rng(seed)),
            versus_kept=None if name == kept else compare(name, kept, values(said, truth), own),
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
