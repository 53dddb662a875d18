"""The costs: what each rung was predicted to take against what it took, and how fast it ran."""

from fettle.core.run import Spending, Spent
from fettle.pages import words
from fettle.pages.blocks import Block, Cell, Section, Story, Table, Text, number_cell

__all__ = ["costs"]


def costs(story: Story) -> Section | None:
    """Seconds, memory and their ratios, and the share of the machine's peak."""
    spending = story.spending
    if spending is None or not spending.rungs:
        return None
    total = (spending.total,) if spending.total is not None else ()
    table = Table(
        "Predicted and measured seconds and memory of each rung, and its speed",
        ("rung", "seconds predicted", "measured", "ratio", "memory predicted", "measured", "ratio",
         "useful operations", "of the peak"),
        tuple(_line(one, spending) for one in (*spending.rungs, *total)),
    )
    blocks: list[Block] = [table, Text(_explained(spending, bool(story.plan.pictures)), "muted")]
    if any(one.share_of_peak is not None for one in spending.rungs) and not spending.calm:
        blocks.append(Text(
            "The peak was measured while other work ran on the machine: it may be too low, and "
            "the shares too high. It is measured again when the machine is calm."
        ))
    return Section("costs", "What it was predicted to cost, and what it cost", tuple(blocks))


def _line(one: Spent, spending: Spending) -> tuple[Cell, ...]:
    climbed = one.seconds is not None
    return (
        Cell(words.contender(one.rung)),
        number_cell(_seconds(one.predicted_seconds)),
        number_cell(_seconds(one.seconds) if climbed else "not climbed"),
        _ratio(one.seconds_ratio, spending),
        number_cell(words.size(one.predicted_bytes or 0)),
        number_cell(words.size(one.peak_bytes or 0)),
        _ratio(one.bytes_ratio, spending),
        number_cell(
            words.NONE if one.flops_per_second is None else words.speed(one.flops_per_second)
        ),
        number_cell(words.NONE if one.share_of_peak is None else words.share(one.share_of_peak)),
    )


def _seconds(value: float | None) -> str:
    return words.NONE if value is None else words.duration(value)


def _ratio(value: float | None, spending: Spending) -> Cell:
    """How many times the predicted; marked where the prediction did not hold."""
    tone = "" if spending.holds(value) else "warn"
    return number_cell(words.NONE if value is None else words.ratio(value), tone=tone)


def _explained(spending: Spending, of_pictures: bool) -> str:
    said = (
        "Predicted from a short measurement on this machine, before training. Measured seconds of "
        "a rung run from the end of the rung below it; memory is the process at its highest. "
        f"A ratio is measured over predicted; beyond a factor of {spending.factor:g} either way "
        "it is marked."
    )
    if spending.peak is None:
        return said
    what, idle = (("pictures", "decoding") if of_pictures else ("real tokens", "padding"))
    return (
        f"{said} Useful operations are those that learning from the {what} asks for, over the "
        f"seconds of all epochs: {idle} and judging take time and count for nothing. The peak "
        f"is what matrix products reach on this machine, {words.speed(spending.peak)}."
    )
