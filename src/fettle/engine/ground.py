"""The ground that all rungs of a run stand on, and networks that stand on it, ready to learn."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fettle.core.parts import Encoder, Strategy
from fettle.core.plan import Plan, Rung
from fettle.core.progress import finish
from fettle.core.task import Task
from fettle.engine.device import seeded
from fettle.engine.linear import Chosen, Solved, path_for
from fettle.engine.loop import Lesson
from fettle.engine.predict import taps_of
from fettle.measures.groups import together

__all__ = ["Ground", "put_on", "ready", "slowed", "solve", "solved", "start", "taught"]

START_L2 = 3e-2
"""A head that already fits every row leaves no gradient for the blocks below it: tuning starts
from a head that is held back at least this much."""

@dataclass(frozen=True, slots=True)
class Ground:
    """What all rungs of one run stand on."""

    network: Any
    """The pre-trained network, without a head; copied before anything learns."""
    encoder: Encoder
    task: Task
    lesson: Lesson
    """The learning rows: train, then validation."""
    vectors: Mapping[str, np.ndarray]
    """What the frozen backbone makes of them: (rows, width) by pooling."""
    folds: Sequence[tuple[np.ndarray, np.ndarray]]
    held_out: bool
    """Whether there is a validation part; otherwise several folds stand in for it."""
    score: Callable[[np.ndarray, np.ndarray], float]
    """By the plan's metric."""
    folder: Path
    begun: float
    first_batch_seconds: float | None
    save_seconds: float = 60.0
    """Between checkpoints inside an epoch; there is one after every epoch."""
    scores: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = field(default_factory=dict)
    """By other metrics that a rung may stop by."""
    repeats: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]] = ()
    """Further folds of the same rows, where they are few: the head is chosen by all of them."""
    groups: np.ndarray | None = None
    """Of the learning rows, int (rows,), equal where they hang together."""
    keeps: bool = True
    """Whether a network is kept; otherwise those of the folds are judged, and none learns from
    all rows."""

    @property
    def judged(self) -> np.ndarray:
        """The learning rows that are judged, fold after fold, (judged,)."""
        return np.concatenate([judge for _, judge in self.folds])

    def together(self, rows: np.ndarray) -> np.ndarray | None:
        """The groups of these learning rows, numbered from 0; None where each row is alone."""
        return None if self.groups is None or not len(rows) else together(self.groups[rows])


def ready(vectors: np.ndarray, ground: Ground) -> np.ndarray:
    """The vectors as the task's head takes them: of length 1 where it normalises."""
    settings = ground.task.head(ground.network.card, "mean", 0.0)
    if not settings["normalise"]:
        return vectors
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def start(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, chosen: Chosen, teach: np.ndarray,
    *, seed: int | None = None,
) -> Any:
    """A fresh copy of the pre-trained network under a head solved on these rows; under none, where
    the strategy tunes the encoder alone.

    Args:
        ground: whose network is copied.
        plan, rung, strategy: what it will be tuned by.
        chosen: pooling and penalty of the head.
        teach: numbers of the rows.
        seed: of what is drawn; the plan's where not given.
    """
    network = copy.deepcopy(ground.network)
    dropout = float(rung.settings["dropout"])
    seed, l2 = plan.seed if seed is None else seed, max(chosen.l2, START_L2)
    if strategy.objective is not None:
        settings = ground.task.head(network.card, chosen.pooling, 0.0)
        network.set_head({**settings, "kind": "bare"})
        network.set_dropout(dropout)
        return network
    if strategy.reworks:  # the head must fit what the changed network gives
        with seeded(seed):
            network = strategy.prepare(network)
        found = finish(taps_of(
            network, ground.encoder, [ground.lesson.items[row] for row in teach],
            names=(chosen.pooling,), precision=plan.precision,
        ))[chosen.pooling]
        head = solved(found, ground.lesson.targets[teach], l2, ground)
    else:
        head = solve(ground, chosen.pooling, l2, teach)
    task = taught(ground, rung, ground.lesson.targets[teach])
    put_on(network, head, ground, chosen, dropout=dropout, kind=str(rung.settings["head"]),
            task=task, seed=seed)
    network.set_dropout(dropout)
    if strategy.reworks:
        return network
    with seeded(seed):  # adapters are drawn; what ran before must not matter
        return strategy.prepare(network)


def taught(ground: Ground, rung: Rung, targets: np.ndarray) -> Task:
    """The task with the loss of this rung."""
    return ground.task.taught(
        targets, loss=str(rung.settings["loss"]),
        label_smoothing=float(rung.settings["label_smoothing"]),
    )


def solve(ground: Ground, pooling: str, l2: float, rows: np.ndarray) -> Solved:
    """The head for these rows, on what the frozen network gives."""
    return solved(ground.vectors[pooling][rows], ground.lesson.targets[rows], l2, ground)


def solved(vectors: np.ndarray, targets: np.ndarray, l2: float, ground: Ground) -> Solved:
    """The head for these vectors."""
    return next(path_for(ground.task, ready(vectors, ground), targets, l2=(l2,)))


def put_on(
    network: Any, head: Solved, ground: Ground, chosen: Chosen, *, dropout: float,
    kind: str = "linear", task: Task | None = None, seed: int = 0,
) -> None:
    """Give the network this head; what the task's loss adds to its outputs is taken off."""
    settings = ground.task.head(network.card, chosen.pooling, dropout)
    with seeded(seed):  # of a head with hidden layers, weights are drawn
        network.set_head({**settings, "kind": kind})
    bias = head.bias
    if task is not None and task.log_prior is not None:
        bias = bias - task.log_prior
    with torch.no_grad():
        network.head.linear.weight.copy_(torch.from_numpy(head.weight))
        network.head.linear.bias.copy_(torch.from_numpy(bias))


def slowed(strategy: Strategy, share: float) -> Strategy:
    """The strategy with this share of its rates."""
    if share == 1.0:
        return strategy
    plain = strategy.rates
    return dataclasses.replace(
        strategy, rates=lambda blocks, epoch: tuple(share * one for one in plain(blocks, epoch)))
