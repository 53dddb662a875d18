"""What was forgotten: what the model as it came, or the version before, could do."""

from fettle.core.evaluation import Retention
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Section,
    Story,
    Table,
    Text,
    difference_cell,
    number_cell,
    score_cell,
)

__all__ = ["forgotten"]

TONES = {"better": "good", "worse": "bad", "cannot tell": "muted"}
WORDS = {"better": "gained", "worse": "forgotten", "cannot tell": "cannot tell"}


def forgotten(story: Story) -> Section | None:
    """A probe on each set of guarded rows, the drift of the features, and flips."""
    found = story.evaluation.forgetting
    if found is None:
        return None
    blocks: list[Block] = [Text(words.clip(one, 400)) for one in found.sentences]
    if found.retentions:
        blocks.append(Table(
            "What can still be read from the features of other rows",
            ("other rows", "model as it came", "after tuning", "difference, paired", "so it was",
             "likeness (CKA)"),
            tuple(_line(one) for one in found.retentions),
        ))
    if found.similarity is not None and found.similarity < 1:
        blocks.append(Text(
            f"On the test rows the features of the tuned model and of the model as it came are "
            f"alike to {words.number(found.similarity)} (linear CKA, Kornblith et al. 2019: 1 is "
            "the same up to rotation, 0 unlike)."
        ))
    if found.retentions:
        blocks.append(Text(
            "A linear probe is solved on the features of each model and judged on rows held out in "
            "turn, the same for both. What it can no longer tell apart is not in the features any "
            "more.", "muted",
        ))
    return Section("forgotten", "What was forgotten", tuple(blocks))


def _line(one: Retention) -> tuple[Cell, ...]:
    return (
        Cell(words.clip(one.data), words.count(one.rows, "row")), score_cell(one.base),
        score_cell(one.tuned), difference_cell(one.change),
        Cell(WORDS[one.change.verdict], words.p_value(one.change.p),
             tone=TONES[one.change.verdict]),
        number_cell(words.number(one.similarity)),
    )
