"""Judging: class numbers in, Scores and Comparisons out, each with its interval and its rows."""

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist

import numpy as np

from fettle.core.evaluation import ClassScores, Contender
from fettle.core.score import Comparison, Score, number
from fettle.core.task import ByRow
from fettle.measures import classification, intervals, paired
from fettle.measures.groups import effective_rows, sign_flip, together

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
    targets: np.ndarray, predicted: np.ndarray, classes: int, *, rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> tuple[Score, ...]:
    """accuracy by Wilson's interval; macro precision, recall and F1 by the bootstrap.

    Args:
        targets, predicted: int (rows,), each in [0, classes).
        classes: how many there are.
        rng: draws the resamples.
        groups: int (rows,), numbered from 0, where rows hang together: intervals are then the wider
            of those by row and by group.
    """
    counts = classification.confusion(targets, predicted, classes)
    rows = len(targets)
    found = [accuracy(targets == predicted, groups)]
    whole = None if groups is None else intervals.grouped_intervals(
        list(MACRO.values()), targets, predicted, classes, groups, rng=rng)
    for at, (name, score) in enumerate(MACRO.items()):
        low, high = intervals.confusion_interval(score, counts, rng=rng)
        if whole is not None:
            low, high = min(low, whole[at][0]), max(high, whole[at][1])
        found.append(Score(name, float(score(counts)), low, high, rows))
    return tuple(found)


def accuracy(right: np.ndarray, groups: np.ndarray | None = None) -> Score:
    """The share of right answers, bool (rows,), with Wilson's interval.

    Args:
        right: bool (rows,).
        groups: int (rows,), where rows hang together: they count for as much as they are worth.
    """
    return _share("accuracy", right, groups)


def compare(
    first: str, second: str, first_right: np.ndarray, second_right: np.ndarray,
    groups: np.ndarray | None = None,
) -> Comparison:
    """The second model against the first by accuracy, on the same rows.

    Args:
        first, second: their names.
        first_right, second_right: bool (rows,).
        groups: int (rows,), where rows hang together: the interval has as many rows as they are
            worth, and the test turns the signs of whole groups.

    Source: Newcombe, Statistics in Medicine 17, 1998, method 10; McNemar, 1947, exact.
    """
    wins = int((second_right & ~first_right).sum())
    losses = int((first_right & ~second_right).sum())
    both = int((first_right & second_right).sum())
    rows = len(first_right)
    counts = (wins, losses, both, rows - wins - losses - both)
    difference, low, high = paired.newcombe(*counts)
    p, several = paired.mcnemar(wins, losses), None
    numbers = None if groups is None else together(groups)
    if numbers is not None:
        changed = second_right.astype(int) - first_right.astype(int)
        several = int(numbers.max()) + 1
        worth = effective_rows(changed, numbers) / rows
        _, low, high = paired.newcombe(*(worth * count for count in counts))
        p = sign_flip(changed, numbers)
    return Comparison(
        first, second, "accuracy", difference, low, high, wins, losses, p, rows, several
    )


def class_scores(
    targets: np.ndarray, predicted: np.ndarray, labels: Sequence[str], *, rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> tuple[ClassScores, ...]:
    """Precision and recall of each class by Wilson's interval, F1 by the bootstrap.

    F1 of a class asks only whether a row is of it and was called so: its table is two by two.

    Args:
        targets, predicted: int (rows,); each in [0, len(labels)).
        labels: of the classes.
        rng: draws the resamples.
        groups: int (rows,), where rows hang together.
    """
    counts = classification.confusion(targets, predicted, len(labels))
    f1 = classification.class_f1(counts)
    found = []
    for at, label in enumerate(labels):
        right, true, called = (
            int(counts[at, at]), int(counts[at].sum()), int(counts[:, at].sum())
        )
        apart = np.array([[right, true - right],
                          [called - right, len(targets) - true - called + right]])
        low, high = intervals.confusion_interval(_first_f1, apart, rng=rng)
        of_class, so_called = targets == at, predicted == at
        if groups is not None:
            whole = intervals.grouped_intervals(
                [_first_f1], (~of_class).astype(int), (~so_called).astype(int), 2, groups, rng=rng)
            low, high = min(low, whole[0][0]), max(high, whole[0][1])
        found.append(
            ClassScores(
                label,
                true,
                _share("precision", of_class[so_called], _of(groups, so_called)),
                _share("recall", so_called[of_class], _of(groups, of_class)),
                Score("f1", float(f1[at]), low, high, true),
            )
        )
    return tuple(found)


def _share(name: str, right: np.ndarray, groups: np.ndarray | None) -> Score:
    rows = len(right)
    value = int(right.sum()) / max(rows, 1)
    return Score(name, value, *intervals.share_interval(right, groups), rows)


def _of(groups: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if groups is None else groups[rows]


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
    kept: str, seed: int, groups: np.ndarray | None = None,
) -> tuple[Contender, ...]:
    """Each one's scores, and the kept model compared with it on the same rows.

    Args:
        answers: kind, predicted class numbers (rows,) and a note by contender.
        targets: int (rows,).
        classes: how many labels there are.
        kept: name of the kept model among them.
        seed: of the resamples, the same for each.
        groups: int (rows,), numbered from 0, where rows hang together.
    """
    return tuple(
        Contender(
            name=name,
            kind=kind,
            scores=scores(targets, predicted, classes, rng=np.random.default_rng(seed),
                          groups=groups),
            versus_kept=None if name == kept else compare(
                name, kept, predicted == targets, answers[kept][1] == targets, groups
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


def looks(openings: int, score: Score) -> tuple[str, ...]:
    """What a reader must know of looks at the rows before this one, and what they cost at most.

    Args:
        openings: how many looks there have been, this one included.
        score: of the kept model; half its interval is two standard errors.

    Returns:
        A sentence with how much better the best of so many equally good models would seem to be:
        the expected largest of their errors, were these unrelated. Nothing at the first look.

    Source: Blom, "Statistical Estimates and Transformed Beta-Variables", 1958, for the largest of
    several normal numbers.
    """
    if openings == 1:
        return ()
    normal = NormalDist()
    error = (score.high - score.low) / 2 / normal.inv_cdf((1 + intervals.LEVEL) / 2)
    flattered = error * normal.inv_cdf((openings - 0.375) / (openings + 0.25))
    return (
        f"These test rows have been looked at {openings} times: choosing among versions by them "
        f"makes their scores too good. The best of {openings} models that are equally good would "
        f"seem better than it is by up to about {number(flattered, score.name)} "
        f"({score.name.replace('_', ' ')}).",
    )


def _worse(inside: np.ndarray, outside: np.ndarray) -> float:
    """Fisher's exact test, one-sided: that these are right more rarely than the others."""
    from scipy.stats import hypergeom

    hits, rows = int(inside.sum()), len(inside)
    all_hits, all_rows = hits + int(outside.sum()), rows + len(outside)
    return min(1.0, float(hypergeom.cdf(hits, all_rows, all_hits, rows)))


def _smallest_gain(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None
) -> float:
    return paired.smallest_gain(max(int(len(first) / _effect(first, second, groups)), 1))


def _to_tell(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None
) -> int | None:
    wins, losses = int((second & ~first).sum()), int((first & ~second).sum())
    return paired.more_rows_to_tell(
        wins, losses, len(first), effect=_effect(first, second, groups))


def _effect(first: np.ndarray, second: np.ndarray, groups: np.ndarray | None) -> float:
    """How many of these rows tell as much of a change as one row that is alone."""
    numbers = None if groups is None else together(groups)
    if numbers is None:
        return 1.0
    return len(first) / effective_rows(second.astype(int) - first.astype(int), numbers)


RIGHT = ByRow(
    name="accuracy",
    less_is_better=False,
    score=accuracy,
    compare=compare,
    worse=_worse,
    smallest_gain=_smallest_gain,
    rows_to_tell=_to_tell,
)
"""Right or wrong, bool (rows,): accuracy, by Wilson, Newcombe, McNemar and Fisher."""
