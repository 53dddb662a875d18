"""Rating: a version's answers on new rows, scored. There is no before, and nothing is compared."""

from collections.abc import Callable, Sequence

import numpy as np

from fettle.core.dataset import Dataset
from fettle.core.errors import InputError
from fettle.core.evaluation import Contender, Evaluation
from fettle.core.split import Opening
from fettle.measures import calibration, judging, paired

__all__ = ["rate"]


def rate(
    name: str, outputs: np.ndarray, dataset: Dataset, classes: Sequence[str], *, metric: str,
    count: Callable[[Opening], int], temperature: float = 1.0,
) -> Evaluation:
    """Every score of these answers, with intervals, and whether their probabilities hold.

    Args:
        name: of the version.
        outputs: its raw outputs (rows, classes) for every row of the dataset.
        dataset: rows with answers; rows without one are left out and counted.
        classes: what the outputs stand for.
        metric: the headline's.
        count: writes the look at these rows down and returns how many there have been.
        temperature: that the version divides its outputs by.

    Raises:
        InputError: no row has an answer.
    """
    cells = dataset.targets()
    answered = [row for row, cell in enumerate(cells) if (cell or "").strip()]
    if not answered:
        raise InputError(f"{dataset.name} has no row with an answer to compare with.")
    test = dataset.fingerprint(answered)
    openings = count(Opening(test, f"evaluate {name}"))
    targets, labels = judging.truth_of([cells[row] for row in answered], classes)
    predicted = outputs[answered].argmax(axis=1)
    rng = np.random.default_rng(0)
    left = len(cells) - len(answered)
    notes = (f"{left:,} rows without an answer are not scored.",) if left else ()
    return Evaluation(
        test=test,
        rows=len(answered),
        openings=openings,
        metric=metric,
        kept=name,
        before=None,
        contenders=(
            Contender(name, "version", judging.scores(targets, predicted, len(labels), rng=rng),
                      None),
        ),
        classes=judging.class_scores(targets, predicted, labels, rng=rng),
        labels=labels,
        confusion=judging.confusion_table(targets, predicted, labels),
        smallest_gain=paired.smallest_gain(len(answered)),
        calibration=calibration.calibrated(
            outputs[answered], targets, temperature, rows=0, source="the version", seed=0
        ),
        notes=notes + judging.remarks(labels, classes, openings),
    )
