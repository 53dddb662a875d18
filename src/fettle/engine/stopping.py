"""Stopping: which epoch is best, when none gets better, and when a training has collapsed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from fettle.core.run import Epoch
from fettle.core.task import Task

__all__ = [
    "Watch", "best", "chance", "has_collapsed", "out_of_patience", "taught_chance",
]

NEAR_CHANCE = 0.98
"""A loss of this share of chance's, or more, has learned nothing."""
IN_A_ROW = 2
"""Epochs that are collapsed before a training is given up: the first may still be waking."""


def best(history: Sequence[Epoch], last: int | None = None, *, by_loss: bool = False) -> int:
    """The best epoch's number; the last one where nothing is judged.

    Scores of few rows differ by chance, and a schedule that was followed to its end is the better
    guess: of epochs within one standard error of the best score, the last one. Where there is no
    such error, by score, then by loss.

    Args:
        history: at least one epoch.
        last: the epoch to end with, where that is known; then the newest is the best.
        by_loss: by the loss alone.
    """
    if last is not None or history[-1].validation_score is None:
        return history[-1].number
    top = _top(history, by_loss=by_loss)
    if by_loss or not top.deviation:
        return top.number
    enough = (top.validation_score or 0.0) - top.deviation
    return max(one.number for one in history if (one.validation_score or 0.0) >= enough)


def _top(history: Sequence[Epoch], *, by_loss: bool) -> Epoch:
    return max(history, key=lambda one: (
        0.0 if by_loss else one.validation_score or 0.0, -(one.validation_loss or 0.0)))


def out_of_patience(history: Sequence[Epoch], patience: int, *, by_loss: bool = False) -> bool:
    """True once the best score is `patience` epochs old; never where nothing is judged."""
    if not history or history[-1].validation_score is None:
        return False
    return len(history) - _top(history, by_loss=by_loss).number >= patience


def has_collapsed(history: Sequence[Epoch], *, over: bool) -> bool:
    """True after two collapsed epochs in a row, or where a training ends with nothing better.

    Args:
        history: so far.
        over: whether no epoch follows.
    """
    newest = history[-IN_A_ROW:]
    if len(newest) == IN_A_ROW and all(one.collapsed for one in newest):
        return True
    return over and bool(history) and all(one.collapsed for one in history)


def chance(task: Task, learned: np.ndarray, judged: np.ndarray) -> float:
    """The loss on judged targets of somebody who knows nothing but the targets of the learned."""
    constant = task.constants(learned)[-1]
    return task.plain_loss(np.tile(constant, (len(judged), 1)), judged)


def taught_chance(task: Task, targets: np.ndarray) -> float:
    """The lowest loss, as the task has it, of outputs that are the same for every row.

    A weighted loss is lowest where all classes are as likely, a plain one at their shares.
    """
    batch = {"target": torch.from_numpy(targets)}
    found = []
    for constant in task.constants(targets):
        outputs = torch.from_numpy(np.tile(constant, (len(targets), 1))).float()
        parts = task.loss(outputs, batch).values()
        found.append(sum(float(one.sum) * one.weight / one.count for one in parts))
    return min(found)


@dataclass
class Watch:
    """A score that also looks whether the outputs have collapsed."""

    task: Task
    score: Callable[[np.ndarray, np.ndarray], float]
    learned: float
    """The loss of chance on the rows that are learned from."""
    judged: float
    """The same on the rows that are judged."""
    error: Callable[[np.ndarray, np.ndarray], float] | None = None
    """The standard error of such a score."""
    _flat: bool = False
    """Whether the outputs that were scored last say nothing."""
    _deviation: float = 0.0

    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """The score of these outputs (rows, outputs)."""
        self._flat = (
            self.task.is_flat(outputs, targets)
            and self.task.plain_loss(outputs, targets) >= NEAR_CHANCE * self.judged
        )
        self._deviation = self.error(outputs, targets) if self.error else 0.0
        return self.score(outputs, targets)

    def seen(self, epoch: Epoch) -> Epoch:
        """The epoch that was just scored, how sure its score is, and whether it has collapsed."""
        nothing = epoch.train_loss >= NEAR_CHANCE * self.learned
        return replace(epoch, collapsed=self._flat and nothing, deviation=self._deviation)
