"""Judging answers of several labels a row: F1 of the sets, each label by itself, calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fettle.core.evaluation import Contender, Fitting, LabelRule, LookAt
from fettle.core.labels import with_unseen
from fettle.core.run import Epoch
from fettle.core.score import Comparison, Score
from fettle.core.task import ByRow
from fettle.measures import (
    fitting,
    judging,
    label_calibration,
    label_judging,
    label_sets,
    selective,
)

if TYPE_CHECKING:
    from fettle.tasks.multi_label import MultiLabel

__all__ = ["JudgeOfLabels"]

UNSEEN = "(a label unseen in training)"
NONE = "(no label)"


class JudgeOfLabels:
    """By a task whose thresholds are fitted; truth is bool (rows, labels), one column more where a
    row has a label that the task does not know; calls are those of measures.label_judging."""

    by_row = ByRow(
        name="row_f1",
        less_is_better=False,
        score=label_judging.mean_row_f1,
        compare=label_judging.compare,
        worse=label_judging.worse,
        smallest_gain=label_judging.smallest_gain,
        rows_to_tell=label_judging.rows_to_tell,
    )

    def __init__(self, task: "MultiLabel") -> None:
        self.task = task

    def truth(self, cells: Sequence[str | None]) -> np.ndarray:
        """Which labels each row has; all that no learning row has share one further column."""
        return with_unseen(cells, self.task.classes)

    def said(self, outputs: np.ndarray) -> np.ndarray:
        """Which labels are called, and the probability of each."""
        return label_judging.calls(self.task.called(outputs), self.task.calibrated(outputs))

    def values(self, said: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """F1 of each row's labels."""
        return label_judging.values(said, truth)

    def named(self, said: np.ndarray) -> list[str]:
        """The labels of each row with commas, from calls or truth."""
        each = label_judging.called(said, said.shape[1]) if said.ndim == 3 else said
        labels = (*self.task.classes, UNSEEN)
        return [", ".join(labels[at] for at in np.flatnonzero(line)) or NONE for line in each]

    def contenders(
        self, answers: Mapping[str, tuple[str, np.ndarray, str]], truth: np.ndarray, *,
        kept: str, seed: int, groups: np.ndarray | None = None,
    ) -> tuple[Contender, ...]:
        """Every score of each, and the kept model against it by the mean F1 of rows."""
        return label_judging.contenders(answers, truth, kept=kept, seed=seed, groups=groups)

    def details(
        self, outputs: np.ndarray, truth: np.ndarray, *,
        validation: tuple[np.ndarray, np.ndarray] | None, source: str, seed: int,
        groups: np.ndarray | None = None, among: np.ndarray | None = None,
    ) -> Mapping[str, Any]:
        """Scores by label, which stand in for which, thresholds, calibration; with validation
        rows, what abstaining brings, where a row is right if all its labels are."""
        task, labels = self.task, self._labels(truth)
        answers = label_judging.called(self.said(outputs), len(labels))
        known = truth[:, : len(task.classes)]
        has = validation[1].sum(axis=0) if validation else np.zeros(len(task.classes))
        found: dict[str, Any] = {
            "classes": label_judging.label_scores(
                truth, answers, labels, rng=np.random.default_rng(seed), groups=groups),
            "labels": labels,
            "confusion": tuple(
                tuple(int(cell) for cell in line)
                for line in label_sets.mistaken(truth, answers)
            ),
            "rules": tuple(
                LabelRule(label, float(cut), own, int(rows))
                for label, cut, own, rows in zip(
                    task.classes, task.thresholds, task.own, has, strict=True)
            ),
            "calibration": label_calibration.calibrated(
                outputs, known, task.temperature, rows=len(validation[1]) if validation else 0,
                source=source, seed=seed, groups=groups,
            ),
        }
        if validation is not None:
            judged, told = validation
            found["abstention"] = selective.abstention(
                task.sure(task.calibrated(outputs)), (truth == answers).all(axis=1),
                (task.sure(task.calibrated(judged)),
                 (task.called(judged) == told).all(axis=1)),
                rng=np.random.default_rng(seed), groups=groups, among=among,
            )
        return found

    def fitting(
        self, history: Sequence[Epoch], *, train: np.ndarray, test: np.ndarray,
        baseline: Comparison | None, twins: Sequence[Sequence[str]], stopped: str,
    ) -> Fitting:
        """By the share of rows whose labels are all right; twins that contradict limit it."""
        return fitting.fitting(
            history, train=_all_right(train), test=_all_right(test), baseline=baseline,
            limit=fitting.ceiling(twins), stopped=stopped,
        )

    def look_at(
        self, why: str, ids: Sequence[str], outputs: np.ndarray, truth: np.ndarray
    ) -> tuple[LookAt, ...]:
        """Rows with a wrong call that the model is sure of."""
        return label_judging.wrong_and_sure(why, ids, self.said(outputs), truth, self.named)

    def remarks(self, truth: np.ndarray) -> tuple[str, ...]:
        """That some labels are unseen, and how many rows have none."""
        bare = int((~truth.any(axis=1)).sum())
        told = [f"{bare:,} of {len(truth):,} rows have no label: they are right where none is "
                "called."] if bare else []
        if truth.shape[1] > len(self.task.classes):
            told.append("Some rows have a label that no training row has; it counts as missed.")
        return tuple(told)

    def _labels(self, truth: np.ndarray) -> tuple[str, ...]:
        return (*self.task.classes, UNSEEN)[: truth.shape[1]]


def _all_right(values: np.ndarray) -> Score:
    """The share of rows with an F1 of 1, which are those with no wrong call."""
    return replace(judging.accuracy(values > 1 - 1e-9), name="subset_accuracy")
