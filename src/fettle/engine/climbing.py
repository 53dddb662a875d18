"""Climbing one rung: a network made of frozen features and a solved head, or tuned by the loop."""

import copy
import dataclasses
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fettle.core.parts import Encoder, Item, Strategy, Task
from fettle.core.plan import Plan, Rung, Setting
from fettle.core.progress import Note, Progress, finish
from fettle.core.run import Epoch, RungResult, Step
from fettle.engine import costs
from fettle.engine.device import seeded
from fettle.engine.faithful import compare
from fettle.engine.linear import Chosen, Solved, solve_path
from fettle.engine.loop import Lesson, Loop
from fettle.engine.predict import outputs_of
from fettle.store import checkpoints, files

__all__ = [
    "Climbed",
    "Ground",
    "line",
    "outputs",
    "ready",
    "solved",
    "tuned",
]

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
    folder: Path
    begun: float
    first_batch_seconds: float | None
    save_seconds: float = 60.0
    """Between checkpoints inside an epoch; there is one after every epoch."""


@dataclass(frozen=True, slots=True)
class Climbed:
    """A rung before it is written down."""

    network: Any
    outputs: np.ndarray
    """On the judged rows of every fold, by networks that did not learn from them."""
    chosen: Mapping[str, Setting]
    history: tuple[Epoch, ...] = ()
    trials: tuple[Mapping[str, Setting], ...] = ()
    notes: tuple[str, ...] = ()
    flops: float = 0.0
    """Useful floating-point operations of the training."""
    training_seconds: float = 0.0


def ready(vectors: np.ndarray, ground: Ground) -> np.ndarray:
    """The vectors as the task's head takes them: of length 1 where it normalises."""
    settings = ground.task.head(ground.network.card, "mean", 0.0)
    if not settings["normalise"]:
        return vectors
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def solved(ground: Ground, chosen: Chosen) -> Climbed:
    """The backbone as it came, under a head solved on all learning rows."""
    every = np.arange(len(ground.lesson.targets))
    network = copy.deepcopy(ground.network)
    _put_on(network, _solve(ground, chosen.pooling, chosen.l2, every), ground, chosen, dropout=0.0)
    return Climbed(
        network.eval(),
        chosen.outputs,
        {"pooling": chosen.pooling, "l2": chosen.l2},
        trials=chosen.trials,
        notes=("The head is solved once more on train and validation rows together.",),
    )


def tuned(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, chosen: Chosen
) -> Generator[Progress | Note | Step | Epoch, None, Climbed]:
    """Every fold tuned from its own solved head; where there are several, one more on all rows."""
    ground, notes = yield from _trusted(ground, plan, rung, strategy, chosen)
    parts: list[np.ndarray] = []
    histories: list[tuple[Epoch, ...]] = []
    network: Any = None
    flops = 0.0
    for number, (teach, judge) in enumerate(ground.folds):
        network = _start(ground, plan, rung, strategy, chosen, teach)
        one = _One(ground, plan, rung, strategy, f"{rung.strategy}-{number}")
        history, said = yield from one.tuned(network, teach, judge)
        network = one.network
        parts.append(said)
        histories.append(history)
        flops += one.flops(teach, len(history))
    epochs = [_best(history, None) for history in histories]
    if not ground.held_out:
        every = np.arange(len(ground.lesson.targets))
        wanted = max(int(np.median(epochs)), 1)
        network = _start(ground, plan, rung, strategy, chosen, every)
        one = _One(ground, plan, rung, strategy, f"{rung.strategy}-all", stop_after=wanted)
        history, _ = yield from one.tuned(network, every, every[:0])
        network = one.network
        histories.append(history)
        flops += one.flops(every, len(history))
        notes = (*notes,
                 f"Tuned on all learning rows for {wanted} epochs, the median over folds.")
    return Climbed(
        network.eval(),
        np.concatenate(parts),
        {"pooling": chosen.pooling, "epoch": int(np.median(epochs))},
        history=histories[0],
        notes=notes,
        flops=flops,
        training_seconds=sum(epoch.seconds for history in histories for epoch in history),
    )


def outputs(network: Any, ground: Ground, items: Sequence[Item], plan: Plan) -> np.ndarray:
    """The network's raw outputs on these rows, (rows, outputs)."""
    return finish(outputs_of(network, ground.encoder, items, precision=plan.precision))


def line(result: RungResult) -> str:
    """The rung as one line of metrics.jsonl."""
    kept = dataclasses.asdict(result)
    kept["history"] = [dataclasses.asdict(epoch) for epoch in result.history]
    return json.dumps({"rung": kept}, default=dict)


@dataclass
class _One:
    """The tuning of one network of a rung: one fold, or all learning rows."""

    ground: Ground
    plan: Plan
    rung: Rung
    strategy: Strategy
    name: str
    stop_after: int | None = None
    """Stop after this many epochs, where nothing is judged."""
    network: Any = None
    """The tuned network, once it is there."""
    weights: tuple[list[float], list[float]] = ((), ())  # type: ignore[assignment]
    """In matrix products, by block: all, and those that may learn."""

    @property
    def folder(self) -> Path:
        """Of its checkpoints."""
        return self.ground.folder / "checkpoints" / self.name

    def tuned(
        self, network: Any, teach: np.ndarray, judge: np.ndarray
    ) -> Generator[Progress | Note | Step | Epoch, None, tuple[tuple[Epoch, ...], np.ndarray]]:
        """Tune it; it ends with the weights of its best epoch. Its history, and what it says of
        the judged rows."""
        ground, plan, settings = self.ground, self.plan, self.rung.settings
        train, validation = ground.lesson.of(teach), ground.lesson.of(judge)
        self.weights = costs.matrix_weights(network, self.strategy)
        loop = Loop(network, ground.encoder, ground.task, strategy=self.strategy,
                    settings=settings, precision=plan.precision, seed=plan.seed)
        history, best = yield from self._restored(loop)
        steps = max(-(-len(teach) // int(settings["batch_rows"])), 1)
        saved = time.monotonic()
        for event in () if self._done(history) else loop.fit(train, validation, ground.score):
            if isinstance(event, Note):
                yield event
            elif isinstance(event, Step):
                yield Progress(f"{self.rung.strategy}: epoch {event.epoch + 1} of {loop.epochs}",
                               min(loop.at, steps), steps, "steps")
                if time.monotonic() - saved >= ground.save_seconds:
                    self._save(loop, history, best)
                    saved = time.monotonic()
            else:
                history = (*history, event)
                files.append_line(ground.folder / "metrics.jsonl", json.dumps(
                    {"rung_part": self.name, **dataclasses.asdict(event)}))
                if _best(history, self.stop_after) == event.number:
                    best = {key: value.clone() for key, value in loop.weights().items()}
                self._save(loop, history, best)
                saved = time.monotonic()
                yield event
                if self._done(history):
                    break
        loop.put_back(best)
        self.network = network.eval()
        if self.strategy.finish is not None:
            self.network = self.strategy.finish(self.network, lambda one: ground.score(
                outputs(one, ground, validation.items, plan), validation.targets))
        said = np.zeros((0, 0))
        if len(judge):
            said = outputs(self.network, ground, validation.items, plan)
        return history, said

    def flops(self, teach: np.ndarray, epochs: int) -> float:
        """Useful floating-point operations of so many epochs over these rows."""
        tokens = sum(self.ground.encoder.size(self.ground.lesson.items[row]) for row in teach)
        every, learning = self.weights
        total, lowest = 0.0, self.network.blocks
        for epoch in range(epochs):
            rates = self.strategy.rates(self.network.blocks, epoch)
            lowest = min([lowest, *(block for block, rate in enumerate(rates) if rate > 0.0)])
            states = self.ground.lesson.states_below(lowest)
            total += tokens * costs.operations(
                every, learning, rates, start=0 if states is None else states.block)
        return total

    def _done(self, history: tuple[Epoch, ...]) -> bool:
        """Whether it has had all its epochs, or validation has not improved for too long."""
        settings = self.rung.settings
        if len(history) >= (self.stop_after or int(settings["epochs"])):
            return True
        return _out_of_patience(history, int(settings["patience"]))

    def _restored(
        self, loop: Loop
    ) -> Generator[Note, None, tuple[tuple[Epoch, ...], dict[str, torch.Tensor]]]:
        """Go on from the newest whole checkpoint, or from the start."""
        found, passed_over = checkpoints.latest(self.folder, finite=("network.", "best."))
        for sentence in passed_over:
            yield Note(sentence)
        if found is None:
            return (), {}
        loop.restore({k: v for k, v in found.tensors.items() if not k.startswith("best.")})
        best = {k.removeprefix("best."): v for k, v in found.tensors.items()
                if k.startswith("best.")}
        history = tuple(Epoch(**epoch) for epoch in found.facts["history"])
        inside = f", {loop.at} steps into the next" if loop.at else ""
        yield Note(f"Going on after epoch {len(history)} of {loop.epochs}{inside}.")
        return history, best

    def _save(
        self, loop: Loop, history: Sequence[Epoch], best: Mapping[str, torch.Tensor]
    ) -> None:
        """Everything that the next step depends on, and the best weights so far."""
        tensors = {**loop.state(), **{f"best.{name}": value for name, value in best.items()}}
        facts = {"history": [dataclasses.asdict(epoch) for epoch in history]}
        checkpoints.save(self.folder, loop.steps_done, tensors, facts)


def _trusted(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, chosen: Chosen
) -> Generator[Note, None, tuple[Ground, tuple[str, ...]]]:
    """The ground with only those kept states that this network replays exactly, and what was
    found; what cannot be used is said at once."""
    wanted = costs.replayed_blocks(strategy, blocks=ground.network.blocks,
                             epochs=int(rung.settings["epochs"]))
    states = {block: ground.lesson.states[block] for block in wanted
              if block in ground.lesson.states}
    if not states:
        return _without_states(ground), ()
    plain = dataclasses.replace(strategy, prepare=lambda one: one)
    every = np.arange(len(ground.lesson.targets))
    network = _start(ground, plan, rung, plain, chosen, every).eval()
    sentences = []
    for block in sorted(states):
        found = compare(network, ground.encoder, ground.lesson.items, states[block],
                        precision=plan.precision)
        sentences.append(found.sentence)
        if not found.holds:
            yield Note(f"{rung.strategy}: {found.sentence}")
            del states[block]
    lesson = dataclasses.replace(ground.lesson, states=states)
    return dataclasses.replace(ground, lesson=lesson), tuple(sentences)


def _without_states(ground: Ground) -> Ground:
    return dataclasses.replace(ground, lesson=dataclasses.replace(ground.lesson, states={}))


def _start(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, chosen: Chosen, teach: np.ndarray
) -> Any:
    """A fresh copy of the pre-trained network under a head solved on these rows."""
    network = copy.deepcopy(ground.network)
    dropout = float(rung.settings["dropout"])
    head = _solve(ground, chosen.pooling, max(chosen.l2, START_L2), teach)
    _put_on(network, head, ground, chosen, dropout=dropout)
    network.set_dropout(dropout)
    with seeded(plan.seed):  # adapters are drawn; what ran before must not matter
        return strategy.prepare(network)


def _solve(ground: Ground, pooling: str, l2: float, rows: np.ndarray) -> Solved:
    """The head for these rows."""
    vectors = ready(ground.vectors[pooling][rows], ground)
    classes = len(ground.task.classes)
    path = solve_path(vectors, ground.lesson.targets[rows], classes=classes, l2=(l2,))
    return next(iter(path))


def _put_on(
    network: Any, head: Solved, ground: Ground, chosen: Chosen, *, dropout: float
) -> None:
    """Give the network this head."""
    network.set_head(ground.task.head(network.card, chosen.pooling, dropout))
    with torch.no_grad():
        network.head.linear.weight.copy_(torch.from_numpy(head.weight))
        network.head.linear.bias.copy_(torch.from_numpy(head.bias))


def _best(history: Sequence[Epoch], last: int | None) -> int:
    """The best epoch's number: by score, then by loss; the last one where nothing is judged."""
    if last is not None or history[-1].validation_score is None:
        return history[-1].number
    best = max(history, key=lambda e: (e.validation_score or 0.0, -(e.validation_loss or 0.0)))
    return best.number


def _out_of_patience(history: Sequence[Epoch], patience: int) -> bool:
    """True once the best epoch is `patience` epochs old; never where nothing is judged."""
    if not history or history[-1].validation_score is None:
        return False
    return len(history) - _best(history, None) >= patience
