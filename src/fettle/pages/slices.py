"""Parts of the test rows judged apart: which are worse, and which lost while the whole gained."""

from fettle.core.evaluation import Slice
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Notice,
    Section,
    Story,
    Table,
    Text,
    difference_cell,
    number_cell,
    score_cell,
)

__all__ = ["slices"]

SHOWN = 20
Q = 0.05


def slices(story: Story) -> Section | None:
    """Slices that lost stand first, as findings; then the table, the worst first."""
    found = story.evaluation.slices
    if not found:
        return None
    blocks: list[Block] = [_lost(one) for one in found if one.lost]
    if not blocks:
        blocks.append(Text(
            "No slice lost while the whole gained, beyond what chance would show."
            if any(one.change for one in found) else "The slices were not compared with before."
        ))
    blocks.append(Table(
        "Slices of the test rows, the worst first",
        ("slice", words.measure(found[0].score.name), "worse than the rest",
         "after against before"),
        tuple(_line(one) for one in found[:SHOWN]),
    ))
    more = f" {len(found) - SHOWN:,} more are in evaluation.json." if len(found) > SHOWN else ""
    blocks.append(Text(
        "By unused columns with few values (and those of --slices), by length, and by clusters of "
        "like rows, which are named after what they are labelled with. Slices of 50 rows or more, "
        "that with the worst end of its interval first. p is adjusted for the number of slices "
        f"(Benjamini and Hochberg 1995).{more}", "muted",
    ))
    return Section("slices", "Parts of the rows, judged apart", tuple(blocks))


def _name(one: Slice) -> str:
    return f"{words.clip(one.by, 40)}: {words.clip(one.value, 80)}"


def _lost(one: Slice) -> Notice:
    change = one.change
    assert change is not None
    assert one.p_change is not None
    return Notice(
        "lost", "bad", _name(one),
        f"This slice lost while the whole gained: {words.marginal(change)} on "
        f"{words.count(change.rows, 'test row')}, {change.wins:,} won and {change.losses:,} lost "
        f"({words.p_value(one.p_change)} after adjustment).",
        "Whoever these rows stand for is served worse than before. Look at their rows, add more "
        "of them, or keep the model from before for them.",
    )


def _line(one: Slice) -> tuple[Cell, ...]:
    is_worse = one.p_worse <= Q
    change = number_cell(words.NONE)
    if one.change is not None:
        cell = difference_cell(one.change)
        change = number_cell(cell.text, cell.note, "bad" if one.lost else "")
    return (
        Cell(words.clip(one.value, 80), words.clip(one.by, 40)),
        score_cell(one.score),
        Cell("yes" if is_worse else "cannot tell", words.p_value(one.p_worse),
             tone="warn" if is_worse else "muted"),
        change,
    )
