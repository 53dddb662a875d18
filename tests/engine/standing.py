"""A ground to stand on, with a tiny network, and a rung to climb; for tests of climbing."""

import dataclasses
import math
import time

import numpy as np
import pytest
import torch

from fettle.core.plan import Plan, Rung
from fettle.core.progress import finish
from fettle.engine import climbing
from fettle.engine.ground import Ground
from fettle.engine.linear import choose
from fettle.engine.predict import taps_of
from fettle.engine.replay import prefix
from fettle.strategies import DEFAULTS as STRATEGY_DEFAULTS
from fettle.strategies import STRATEGIES
from fettle.strategies.full import DEFAULTS
from small import encoder, lesson, network, task

ROWS = 48
RUNG = Rung("full", {**DEFAULTS, "rate": 1e-2, "head_rate": 1e-2, "epochs": 3, "batch_rows": 8})
PLAN = Plan(
    task="classification", modality="text", model="m", weights="w", learning="l",
    classes=("no", "yes"), metric="accuracy", rungs=(RUNG,), max_tokens=12, precision="fp32",
    threads=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_restarts(monkeypatch):
    """So small a network at such rates may well be at chance; only some tests are about that."""
    monkeypatch.setattr(climbing, "RESTARTS", 0)


def accuracy(outputs, targets):
    return float((outputs.argmax(1) == targets).mean())


def folds(count):
    every = np.arange(ROWS)
    if count == 1:
        return [(every[:32], every[32:])]
    return [(every[every % count != fold], every[every % count == fold]) for fold in range(count)]


def stand(folder, *, sides=1, blocks=2, kind=None):
    """The ground, and the head that validation chose."""
    small = network(folder / "base", num_hidden_layers=blocks)
    small.backbone.__class__ = kind or small.backbone.__class__
    small.head = None
    read = encoder(small.card)
    given = lesson(read, ROWS)
    vectors = finish(taps_of(small, read, given.items, names=("mean",), precision="fp32"))
    ground = Ground(
        network=small, encoder=read, task=task(), lesson=given, vectors=vectors,
        folds=folds(sides), held_out=sides == 1, score=accuracy, folder=folder / "run",
        begun=time.perf_counter(), first_batch_seconds=None, save_seconds=math.inf,
    )  # fmt: skip
    chosen = finish(
        choose(vectors, given.targets, task=ground.task, folds=ground.folds, l2=(1e-1, 1e-2),
               score=accuracy)
    )  # fmt: skip
    return ground, chosen


def climb(ground, chosen, rung=RUNG):
    strategy = STRATEGIES[rung.strategy](rung.settings)
    return climbing.tuned(ground, PLAN, rung, strategy, chosen)


def rung_of(name, **settings):
    quick = {"rate": 1e-2, "head_rate": 1e-2, "epochs": 3, "batch_rows": 8}
    return Rung(name, {**STRATEGY_DEFAULTS[name], **quick, **settings})


def with_states(ground, *blocks):
    """The ground, with what reaches these blocks."""
    kept = finish(prefix(
        ground.network, ground.encoder, ground.lesson.items, poolings=("mean",), blocks=blocks,
        precision="fp32", folder=ground.folder / "kept", limit=1 << 30,
    ))
    lesson = dataclasses.replace(ground.lesson, states=kept.states)
    return dataclasses.replace(ground, lesson=lesson)


def watched(work):
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return end.value, events


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
