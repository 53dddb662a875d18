"""The range test: which learning rate does the loss fall fastest at?

A copy of the network learns at rates that rise from nearly nothing until it falls apart. The copy
is thrown away: weights, optimizer and random numbers of the training that follows are untouched.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np

from fettle.core.errors import NonFinite
from fettle.core.parts import Encoder, Objective, Strategy
from fettle.core.plan import Plan, Rung, Setting
from fettle.core.progress import Note, Progress
from fettle.core.run import Step
from fettle.engine.costs import RANGE_STEPS as STEPS
from fettle.engine.ground import Ground, slowed, start, taught
from fettle.engine.linear import Chosen
from fettle.engine.loop import Lesson, Loop
from fettle.store import files

__all__ = ["curve_of", "found", "valley"]

SMOOTHING = 0.98
"""Of the loss: what is kept at each step of the mean so far."""
FALLEN_APART = 4.0
"""Times the lowest loss: there the test ends."""
LEFT_OUT_FIRST, LEFT_OUT_LAST = 10, 5
"""Points at the ends of the curve that say nothing: one tenth of the steps, and a few."""


def found(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, chosen: Chosen
) -> Generator[
    Progress | Note, None, tuple[Strategy, tuple[tuple[float, float], ...], dict[str, Setting]]
]:
    """The strategy at the rates of the valley, the curve by learning rate, and what was chosen.

    The curve is written down before it is acted on; a run that goes on reads it there.
    """
    path = ground.folder / "range-tests" / f"{rung.strategy}.json"
    if path.is_file():
        curve = [(float(factor), float(loss)) for factor, loss in files.read_json(path)]
    else:
        teach = ground.folds[0][0]
        most = STEPS * int(rung.settings["batch_rows"])
        drawn = np.random.default_rng(plan.seed).permutation(len(teach))[:most]
        lesson = ground.lesson.of(teach[np.sort(drawn)])
        curve = yield from curve_of(
            start(ground, plan, rung, strategy, chosen, teach), ground.encoder,
            taught(ground, rung, ground.lesson.targets[teach]), lesson, strategy=strategy,
            settings=rung.settings, precision=plan.precision, seed=plan.seed,
        )
        files.write_json(path, curve)
    usual = float(rung.settings["rate"])
    factor = valley(curve)
    if factor is None:
        yield Note(f"{rung.strategy}: the range test's loss never falls, so the rate stays "
                   f"{usual:g}.")
        factor = 1.0
    else:
        yield Note(f"{rung.strategy}: the range test found the rate {usual * factor:.2g} "
                   f"({factor:.2g} times the plan's).")
    by_rate = tuple((usual * one, loss) for one, loss in curve)
    return slowed(strategy, factor), by_rate, {"rate": usual * factor}


def curve_of(
    network: Any, encoder: Encoder, task: Objective, lesson: Lesson, *, strategy: Strategy,
    settings: Mapping[str, Setting], precision: str, seed: int,
) -> Generator[Progress | Note, None, list[tuple[float, float]]]:
    """(factor, smoothed loss) for factors of the rates from a thousandth to a hundred.

    Args:
        network: a copy, which is spoiled.
        encoder, task, strategy, settings, precision, seed: of the training that follows.
        lesson: the rows that it will learn from.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3;
    the exponential rise, the smoothing and where to stop are fastai's.
    """
    some = max(-(-len(lesson.targets) // int(settings["batch_rows"])), 1)
    rising = {**settings, "schedule": "ramp", "epochs": -(-STEPS // some)}
    loop = Loop(network, encoder, task, strategy=strategy, settings=rising, precision=precision,
                seed=seed)
    curve: list[tuple[float, float]] = []
    mean = 0.0
    try:
        for event in loop.fit(lesson, None, lambda outputs, targets: 0.0):
            if not isinstance(event, Step):
                continue
            mean = SMOOTHING * mean + (1 - SMOOTHING) * event.loss
            smooth = mean / (1 - SMOOTHING ** (len(curve) + 1))
            curve.append((loop.part, smooth))
            yield Progress("learning rates", len(curve), STEPS, "steps")
            if smooth > FALLEN_APART * min(loss for _, loss in curve):
                break
    except NonFinite:  # it fell apart at once: the curve ends here
        pass
    return curve


def valley(curve: Sequence[tuple[float, float]]) -> float | None:
    """The factor in the middle of the longest fall; None where the loss never falls.

    Of the longest run of ever lower losses (others may stand between them), the point at a third
    and a sixth of its length, counted back from where it ends.

    Args:
        curve: (factor, loss), factors rising.

    Source: fastai's `valley`, described in its documentation of `lr_find`.
    """
    inner = list(curve)[len(curve) // LEFT_OUT_FIRST : max(len(curve) - LEFT_OUT_LAST, 0)]
    losses = [loss for _, loss in inner]
    lengths = [1] * len(losses)
    for last in range(len(losses)):
        for before in range(last):
            if losses[last] < losses[before]:
                lengths[last] = max(lengths[last], lengths[before] + 1)
    if max(lengths, default=0) < 2:
        return None
    longest = max(lengths)
    end = lengths.index(longest)
    third = longest / 3
    start = max(end - longest, 0)
    return inner[min(start + int(third) + int(third / 2), end)][0]
