"""The contract of a task: what is predicted, and how its answers are judged.

Every stage asks the task instead of assuming classes: what the targets are, how a head is solved,
by what rungs are compared, what an answer is worth, what only an Evaluation of this task has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fettle.core.evaluation import Contender, Evaluation, Fitting, LookAt
from fettle.core.parts import Card, Objective
from fettle.core.plan import Unit
from fettle.core.run import Epoch
from fettle.core.score import Comparison, Score
from fettle.core.version import Prediction

__all__ = ["ByRow", "Judge", "Task"]


class Task(Objective, Protocol):
    """What is predicted: targets, head, loss, answers."""

    name: str
    classes: tuple[str, ...]
    """What can be answered, in the order of the outputs; () where the answer is a number."""
    outputs: int
    """How many numbers the head gives a row."""
    solver: str
    """How a linear head is solved for it: a name in engine.linear.SOLVERS."""
    metrics: tuple[str, ...]
    """By which rungs can be kept; more is better in each."""
    stops: tuple[str, ...]
    """By which a rung may stop; more is better in each."""
    losses: tuple[str, ...]
    """Which `taught` knows; the first is the usual one, plain."""
    log_prior: np.ndarray | None
    """Added to the outputs inside the loss, (classes,); None where nothing is."""
    half_width: float | None
    """Of the interval around a number, in the target's unit; None where none is known."""
    temperature: float
    """Raw outputs are divided by it before they become probabilities; 1.0 where they do not."""

    @property
    def unit(self) -> Unit | None:
        """What its outputs are in, where numbers are answered."""

    def answered(self, cells: Sequence[str | None]) -> np.ndarray:
        """Which cells hold an answer, bool (rows,)."""

    def targets(self, cells: Sequence[str | None]) -> np.ndarray:
        """The column's cells as numbers, (rows, ...)."""

    def coded(self, targets: np.ndarray) -> np.ndarray:
        """The targets as a head is solved for them."""

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """What folds and subsets should have an even share of: int (rows,)."""

    def head(self, card: Card, pooling: str, dropout: float) -> Mapping[str, Any]:
        """What to put on the network, as plain values that a file can hold."""

    def taught(self, targets: np.ndarray, *, loss: str, label_smoothing: float) -> Task:
        """The same task with another loss, for these rows to learn from."""

    def constants(self, targets: np.ndarray) -> Sequence[np.ndarray]:
        """Outputs (outputs,) of somebody who knows these targets alone; the last one is what
        chance would say by `plain_loss`."""

    def is_flat(self, outputs: np.ndarray, targets: np.ndarray) -> bool:
        """Whether every row is answered alike, although the targets differ."""

    def plain_loss(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """The mean loss of these outputs, without weights and smoothing."""

    def score(self, metric: str) -> Callable[[np.ndarray, np.ndarray], float]:
        """From (outputs, targets) to this metric, of `stops`."""

    def interval(
        self, metric: str, outputs: np.ndarray, targets: np.ndarray, *, seed: int,
        groups: np.ndarray | None = None,
    ) -> Score:
        """The metric, of `metrics`, on these rows, with its 95% interval.

        Args:
            groups: int (rows,), numbered from 0, where rows hang together: the interval is then
                the wider of those by row and by group.
        """

    def paired_loss(
        self, metric: str, best: np.ndarray, other: np.ndarray, targets: np.ndarray, *, seed: int,
        groups: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """What is lost by the other outputs against the best, and its standard error; the greater
        of those by row and by group, where rows hang together."""

    def calibrated(self, outputs: np.ndarray) -> np.ndarray:
        """The probability of each class or label, float64 (rows, outputs); or the numbers in the
        target's unit, (rows, 1)."""

    def predictions(
        self, outputs: np.ndarray, ids: Sequence[str], version: str
    ) -> list[Prediction]:
        """One Prediction a row."""

    def facts(self) -> Mapping[str, Any]:
        """What makes the same task again, as a file can hold it: TASKS[name](**facts)."""

    def fitted(self, outputs: np.ndarray, targets: np.ndarray) -> Task:
        """The same task, once it has seen on rows that were not learned from how sure it may be."""

    def of(self, evaluation: Evaluation) -> Task:
        """The same task, as sure as this evaluation found it to be."""

    @property
    def judge(self) -> Judge:
        """How its answers are judged."""


@dataclass(frozen=True, slots=True)
class ByRow:
    """One value a row, such as right or wrong, and how such values are put together.

    Pairing, slices and the curve of learning are written once, over these.
    """

    name: str
    """Of their mean: accuracy, mae."""
    less_is_better: bool
    score: Callable[..., Score]
    """The mean of the values (rows,), with its interval; then groups, as below."""
    compare: Callable[..., Comparison]
    """Two models by name, and the values of each on the same rows: what the second gains; then
    groups, as below."""
    worse: Callable[[np.ndarray, np.ndarray], float]
    """The one-sided p that the first rows are worse than the second, which are others."""
    smallest_gain: Callable[..., float | None]
    """From the values of two models: the smallest gain that so many rows show in 80% of cases; None
    where they do not tell. Then groups, as below."""
    rows_to_tell: Callable[..., int | None]
    """About how many more rows would show the difference; None where no number would do. Then
    groups: int (rows,), where rows hang together and count whole; None where each is alone."""


class Judge(Protocol):
    """How the answers of a task are judged, on rows that chose nothing."""

    by_row: ByRow

    def truth(self, cells: Sequence[str | None]) -> np.ndarray:
        """As `Task.targets`; what no learning row answers has a place, too."""

    def said(self, outputs: np.ndarray) -> np.ndarray:
        """What is answered, row by row, as `truth` has it."""

    def values(self, said: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """The values of `by_row`, (rows,)."""

    def named(self, said: np.ndarray) -> list[str]:
        """Answers or truth in words, one a row."""

    def contenders(
        self, answers: Mapping[str, tuple[str, np.ndarray, str]], truth: np.ndarray, *,
        kept: str, seed: int, groups: np.ndarray | None = None,
    ) -> tuple[Contender, ...]:
        """Each one's scores, and the kept model compared with it; by name: kind, said, note."""

    def details(
        self, outputs: np.ndarray, truth: np.ndarray, *,
        validation: tuple[np.ndarray, np.ndarray] | None, source: str, seed: int,
        groups: np.ndarray | None = None, among: np.ndarray | None = None,
    ) -> Mapping[str, Any]:
        """The fields of an Evaluation that this task alone has.

        Args:
            outputs, truth: of the judged rows.
            validation: outputs and truth of the rows that it was fitted on; None where that
                was elsewhere.
            source: what rows those were.
            seed: of resamples.
            groups: int (rows,), where judged rows hang together.
            among: the same of the validation rows.
        """

    def fitting(
        self, history: Sequence[Epoch], *, train: np.ndarray, test: np.ndarray,
        baseline: Comparison | None, twins: Sequence[Sequence[str]], stopped: str,
    ) -> Fitting:
        """Whether the model learned too little, or too much by heart.

        Args:
            history: of the kept rung; empty for a solved head.
            train, test: values of rows that it learned from, and of test rows.
            baseline: of the best baseline against the kept model.
            twins: cells of the target of learning rows that say the same, cluster by cluster.
            stopped: what ended its training.
        """

    def look_at(
        self, why: str, ids: Sequence[str], outputs: np.ndarray, truth: np.ndarray
    ) -> tuple[LookAt, ...]:
        """The rows that a person should look at first."""

    def remarks(self, truth: np.ndarray) -> tuple[str, ...]:
        """What a reader of the scores must know of these rows."""
