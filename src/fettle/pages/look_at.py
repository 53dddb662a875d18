"""Rows to look at: where the model is sure and the label says something else, and near twins."""

from collections.abc import Sequence

from fettle.core.evaluation import LookAt
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Fold,
    Gallery,
    Section,
    Story,
    Table,
    Text,
    number_cell,
)

__all__ = ["look_at"]

KINDS = {
    "wrong and sure": "Test rows that are wrong although the model is sure",
    "far off": "Test rows that the model is furthest off on",
    "suspected label": "Validation rows whose label the model doubts most",
}


OF_NUMBERS = (
    "The largest errors, beyond the interval that is given with an answer, are where a slip in a "
    "target or a real weakness shows first. Look at the rows in the file; mend targets of "
    "validation rows before the next run, and leave test rows as they are unless plainly wrong."
)


def look_at(story: Story) -> Section | None:
    """Short lists of row ids with label and answer; nothing where nothing is wrong."""
    blocks: list[Block] = []
    for why, title in KINDS.items():
        rows = [one for one in story.evaluation.look_at if one.why == why]
        if rows:
            table = Table(
                title, ("row", "truth", "the model says", "off by") if story.has_numbers else
                ("row", "label", "the model says", "confidence"),
                tuple(
                    (Cell(words.clip(one.id, 60), kind="code"), Cell(words.clip(one.label)),
                     Cell(words.clip(one.said)), number_cell(_sure(one, story)))
                    for one in rows
                ),
            )
            blocks.append(Fold(f"{title}: {len(rows)}", (table,)))
            blocks += _gallery(story, rows)
    blocks += _near_twins(story)
    if not blocks:
        return None
    text = OF_NUMBERS if story.has_numbers else (
        "The surest mistakes are where a wrong label, an unclear rule or a real weakness shows "
        "first. Look at the rows in the file; fix labels of validation rows before the next run, "
        "and leave test rows as they are unless their label is plainly wrong."
    )
    if story.illustrations:
        text += _maps(story)
        missing = len({one.id for one in story.evaluation.look_at} - set(story.illustrations))
        if missing:
            text += (
                f" {words.count(missing, 'row')} stand without a picture, to keep the page small."
            )
    return Section("look-at", "Rows to look at", (Text(text), *blocks))


def _maps(story: Story) -> str:
    """How to read the maps of what an answer hangs on, and how many rows have none."""
    without = sum(not one.looked for one in story.illustrations.values())
    if without == len(story.illustrations):
        return " What the answers hang on was not looked for: it would have taken too long."
    said = (
        " The second picture of each is dark where the answer would stay the same if that "
        "part were covered, and bright where it hangs on what is there."
    )
    return said + (f" For {words.count(without, 'row')} there was no time to make it."
                   if without else "")


def _near_twins(story: Story) -> list[Block]:
    """Pairs of rows that say nearly the same, those with two labels first."""
    pairs = story.audit.near_twins
    if not pairs:
        return []
    title = "Near twins: rows that say nearly the same"
    lines = tuple(
        (
            Cell(words.clip(one.ids[0], 60), one.sides[0], kind="code"),
            Cell(words.clip(one.ids[1], 60), one.sides[1], kind="code"),
            Cell(words.clip(one.labels[0])),
            Cell(words.clip(one.labels[1]), tone="bad" if not story.has_numbers
                 and one.labels[0] != one.labels[1] else ""),
            number_cell(words.number(one.likeness)),
        )
        for one in pairs
    )
    table = Table(title, ("row", "its near twin", "label", "label of the twin",
                          "likeness of features"), lines)
    return [Fold(f"{title}: {words.count(len(pairs), 'pair')}", (table,))]


def _gallery(story: Story, rows: Sequence[LookAt]) -> list[Block]:
    """The pictures of these rows, where there are any."""
    shown = tuple(
        (story.illustrations[one.id], words.clip(one.id, 60),
         f"label {words.clip(one.label, 30)}; the model says {words.clip(one.said, 30)}, "
         f"{'off by ' if story.has_numbers else ''}{_sure(one, story)}")
        for one in rows if one.id in story.illustrations
    )
    return [Gallery(shown)] if shown else []


def _sure(one: LookAt, story: Story) -> str:
    """How sure the model is, or what it is off by."""
    return words.number(one.confidence, story.paired_by)
