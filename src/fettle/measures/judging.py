"""Judging: class numbers in, Scores and Comparisons out, each with its interval and its rows."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fettle.core.evaluation import ClassScores, Comparison, Contender, Score
from fettle.core.task import ByRow
from fettle.measures import classification, intervals, paired

__all__ = [
    "RIGHT", "UNSEEN", "Answers", "accuracy", "better_before", "class_scores", "compare",
    "confusion_table", "contenders", "hardest", "looks", "scores", "truth_of",
]

UNSEEN = "(a class unseen in training)"
Answers = dict[str, tuple[str, np.ndarray, str]]
"""Answers (rows, ...) by contender, with its kind before them and a note after."""

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


def accuracy(right: np.ndarray) -> Score:
    """The share of right answers, bool (rows,), with Wilson's interval."""
    hits, rows = int(right.sum()), len(right)
    return Score("accuracy", hits / rows, *intervals.wilson(hits, rows), rows)


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
    """Precision and recall of each class by Wilson's interval, F1 by the bootstrap.

    F1 of a class asks only whether a row is of it and was called so: its table is two by two.
    """
    counts = classification.confusion(targets, predicted, len(labels))
    f1 = classification.class_f1(counts)
    found = []
    for number, label in enumerate(labels):
        right, true, called = (
            int(counts[number, number]), int(counts[number].sum()), int(counts[:, number].sum())
        )
        apart = np.array([[right, true - right],
                          [called - right, len(targets) - true - called + right]])
        low, high = intervals.confusion_interval(_first_f1, apart, rng=rng)
        found.append(
            ClassScores(
                label,
                true,
                Score(
                    "precision", right / max(called, 1), *intervals.wilson(right, called), called
                ),
                Score("recall", right / max(true, 1), *intervals.wilson(right, true), true),
                Score("f1", float(f1[number]), low, high, true),
            )
        )
    return tuple(found)


def _first_f1(counts: np.ndarray) -> np.ndarray:
    return classification.class_f1(counts)[..., 0]


def confusion_table(
    targets: np.ndarray, predicted: np.ndarray, labels: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Counts; a line is a true class, a column a predicted one."""
    counts = classification.confusion(targets, predicted, len(labels))
    return tuple(tuple(int(cell) for cell in line) for line in counts)


def truth_of(
    cells: Sequence[str | None], classes: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers (rows,), and the labels; unseen ones share one number after the last class."""
    number = {label: at for at, label in enumerate(classes)}
    targets = np.array([number.get(cell or "", len(classes)) for cell in cells], dtype=np.int64)
    unseen = (UNSEEN,) if (targets == len(classes)).any() else ()
    return targets, (*classes, *unseen)


def contenders(
    answers: Mapping[str, tuple[str, np.ndarray, str]], targets: np.ndarray, classes: int, *,
    kept: str, seed: int,
) -> tuple[Contender, ...]:
    """Each one's scores, and the kept model compared with it on the same rows.

    Args:
        answers: kind, predicted class numbers (rows,) and a note by contender.
        targets: int (rows,).
        classes: how many labels there are.
        kept: name of the kept model among them.
        seed: of the resamples, the same for each.
    """
    return tuple(
        Contender(
            name=name,
            kind=kind,
            scores=scores(targets, predicted, classes, rng=np.random.default_rng(seed)),
            versus_kept=None if name == kept else compare(
                name, kept, predicted == targets, answers[kept][1] == targets
            ),
            note=note,
        )
        for name, (kind, predicted, note) in answers.items()
    )


def better_before(contenders: Sequence[Contender]) -> str:
    """The headline compares with the better of what the model could do as it came: with the one
    that the kept model gains least on."""
    return hardest([one for one in contenders if one.kind == "before"])


def hardest(contenders: Sequence[Contender]) -> str:
    """The name of the one that the kept model gains least on."""
    return min(contenders, key=_gained).name


def _gained(one: Contender) -> float:
    assert one.versus_kept is not None, "only the kept model is not compared with itself"
    return one.versus_kept.difference


def looks(openings: int) -> tuple[str, ...]:
    """What a reader must know of looks at the rows before this one."""
    if openings == 1:
        return ()
    return (
        f"These test rows have been looked at {openings} times: choosing among versions by them "
        "makes their scores too good.",
    )


def _worse(inside: np.ndarray, outside: np.ndarray) -> float:
    """Fisher's exact test, one-sided: that these are right more rarely than the others."""
    from scipy.stats import hypergeom

    hits, rows = int(inside.sum()), len(inside)
    all_hits, all_rows = hits + int(outside.sum()), rows + len(outside)
    return min(1.0, float(hypergeom.cdf(hits, all_rows, all_hits, rows)))


def _to_tell(first: np.ndarray, second: np.ndarray) -> int | None:
    wins, losses = int((second & ~first).sum()), int((first & ~second).sum())
    return paired.more_rows_to_tell(wins, losses, len(first))


RIGHT = ByRow(
    name="accuracy",
    less_is_better=False,
    score=accuracy,
    compare=compare,
    worse=_worse,
    smallest_gain=lambda first, second: paired.smallest_gain(len(first)),
    rows_to_tell=_to_tell,
)
"""Right or wrong, bool (rows,): accuracy, by Wilson, Newcombe, McNemar and Fisher."""
