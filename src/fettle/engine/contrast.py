"""Climbing a rung that tunes the encoder without a head: the head is solved afterwards."""

import dataclasses
from collections.abc import Generator

import numpy as np

from fettle.core.parts import Strategy
from fettle.core.plan import Plan, Rung
from fettle.core.progress import Note, Progress, finish
from fettle.core.run import Epoch, Step
from fettle.engine.climbing import Climbed, One, outputs
from fettle.engine.ground import Ground, put_on, solved
from fettle.engine.linear import Chosen
from fettle.engine.loop import Lesson
from fettle.engine.predict import taps_of
from fettle.measures.folds import merged

__all__ = ["tuned"]

TEMPLATE = "This sentence is {}"
"""SetFit's."""


def tuned(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, chosen: Chosen
) -> Generator[Progress | Note | Step | Epoch, None, Climbed]:
    """Every fold's encoder tuned and its head solved; where there are several, one more on all.

    Where no row is held out, folds are joined until as few networks as the rung says are tuned to
    be judged: each learns from fewer rows than the one that is kept, and is judged none too well.
    """
    every = np.arange(len(ground.lesson.targets))
    chosen = _as_trained(ground, chosen)
    wide, own = _with_templates(ground, rung)
    sides = list(ground.folds)
    notes: tuple[str, ...] = ()
    if not ground.held_out:
        sides = merged(sides, int(rung.settings["networks"]))
        notes = (f"{len(sides)} networks, each tuned without its part of the rows, were "
                 "judged on it; the one that is kept learned from all.",)
        sides += [(every, every[:0])] if ground.keeps else []
    parts, histories, flops = [], [], 0.0
    for number, (teach, judge) in enumerate(sides):
        name = f"{rung.strategy}-{number if len(judge) else 'all'}"
        taught = np.concatenate([teach, own])
        here = _for_as_many_steps(rung, len(every) + len(own), len(taught))
        one = One(wide, plan, here, strategy, chosen, name, int(here.settings["epochs"]))
        history, _ = yield from one.tuned(taught, own[:0])
        network = one.network
        flops += one.flops(taught, len(history))
        histories.append(history)
        vectors = finish(taps_of(
            network, wide.encoder, [wide.lesson.items[row] for row in taught],
            names=(chosen.pooling,), precision=plan.precision,
        ))[chosen.pooling]
        head = solved(vectors, wide.lesson.targets[taught], chosen.l2, ground)
        put_on(network, head, ground, chosen, dropout=0.0)
        network.eval()
        if len(judge):
            items = [ground.lesson.items[row] for row in judge]
            parts.append(outputs(network, ground, items, plan))
    return Climbed(
        network,
        np.concatenate(parts),
        {"pooling": chosen.pooling, "l2": chosen.l2, "epoch": len(histories[-1])},
        history=histories[-1],
        notes=notes,
        flops=flops,
        training_seconds=sum(epoch.seconds for history in histories for epoch in history),
    )


def _as_trained(ground: Ground, chosen: Chosen) -> Chosen:
    """The choice with the pooling that the encoder came with: among others few rows choose by
    chance, and pairs were drawn together by this one before."""
    own = ground.network.card.pooling
    if own == chosen.pooling or own not in ground.vectors:
        return chosen
    tried = [one for one in chosen.trials if one["pooling"] == own]
    best = max(tried, key=lambda one: (float(one["score"]), -float(one["loss"])))
    return dataclasses.replace(chosen, pooling=own, l2=float(best["l2"]))


def _for_as_many_steps(rung: Rung, rows: int, some: int) -> Rung:
    """The rung with as many steps over some of the rows as it has over all of them."""
    size = int(rung.settings["batch_rows"])
    epochs = int(rung.settings["epochs"]) * -(-rows // size) / -(-some // size)
    return dataclasses.replace(rung, settings={**rung.settings, "epochs": max(round(epochs), 1)})


def _with_templates(ground: Ground, rung: Rung) -> tuple[Ground, np.ndarray]:
    """The ground with a few rows for each class that say its name, and their numbers."""
    lesson, times = ground.lesson, int(rung.settings["templates"])
    classes = ground.task.classes
    texts = [TEMPLATE.format(name) for name in classes for _ in range(times)]
    fields = [(text,) * len(ground.encoder.fields) for text in texts]
    wide = Lesson(
        [*lesson.items, *(ground.encoder.encode(fields) if fields else ())],
        np.concatenate([lesson.targets, np.repeat(np.arange(len(classes)), times)]),
        [*lesson.ids, *(f"template {number + 1}" for number in range(len(texts)))],
    )
    own = np.arange(len(lesson.targets), len(wide.targets))
    return dataclasses.replace(ground, lesson=wide), own
