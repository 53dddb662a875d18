"""Judging answers that are one class a row: right or wrong, confusion, calibration, abstention."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fettle.core.evaluation import Contender, Fitting, LookAt
from fettle.core.run import Epoch
from fettle.core.score import Comparison
from fettle.measures import calibration, fitting, judging, selective

__all__ = ["JudgeOfClasses"]


class JudgeOfClasses:
    """Of `classes`; outputs are divided by the temperature before they become probabilities."""

    by_row = judging.RIGHT

    def __init__(self, classes: tuple[str, ...], temperature: float) -> None:
        self.classes, self.temperature = classes, temperature

    def truth(self, cells: Sequence[str | None]) -> np.ndarray:
        """Class numbers (rows,); labels that no learning row has share the one after the last."""
        return judging.truth_of(cells, self.classes)[0]

    def said(self, outputs: np.ndarray) -> np.ndarray:
        """The likeliest class of each row."""
        return np.asarray(outputs.argmax(axis=1))

    def values(self, said: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Right or wrong, bool (rows,); an unseen label is never answered right."""
        return np.asarray((said == truth) & (truth < len(self.classes)))

    def named(self, said: np.ndarray) -> list[str]:
        """The labels."""
        labels = (*self.classes, judging.UNSEEN)
        return [labels[one] for one in said]

    def contenders(
        self, answers: Mapping[str, tuple[str, np.ndarray, str]], truth: np.ndarray, *,
        kept: str, seed: int, groups: np.ndarray | None = None,
    ) -> tuple[Contender, ...]:
        """accuracy and the macro scores of each, and the kept model against it by accuracy."""
        return judging.contenders(
            answers, truth, len(self._labels(truth)), kept=kept, seed=seed, groups=groups
        )

    def details(
        self, outputs: np.ndarray, truth: np.ndarray, *,
        validation: tuple[np.ndarray, np.ndarray] | None, source: str, seed: int,
        groups: np.ndarray | None = None, among: np.ndarray | None = None,
    ) -> Mapping[str, Any]:
        """Scores by class, confusion, calibration; and where to abstain, with validation rows."""
        said, labels = self.said(outputs), self._labels(truth)
        found: dict[str, Any] = {
            "classes": judging.class_scores(
                truth, said, labels, rng=np.random.default_rng(seed), groups=groups),
            "labels": labels,
            "confusion": judging.confusion_table(truth, said, labels),
            "calibration": calibration.calibrated(
                outputs, truth, self.temperature, rows=len(validation[1]) if validation else 0,
                source=source, seed=seed, groups=groups,
            ),
        }
        if validation is not None:
            judged, known = validation
            low, high = calibration.temperature_interval(
                judged, known, self.temperature, groups=among)
            found["calibration"] = replace(found["calibration"], low=low, high=high)
            found["abstention"] = selective.abstention(
                self._sure(outputs), said == truth,
                (self._sure(judged), self.said(judged) == known),
                rng=np.random.default_rng(seed), groups=groups, among=among,
            )
        return found

    def fitting(
        self, history: Sequence[Epoch], *, train: np.ndarray, test: np.ndarray,
        baseline: Comparison | None, twins: Sequence[Sequence[str]], stopped: str,
    ) -> Fitting:
        """By accuracy; twins whose labels contradict put a ceiling on it."""
        return fitting.fitting(
            history, train=judging.accuracy(train), test=judging.accuracy(test),
            baseline=baseline, limit=fitting.ceiling(twins), stopped=stopped,
        )

    def look_at(
        self, why: str, ids: Sequence[str], outputs: np.ndarray, truth: np.ndarray
    ) -> tuple[LookAt, ...]:
        """Rows that are wrong although the model is sure."""
        return selective.wrong_and_sure(
            why, ids, self._sure(outputs), self.said(outputs), truth, self._labels(truth)
        )

    def remarks(self, truth: np.ndarray) -> tuple[str, ...]:
        """That some labels are unseen."""
        if len(self._labels(truth)) == len(self.classes):
            return ()
        return ("Some test rows carry a label that no training row has; they count as wrong.",)

    def _labels(self, truth: np.ndarray) -> tuple[str, ...]:
        unseen = (truth == len(self.classes)).any()
        return (*self.classes, judging.UNSEEN) if unseen else self.classes

    def _sure(self, outputs: np.ndarray) -> np.ndarray:
        return calibration.confidence_of(outputs, self.temperature)
