"""Climbing one rung: a network made of frozen features and a solved head, or tuned by the loop."""

import copy
import dataclasses
import json
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
from fettle.engine.linear import Chosen, Solved, solve_path
from fettle.engine.loop import Lesson, Loop
from fettle.engine.predict import outputs_of
from fettle.store import checkpoints, files

__all__ = ["Climbed", "Ground", "line", "outputs", "ready", "solved", "tuned"]

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
    parts: list[np.ndarray] = []
    histories: list[tuple[Epoch, ...]] = []
    network: Any = None
    for number, (teach, judge) in enumerate(ground.folds):
        network = _start(ground, rung, strategy, chosen, teach)
        history, said = yield from _one(
            ground, plan, rung, strategy, network, teach, judge, name=f"{rung.strategy}-{number}"
        )
        parts.append(said)
        histories.append(history)
    epochs = [_best(history, None) for history in histories]
    notes: tuple[str, ...] = ()
    if not ground.held_out:
        every = np.arange(len(ground.lesson.targets))
        wanted = max(int(np.median(epochs)), 1)
        network = _start(ground, rung, strategy, chosen, every)
        last = Rung(rung.strategy, {**rung.settings, "stop_after": wanted})
        history, _ = yield from _one(
            ground, plan, last, strategy, network, every, every[:0], name=f"{rung.strategy}-all"
        )
        histories.append(history)
        notes = (f"Tuned on all learning rows for {wanted} epochs, the median over folds.",)
    return Climbed(
        network.eval(),
        np.concatenate(parts),
        {"pooling": chosen.pooling, "epoch": int(np.median(epochs))},
        history=histories[0],
        notes=notes,
    )


def outputs(network: Any, ground: Ground, items: Sequence[Item], plan: Plan) -> np.ndarray:
    """The network's raw outputs on these rows, (rows, outputs)."""
    return finish(outputs_of(network, ground.encoder, items, precision=plan.precision))


def line(result: RungResult) -> str:
    """The rung as one line of metrics.jsonl."""
    kept = dataclasses.asdict(result)
    kept["history"] = [dataclasses.asdict(epoch) for epoch in result.history]
    return json.dumps({"rung": kept}, default=dict)


def _one(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, network: Any,
    teach: np.ndarray, judge: np.ndarray, *, name: str,
) -> Generator[Progress | Note | Step | Epoch, None, tuple[tuple[Epoch, ...], np.ndarray]]:
    """Tune one network; it ends with the weights of its best epoch, which are given back too."""
    train, validation = _rows(ground.lesson, teach), _rows(ground.lesson, judge)
    loop = Loop(network, ground.encoder, ground.task, strategy=strategy, settings=rung.settings,
                precision=plan.precision, seed=plan.seed)
    history, best = yield from _restored(loop, ground.folder / "checkpoints" / name)
    patience = int(rung.settings["patience"])
    stop = int(rung.settings.get("stop_after", loop.epochs))
    steps = -(-len(teach) // int(rung.settings["batch_rows"]))
    done = len(history) >= stop or _out_of_patience(history, patience)
    for event in () if done else loop.fit(train, validation, ground.score):
        if isinstance(event, Step):
            at = event.number % steps + 1
            yield Progress(f"{rung.strategy}: epoch {event.epoch + 1} of {loop.epochs}", at, steps,
                           "steps")
            continue
        history = (*history, event)
        files.append_line(ground.folder / "metrics.jsonl", json.dumps(
            {"rung_part": name, **dataclasses.asdict(event)}))
        if _best(history, stop if not len(judge) else None) == event.number:
            best = {key: value.clone() for key, value in network.state_dict().items()}
        yield event
        if len(history) >= stop or _out_of_patience(history, patience):
            break
        _save(ground.folder / "checkpoints" / name, loop, history, best)
    network.load_state_dict(best)
    network.eval()
    if strategy.finish is not None and len(judge):
        network.load_state_dict(strategy.finish(network, lambda one: ground.score(
            outputs(one, ground, validation.items, plan), validation.targets
        )).module.state_dict())
    said = outputs(network, ground, validation.items, plan) if len(judge) else np.zeros((0, 0))
    return history, said


def _restored(
    loop: Loop, folder: Path
) -> Generator[Note, None, tuple[tuple[Epoch, ...], dict[str, torch.Tensor]]]:
    """Go on from the newest whole checkpoint, or from the start."""
    found, passed_over = checkpoints.latest(folder)
    for sentence in passed_over:
        yield Note(sentence)
    if found is None:
        return (), {}
    loop.restore({k: v for k, v in found.tensors.items() if not k.startswith("best.")})
    best = {k.removeprefix("best."): v for k, v in found.tensors.items() if k.startswith("best.")}
    history = tuple(Epoch(**epoch) for epoch in found.facts["history"])
    yield Note(f"Going on after epoch {len(history)} of {loop.epochs}.")
    return history, best


def _save(
    folder: Path, loop: Loop, history: Sequence[Epoch], best: Mapping[str, torch.Tensor]
) -> None:
    """Everything that the next epoch depends on, and the best weights so far."""
    tensors = {**loop.state(), **{f"best.{name}": value for name, value in best.items()}}
    facts = {"history": [dataclasses.asdict(epoch) for epoch in history]}
    checkpoints.save(folder, loop.epoch, tensors, facts)


def _start(
    ground: Ground, rung: Rung, strategy: Strategy, chosen: Chosen, teach: np.ndarray
) -> Any:
    """A fresh copy of the pre-trained network under a head solved on these rows."""
    network = copy.deepcopy(ground.network)
    dropout = float(rung.settings["dropout"])
    head = _solve(ground, chosen.pooling, max(chosen.l2, START_L2), teach)
    _put_on(network, head, ground, chosen, dropout=dropout)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
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


def _rows(lesson: Lesson, rows: np.ndarray) -> Lesson:
    return Lesson(
        [lesson.items[row] for row in rows], lesson.targets[rows], [lesson.ids[row] for row in rows]
    )


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
