"""Rating: a version's answers on new rows, scored. There is no before, and nothing is compared."""

from collections.abc import Callable

import numpy as np

from fettle.core.dataset import Dataset
from fettle.core.errors import InputError
from fettle.core.evaluation import Evaluation
from fettle.core.split import Opening
from fettle.core.task import Task
from fettle.measures import judging

__all__ = ["rate"]


def rate(
    name: str, outputs: np.ndarray, dataset: Dataset, task: Task, *, metric: str,
    count: Callable[[Opening], int],
) -> Evaluation:
    """Every score of these answers, with intervals, and whether their probabilities hold.

    Args:
        name: of the version.
        outputs: its raw outputs (rows, outputs) for every row of the dataset.
        dataset: rows with answers; rows without one are left out and counted.
        task: that says what the outputs stand for.
        metric: the headline's.
        count: writes the look at these rows down and returns how many there have been.

    Raises:
        InputError: no row has an answer.
    """
    cells = dataset.targets()
    answered = np.flatnonzero(task.answered(cells)).tolist()
    if not answered:
        raise InputError(f"{dataset.name} has no row with an answer to compare with.")
    test = dataset.fingerprint(answered)
    openings = count(Opening(test, f"evaluate {name}"))
    truth = task.judge.truth([cells[row] for row in answered])
    said = task.judge.said(outputs[answered])
    left = len(cells) - len(answered)
    notes = (f"{left:,} rows without an answer are not scored.",) if left else ()
    values = task.judge.values(said, truth)
    contenders = task.judge.contenders({name: ("version", said, "")}, truth, kept=name, seed=0)
    return Evaluation(
        test=test,
        rows=len(answered),
        openings=openings,
        metric=metric,
        kept=name,
        before=None,
        contenders=contenders,
        smallest_gain=task.judge.by_row.smallest_gain(values, values),
        notes=notes + judging.looks(openings, contenders[0].score(metric)) +
        task.judge.remarks(truth),
        **task.judge.details(
            outputs[answered], truth, validation=None, source="the version", seed=0
        ),
    )
