"""Repeating: the kept rung climbed with other seeds, to see how far its score hangs on chance.

Rows, folds, the head to begin with and what frozen blocks gave are those of the first seed; order
of rows, dropout and whatever is drawn are the seed's own. No network of these is kept.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from fettle.core.errors import CorruptFile, NonFinite
from fettle.core.parts import Strategy
from fettle.core.plan import Plan, Rung
from fettle.core.progress import Note, Progress
from fettle.core.run import Epoch, Repeat, RungResult, Spread, Step
from fettle.engine import climbing, contrast
from fettle.engine.affording import left_out
from fettle.engine.ground import Ground
from fettle.engine.linear import Chosen
from fettle.store import files, records

__all__ = ["over_seeds", "repeated"]

Event = Progress | Note | Step | Epoch | Repeat


def over_seeds(
    ground: Ground, plan: Plan, rung: Rung, make: Callable[[], Strategy], chosen: Chosen,
    results: Sequence[RungResult],
) -> Generator[Event, None, Spread]:
    """The rung with each of the plan's seeds, until the budget ends. A seed whose loss is no finite
    number is told, and stops nothing: the version is not made of it.

    Args:
        ground, plan, rung, chosen: as the first seed had them.
        make: the rung's strategy, anew: what it keeps of a training is one seed's own.
        results: of all rungs; that of this one counts as the first seed.
    """
    first = next(one for one in results if one.name == rung.strategy)
    repeats = [Repeat(first.name, plan.seed, first.validation, first.seconds, first.notes)]
    taken = [one.seconds for one in results]
    omitted: list[str] = []
    last = plan.seed + plan.seeds - 1
    for seed in range(plan.seed + 1, last + 1):
        more = left_out(f"{first.name} with seed {seed}", repeats[-1].seconds, taken, plan,
                        ground.folder)
        if more is not None:
            more += f" So are the seeds up to {last}." if seed < last else ""
            omitted.append(more)
            yield Note(more)
            break
        try:
            made = yield from repeated(ground, plan, rung, make(), chosen, seed=seed)
        except NonFinite as error:
            omitted.append(f"{first.name} with seed {seed} fell apart and has no score: {error}")
            yield Note(omitted[-1])
            continue
        _log(ground.folder, made)
        yield made
        repeats.append(made)
        taken.append(made.seconds)
    return Spread(tuple(repeats), tuple(omitted))


def repeated(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, chosen: Chosen, *, seed: int
) -> Generator[Progress | Note | Step | Epoch, None, Repeat]:
    """What validation says of the rung with this seed.

    It lies in a folder of its own, so that the same command goes on where it was stopped, and is
    not climbed again once it is finished.

    Args:
        ground, plan, rung, chosen: as the first seed had them.
        strategy: of the rung, for this seed alone.
        seed: in place of the plan's.
    """
    folder = ground.folder / "seeds" / f"{rung.strategy}-{seed}"
    path = folder / "repeat.json"
    try:
        if path.is_file():
            return records.load(path, Repeat)
    except CorruptFile as error:
        yield Note(f"{rung.strategy} is climbed again with seed {seed}: {error}")
    yield Note(f"{rung.strategy} once more, with seed {seed}: to see the spread.")
    begun = time.perf_counter()
    own = dataclasses.replace(ground, folder=folder, keeps=False)
    tune = climbing.tuned if strategy.objective is None else contrast.tuned
    climbed = yield from tune(own, dataclasses.replace(plan, seed=seed), rung, strategy, chosen)
    judged = ground.judged
    made = Repeat(
        rung.strategy, seed,
        ground.task.interval(
            plan.metric, climbed.outputs, ground.lesson.targets[judged], seed=plan.seed,
            groups=ground.together(judged)),
        max(time.perf_counter() - begun, climbed.training_seconds),
        climbed.notes,
    )
    records.save(path, made)
    files.remove_folder(folder / "checkpoints")
    return made


def _log(folder: Path, made: Repeat) -> None:
    """The repeat is one line of metrics.jsonl, whatever was killed before or after it."""
    files.put_line(
        folder / "metrics.jsonl", json.dumps({"repeat": dataclasses.asdict(made)}),
        instead=lambda one: (one.get("repeat", {}).get("rung"), one.get("repeat", {}).get("seed"))
        == (made.rung, made.seed),
    )
