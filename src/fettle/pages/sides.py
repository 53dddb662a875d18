"""How the rows were split: which teach, which tune, which judge, and how columns were found."""

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

__all__ = ["sides"]


def sides(story: Story) -> Section:
    """The three sides with their rows, then the rules by which they were chosen."""
    split = story.split
    lines = [
        ("train", len(split.train), "teach: weights are fitted on them"),
        ("validation", len(split.validation), "tune: settings and the rung are chosen on them"),
        ("test", len(split.vault.sealed), "judge: sealed until the evaluation, and choose nothing"),
    ]
    table = Table(
        "Rows on each side of the split",
        ("side", "rows", "what they do"),
        tuple((Cell(side), number_cell(words.count(n)), Cell(does)) for side, n, does in lines),
    )
    blocks: list[Block] = [table]
    if not split.validation:
        blocks.append(Text(
            "No validation rows were set aside, because the learning rows are few: every choice "
            "was made on out-of-fold predictions for the training rows."
        ))
    if split.notes:
        blocks.append(Listing(tuple(words.clip(note, 600) for note in split.notes)))
    blocks.append(_columns(story))
    return Section("split", "How the rows were split", tuple(blocks))


def _columns(story: Story) -> Facts:
    schema = story.dataset.schema
    pairs = [
        ("data", Cell(words.public(story.dataset.name))),
        ("target column", Cell(words.clip(schema.target or words.NONE))),
        ("input columns", Cell(_names(schema.inputs))),
        ("columns not used", Cell(_names(schema.unused))),
        ("clusters of twins", Cell(
            f"{words.count(len(story.audit.twins))}"
            + (", each kept on one side" if story.audit.twins else ""),
        )),
    ]
    if schema.reasons:
        pairs.append(("how they were found", Cell(words.clip(" ".join(schema.reasons), 600))))
    return Facts(tuple(pairs))


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(words.clip(name) for name in columns) or "none"
