"""Trusting: of what was kept of frozen blocks, that which a rung may learn from.

It is what this network replays exactly, and what the rung began with: a run that was stopped goes
on with no more than that.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fettle.core.parts import Strategy
from fettle.core.plan import Plan, Rung
from fettle.core.progress import Note
from fettle.engine import costs
from fettle.engine.faithful import compare
from fettle.engine.ground import Ground, start
from fettle.engine.linear import Chosen
from fettle.engine.replay import States
from fettle.store import files

__all__ = ["trusted"]


def trusted(
    ground: Ground, plan: Plan, rung: Rung, strategy: Strategy, chosen: Chosen
) -> Generator[Note, None, tuple[Ground, tuple[str, ...]]]:
    """The ground with only those kept states that this network replays exactly, and what was
    found; what cannot be used is said at once.

    Args:
        ground: with all that is kept.
        plan, rung, strategy: to be climbed.
        chosen: the head to begin with.
    """
    wanted = costs.replayed_blocks(strategy, blocks=ground.network.blocks,
                                   epochs=int(rung.settings["epochs"]))
    if not wanted:
        return _with(ground, {}, ()), ()
    path, beside = (ground.folder / "replayed" / f"{rung.strategy}{one}.json"
                    for one in ("", "-views"))
    has_begun = path.is_file() and any(
        ground.folder.glob(f"checkpoints/{rung.strategy}-[0-9a]*/*.json"))
    begun = files.read_json(path) if has_begun else wanted
    viewed = files.read_json(beside) if has_begun and beside.is_file() else (
        sorted(ground.lesson.views.states))
    states = {block: ground.lesson.states[block] for block in begun
              if block in ground.lesson.states}
    sentences = []
    for what, lost in (
        ("replay from block", has_begun and [one for one in begun if one not in states]),
        ("kept views at block", [one for one in viewed if one not in ground.lesson.views.states]),
    ):
        if lost:
            sentences.append(_lost(rung, what, lost))
            yield Note(sentences[-1])
    plain = replace(strategy, prepare=lambda one: one, reworks=False)
    every = np.arange(len(ground.lesson.targets))
    network: Any = states and start(ground, plan, rung, plain, chosen, every).eval()
    for block in sorted(states):
        found = compare(network, ground.encoder, ground.lesson.items, states[block],
                        precision=plan.precision)
        sentences.append(found.sentence)
        if not found.holds:
            yield Note(f"{rung.strategy}: {found.sentence}")
            del states[block]
    made = _with(ground, states, [block for block in viewed if block in states])
    if not has_begun:  # a run that goes on starts where it started, whatever is kept by then
        files.write_json(path, sorted(states))
        files.write_json(beside, sorted(made.lesson.views.states))
    return made, tuple(sentences)


def _with(ground: Ground, states: dict[int, States], viewed: Sequence[int]) -> Ground:
    """The ground with these states alone, and with views at these blocks alone."""
    views = ground.lesson.views.only(viewed)
    return replace(ground, lesson=replace(ground.lesson, states=states, views=views))


def _lost(rung: Rung, what: str, blocks: Sequence[int]) -> str:
    """For the report: from here on the frozen blocks were given something else."""
    named = ", ".join(map(str, blocks))
    verb, why = ("is", "frozen blocks round otherwise in other batches") if (
        what.startswith("replay")) else ("are", "it learns from other views")
    return (
        f"{rung.strategy}: it began with {what} {named}, which {verb} lost and could not be "
        "kept again: it went on without. Its weights differ from those of a run that nothing "
        f"stopped, as {why}."
    )
