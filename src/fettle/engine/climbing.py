"""Climbing one rung: a network made of frozen features and a solved head, or tuned by the loop."""

import copy
import dataclasses
import json
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fettle.core.parts import Item, Strategy
from fettle.core.plan import Plan, Rung, Setting
from fettle.core.progress import Note, Progress, finish
from fettle.core.run import Epoch, RungResult, Step
from fettle.engine import costs, range_test, stopping
from fettle.engine.ground import Ground, put_on, slowed, solve, start, taught
from fettle.engine.linear import Chosen
from fettle.engine.loop import Lesson, Loop
from fettle.engine.merging import Mean
from fettle.engine.predict import outputs_of
from fettle.engine.trusting import trusted
from fettle.measures.folds import merged
from fettle.store import checkpoints, files

__all__ = [
    "Climbed",
    "One",
    "line",
    "log",
    "outputs",
    "solved",
    "tuned",
]

RESTARTS = 2
"""Of a training that collapsed; the third attempt stands as it is."""
NORMAL = 1.96
"""Standard errors from the middle of a 95% interval to its end."""
OTHER_SEED = 7_919
"""Between the seeds of attempts."""


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
    range_test: tuple[tuple[float, float], ...] = ()


def solved(ground: Ground, chosen: Chosen) -> Climbed:
    """The backbone as it came, under a head solved on all learning rows."""
    every = np.arange(len(ground.lesson.targets))
    network = copy.deepcopy(ground.network)
    put_on(network, solve(ground, chosen.pooling, chosen.l2, every), ground, chosen, dropout=0.0)
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
    """Every fold tuned from its own solved head; where there are several, they are made one, or one
    more is tuned on all rows."""
    ground, notes = yield from trusted(ground, plan, rung, strategy, chosen)
    curve: tuple[tuple[float, float], ...] = ()
    picked: dict[str, Setting] = {}
    if rung.settings["rate_by"] == "find":
        strategy, curve, picked = yield from range_test.found(ground, plan, rung, strategy, chosen)
    parts: list[np.ndarray] = []
    histories: list[tuple[Epoch, ...]] = []
    choices: list[Mapping[str, Setting]] = []
    network: Any = None
    flops = 0.0
    attempt = 0
    keeps = ground.keeps and not ground.held_out
    sides = ground.folds if ground.held_out else merged(
        ground.folds, int(rung.settings["networks"]))
    mean = Mean(ground, plan) if keeps and rung.settings.get("kept") == "mean" else None
    for number, (teach, judge) in enumerate(sides):
        one = One(ground, plan, rung, strategy, chosen, f"{rung.strategy}-{number}")
        history, said = yield from one.tuned(teach, judge)
        network, attempt = one.network, max(attempt, one.attempt)
        notes += one.notes
        parts.append(said)
        histories.append(history)
        choices.append(_choice(strategy))
        flops += one.flops(teach, len(history))
        if mean:
            mean.add(network)
    epochs = [_best(history, rung) for history in histories]
    if mean:
        keeps = not mean.put_on(network)
        notes = (*notes, mean.sentence)
        yield Note(mean.sentence)
    if keeps:
        every = np.arange(len(ground.lesson.targets))
        wanted = max(int(np.median(epochs)), 1)
        one = One(ground, plan, rung, strategy, chosen, f"{rung.strategy}-all", wanted, attempt)
        history, _ = yield from one.tuned(every, every[:0])
        network, choices = one.network, [_choice(strategy)]
        histories.append(history)
        flops += one.flops(every, len(history))
        notes = (*notes,
                 f"Tuned on all learning rows for {wanted} epochs, the median over folds.")
    return Climbed(
        network.eval(),
        np.concatenate(parts),
        {"pooling": chosen.pooling, "epoch": int(np.median(epochs)), **picked, **_told(choices)},
        history=histories[0],
        trials=strategy.memory.trials if strategy.memory and ground.held_out else (),
        notes=notes,
        flops=flops,
        training_seconds=sum(epoch.seconds for history in histories for epoch in history),
        range_test=curve,
    )


def _choice(strategy: Strategy) -> Mapping[str, Setting]:
    """What the strategy chose for the network that it finished last."""
    return dict(strategy.memory.chosen) if strategy.memory else {}


def _told(choices: Sequence[Mapping[str, Setting]]) -> dict[str, Setting]:
    """What was chosen for the networks that what is kept is made of; in turn, where they differ."""
    names = dict.fromkeys(name for one in choices for name in one)
    said = {name: [one[name] for one in choices if name in one] for name in names}
    return {name: values[0] if len({*values}) == 1 else ", ".join(map(str, values))
            for name, values in said.items()}


def outputs(network: Any, ground: Ground, items: Sequence[Item], plan: Plan) -> np.ndarray:
    """The network's raw outputs on these rows, (rows, outputs)."""
    return finish(outputs_of(network, ground.encoder, items, precision=plan.precision))


def line(result: RungResult) -> str:
    """The rung as one line of metrics.jsonl."""
    kept = dataclasses.asdict(result)
    kept["history"] = [dataclasses.asdict(epoch) for epoch in result.history]
    return json.dumps({"rung": kept}, default=dict)


def log(folder: Path, result: RungResult) -> None:
    """The rung is one line of metrics.jsonl, whatever was killed before or after it was written."""
    files.put_line(folder / "metrics.jsonl", line(result),
                   instead=lambda one: one.get("rung", {}).get("name") == result.name)


@dataclass
class One:
    """The tuning of one network of a rung: one fold, or all learning rows."""

    ground: Ground
    plan: Plan
    rung: Rung
    strategy: Strategy
    chosen: Chosen
    name: str
    stop_after: int | None = None
    """Stop after this many epochs, where nothing is judged."""
    attempt: int = 0
    """How often a training has collapsed and began anew, with another seed and half the rates."""
    notes: tuple[str, ...] = ()
    network: Any = None
    """The tuned network, once it is there."""
    weights: tuple[list[float], list[float]] = ((), ())  # type: ignore[assignment]
    """In matrix products, by block: all, and those that may learn."""

    @property
    def folder(self) -> Path:
        """Of its checkpoints."""
        again = f"-again{self.attempt}" if self.attempt else ""
        return self.ground.folder / "checkpoints" / f"{self.name}{again}"

    def tuned(
        self, teach: np.ndarray, judge: np.ndarray
    ) -> Generator[Progress | Note | Step | Epoch, None, tuple[tuple[Epoch, ...], np.ndarray]]:
        """Tune it; it ends with the weights of its best epoch, or what the strategy makes of them.
        Its history, and what it says of the judged rows."""
        while True:
            history = yield from self._trained(teach, judge)
            has_collapsed = stopping.has_collapsed(history, over=self._done(history))
            if self.attempt >= RESTARTS or not has_collapsed:
                break
            self.attempt += 1
            self.notes = (*self.notes, (
                f"{self.name}: the training collapsed after epoch {len(history)}: every validation "
                f"row is given one answer, and the loss is no better than chance. It begins anew "
                f"with another seed and 1/{2**self.attempt} of the rates."
            ))
            yield Note(self.notes[-1])
        if has_collapsed and self.attempt:
            self.notes = (*self.notes, (
                f"{self.name}: the training collapsed {self.attempt + 1} times, with as many seeds "
                "and ever lower rates, and stands as it is: it has learned nothing. Lower `rate` "
                "and `head_rate`, or look whether the rows say anything about their targets."
            ))
            yield Note(self.notes[-1])
        judged = self.ground.lesson.of(judge)
        self.network = self._finished(judged).eval()
        said = np.zeros((0, 0))
        if len(judge):
            said = outputs(self.network, self.ground, judged.items, self.plan)
        return history, said

    def _trained(
        self, teach: np.ndarray, judge: np.ndarray
    ) -> Generator[Progress | Note | Step | Epoch, None, tuple[Epoch, ...]]:
        """One attempt: its history; the network has the weights of its best epoch."""
        ground, plan, settings = self.ground, self.plan, self.rung.settings
        strategy = slowed(self.strategy, 0.5**self.attempt)
        seed = plan.seed + self.attempt * OTHER_SEED
        network = start(ground, plan, self.rung, strategy, self.chosen, teach, seed=seed)
        train, validation = ground.lesson.of(teach, taught=True), ground.lesson.of(judge)
        self.weights = costs.matrix_weights(network, strategy)
        task = strategy.objective or taught(ground, self.rung, train.targets)
        loop = Loop(network, ground.encoder, task, strategy=strategy,
                    settings=settings, precision=plan.precision, seed=seed)
        steps = max(-(-len(teach) // int(settings["batch_rows"])), 1)
        memory = strategy.memory
        if memory is not None:
            memory.begin(loop.weights(), steps=steps * loop.epochs, held_out=ground.held_out)
        watch = self._watch(train.targets, validation.targets, ground.together(judge))
        history, best = yield from self._restored(loop)
        self._forget_after(len(history))
        saved = time.monotonic()
        for event in () if self._done(history) else loop.fit(train, validation, watch):
            if isinstance(event, Note):
                yield event
            elif isinstance(event, Step):
                if memory is not None:
                    memory.step(loop.weights())
                yield Progress(f"{self.rung.strategy}: epoch {event.epoch + 1} of {loop.epochs}",
                               min(loop.at, steps), steps, "steps")
                if time.monotonic() - saved >= ground.save_seconds:
                    self._save(loop, history, best)
                    saved = time.monotonic()
            else:
                event = watch.seen(event)
                history = (*history, event)
                files.append_line(ground.folder / "metrics.jsonl", json.dumps(
                    {"rung_part": self.name, "attempt": self.attempt, **dataclasses.asdict(event)}))
                is_best = _best(history, self.rung, self.stop_after) == event.number
                if is_best:
                    best = {key: value.clone() for key, value in loop.weights().items()}
                if memory is not None:
                    memory.epoch(loop.weights(), event.validation_score, is_best=is_best)
                over = self._done(history)
                if (self.stop_after is None or over
                        or time.monotonic() - saved >= ground.save_seconds):
                    self._save(loop, history, best, over=over)
                    saved = time.monotonic()
                yield event
                if over:
                    break
        loop.put_back(best)
        self.network = network.eval()
        return history

    def _forget_after(self, epochs: int) -> None:
        """No line of metrics.jsonl speaks of an epoch that comes once more: the process that wrote
        it ended before a checkpoint held the epoch."""
        part = (self.name, self.attempt)
        files.keep_lines(self.ground.folder / "metrics.jsonl", lambda line: (
            (line.get("rung_part"), line.get("attempt")) != part or line["number"] <= epochs
        ))

    def _finished(self, judged: Lesson) -> Any:
        """The network that the strategy makes of what it has kept."""
        if self.strategy.finish is None:
            return self.network
        score = self._watch(judged.targets, judged.targets).score
        return self.strategy.finish(self.network, (lambda one: score(
            outputs(one, self.ground, judged.items, self.plan), judged.targets,
        )) if len(judged.targets) else None)

    def _watch(
        self, learned: np.ndarray, judged: np.ndarray, groups: np.ndarray | None = None
    ) -> stopping.Watch:
        """What the epochs are compared by; of judged rows that hang together, with their groups."""
        by, task = str(self.rung.settings.get("stop_by")), self.ground.task
        own = other = 0.0
        if len(learned) and self.strategy.objective is None:
            own = stopping.taught_chance(taught(self.ground, self.rung, learned), learned)
        if len(judged):
            other = stopping.chance(task, learned, judged)
        metric, seed = self.plan.metric, self.plan.seed

        def error(outputs: np.ndarray, targets: np.ndarray) -> float:
            found = task.interval(metric, outputs, targets, seed=seed, groups=groups)
            return (found.high - found.low) / (2 * NORMAL)

        return stopping.Watch(task, self.ground.scores.get(by, self.ground.score), own, other,
                              error if by == "metric" and len(judged) else None)

    def flops(self, teach: np.ndarray, epochs: int) -> float:
        """Useful floating-point operations of so many epochs over these rows."""
        tokens = sum(self.ground.encoder.size(self.ground.lesson.items[row]) for row in teach)
        every, learning = self.weights
        total, lowest = 0.0, self.network.blocks
        for epoch in range(epochs):
            rates = self.strategy.rates(self.network.blocks, epoch)
            lowest = min([lowest, *(block for block, rate in enumerate(rates) if rate > 0.0)])
            states = self.ground.lesson.states_below(lowest)
            if epoch >= int(self.rung.settings["epochs"]) - self.ground.lesson.views.live:
                states = None
            total += tokens * costs.operations(
                every, learning, rates, start=0 if states is None else states.block)
        return total

    def _done(self, history: tuple[Epoch, ...]) -> bool:
        """Whether it has had all its epochs, or learned enough, or validation has not improved for
        too long."""
        settings = self.rung.settings
        if len(history) >= (self.stop_after or int(settings["epochs"])):
            return True
        if history and history[-1].train_loss < float(settings.get("enough", 0.0)):
            return True
        if self.attempt < RESTARTS and stopping.has_collapsed(history, over=False):
            return True
        return stopping.out_of_patience(history, int(settings.get("patience", 1)),
                                        by_loss=settings.get("stop_by") == "loss")

    def _restored(
        self, loop: Loop
    ) -> Generator[Note, None, tuple[tuple[Epoch, ...], dict[str, torch.Tensor]]]:
        """Go on from the newest whole checkpoint, or from the start."""
        found, passed_over = checkpoints.latest(
            self.folder, finite=("network.", "best.", "memory."))
        for sentence in passed_over:
            yield Note(sentence)
        if found is None:
            return (), {}
        loop.restore({k: v for k, v in found.tensors.items()
                      if not k.startswith(("best.", "memory."))})
        best, kept = ({k.removeprefix(part): v for k, v in found.tensors.items()
                       if k.startswith(part)} for part in ("best.", "memory."))
        if self.strategy.memory is not None:
            self.strategy.memory.restore(kept)
        history = tuple(Epoch(**epoch) for epoch in found.facts["history"])
        inside = f", {loop.at} steps into the next" if loop.at else ""
        yield Note(f"Going on after epoch {len(history)} of {loop.epochs}{inside}.")
        return history, best

    def _save(
        self, loop: Loop, history: Sequence[Epoch], best: Mapping[str, torch.Tensor], *,
        over: bool = False,
    ) -> None:
        """Everything that the next step depends on, and the best weights so far.

        Args:
            loop: as it stands.
            history, best: so far.
            over: no other step is taken, so only what is made of the best weights is kept.
        """
        state = loop.state()
        if over:
            state = {name: state[name] for name in ("loop", "loss")}
        memory = self.strategy.memory.state() if self.strategy.memory else {}
        tensors = {**state, **{f"best.{name}": value for name, value in best.items()},
                   **{f"memory.{name}": value for name, value in memory.items()}}
        facts = {"history": [dataclasses.asdict(epoch) for epoch in history]}
        checkpoints.save(self.folder, loop.steps_done, tensors, facts)


def _best(history: Sequence[Epoch], rung: Rung, last: int | None = None) -> int:
    """The number of the epoch that is best by what the rung stops by."""
    return stopping.best(history, last, by_loss=rung.settings.get("stop_by") == "loss")
