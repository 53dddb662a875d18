"""The plan with its reasons, and what it predicted against what was measured."""

from fettle.core.plan import Cost, Rung
from fettle.core.run import RungResult
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Facts,
    Listing,
    Section,
    Story,
    Table,
    Text,
    number_cell,
)

__all__ = ["choices"]


def choices(story: Story) -> Section:
    """Why each choice was made, what was set, and how the prediction held."""
    plan = story.plan
    reasons = tuple(words.clip(reason, 600) for reason in plan.reasons)
    facts = Facts((
        ("model", Cell(words.public(plan.model))),
        ("task", Cell(f"{words.clip(plan.modality)} {words.clip(plan.task)}, "
                      f"{words.count(len(plan.classes), 'class', 'classes')}")),
        ("chosen and stopped by", Cell(words.measure(plan.metric))),
        ("longest text", Cell(words.count(plan.max_tokens, "token"))),
        ("precision, threads", Cell(f"{words.clip(plan.precision)}, {plan.threads}")),
        ("seed", Cell(str(plan.seed))),
    ))
    opening: Block = (
        Listing(reasons) if reasons else Text("The plan was given as it is; it states no reasons.")
    )
    note = Text(
        "Predicted from a short measurement on this machine, before training. Measured seconds "
        "of a rung run from the end of the rung below it; memory is the process at its highest.",
        "muted",
    )
    return Section("plan", "The plan and its reasons", (opening, facts, _costs(story), note))


def _costs(story: Story) -> Table:
    predicted = {cost.rung: cost for cost in story.plan.predicted}
    measured = {rung.name: rung for rung in story.run.rungs}
    given = {rung.strategy: rung for rung in story.plan.rungs}
    names = dict.fromkeys((*given, *measured))
    return Table(
        "Predicted and measured seconds and memory of each rung",
        ("rung", "settings", "seconds predicted", "measured", "memory predicted", "measured"),
        tuple(
            _line(name, given.get(name), predicted.get(name), measured.get(name)) for name in names
        ),
    )


def _line(
    name: str, rung: Rung | None, cost: Cost | None, result: RungResult | None
) -> tuple[Cell, ...]:
    return (
        Cell(words.contender(name)),
        Cell(words.settings(rung.settings) if rung else words.NONE),
        number_cell(words.duration(cost.seconds) if cost else words.NONE),
        number_cell(words.duration(result.seconds) if result else "not climbed"),
        number_cell(words.size(cost.peak_bytes) if cost else words.NONE),
        number_cell(words.size(result.peak_bytes) if result else words.NONE),
    )
