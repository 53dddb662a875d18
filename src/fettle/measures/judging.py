"""Judging: class numbers in, Scores and Comparisons out, each with its interval and its rows."""

from collections.abc import Callable, Sequence

import numpy as np

from fettle.core.evaluation import ClassScores, Comparison, Score
from fettle.measures import classification, intervals, paired

__all__ = ["class_scores", "compare", "confusion_table", "scores"]

MACRO: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "macro_precision": classification.macro_precision_of,
    "macro_recall": classification.macro_recall_of,
    "macro_f1": classification.macro_f1_of,
}


def scores(
    targets: np.ndarray, predicted: np.ndarray, classes: int, *, rng: np.random.Generator
) -> tuple[Score, ...]:
    """accuracy by Wilson's interval; macro precision, recall and F1 by the bootstrap.

    Args:
        targets, predicted: int (rows,), each in [0, classes).
        classes: how many there are.
        rng: draws the resamples.
    """
    counts = classification.confusion(targets, predicted, classes)
    right, rows = int(np.trace(counts)), len(targets)
    found = [Score("accuracy", right / rows, *intervals.wilson(right, rows), rows)]
    for name, score in MACRO.items():
        low, high = intervals.confusion_interval(score, counts, rng=rng)
        found.append(Score(name, float(score(counts)), low, high, rows))
    return tuple(found)


def compare(
    first: str, second: str, first_right: np.ndarray, second_right: np.ndarray
) -> Comparison:
    """The second model against the first by accuracy, on the same rows.

    Args:
        first, second: their names.
        first_right, second_right: bool (rows,).

    Source: Newcombe, Statistics in Medicine 17, 1998, method 10; McNemar, 1947, exact.
    """
    wins = int((second_right & ~first_right).sum())
    losses = int((first_right & ~second_right).sum())
    both = int((first_right & second_right).sum())
    rows = len(first_right)
    difference, low, high = paired.newcombe(wins, losses, both, rows - wins - losses - both)
    return Comparison(
        first, second, "accuracy", difference, low, high, wins, losses,
        paired.mcnemar(wins, losses), rows,
    )


def class_scores(
    targets: np.ndarray, predicted: np.ndarray, labels: Sequence[str], *, rng: np.random.Generator
) -> tuple[ClassScores, ...]:
    """Precision and recall of each class by Wilson's interval, F1 by the bootstrap."""
    counts = classification.confusion(targets, predicted, len(labels))
    f1 = classification.class_f1(counts)
    low, high = intervals.confusion_intervals(classification.class_f1, counts, rng=rng)
    found = []
    for number, label in enumerate(labels):
        right, true, called = (
            int(counts[number, number]), int(counts[number].sum()), int(counts[:, number].sum())
        )
        found.append(
            ClassScores(
                label,
                true,
                Score(
                    "precision", right / max(called, 1), *intervals.wilson(right, called), called
                ),
                Score("recall", right / max(true, 1), *intervals.wilson(right, true), true),
                Score("f1", float(f1[number]), float(low[number]), float(high[number]), true),
            )
        )
    return tuple(found)


def confusion_table(
    targets: np.ndarray, predicted: np.ndarray, labels: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Counts; a line is a true class, a column a predicted one."""
    counts = classification.confusion(targets, predicted, len(labels))
    return tuple(tuple(int(cell) for cell in line) for line in counts)
