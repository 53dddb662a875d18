"""Class by class: F1 with its interval, the worst first."""

from typing import TYPE_CHECKING

from fettle.core.evaluation import ClassScores, LabelRule
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Figure,
    Fold,
    Section,
    Story,
    Table,
    Text,
    number_cell,
    score_cell,
)
from fettle.pages.drawing import ACCENT, INK, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["by_class"]

DRAWN = 20
"""Classes in the drawing."""
CALLED = (
    "A row may have several labels, or none. A label is called in a row where its probability "
    "reaches the number in the last column: the one with the highest F1 on rows that were not "
    "learned from. Labels with fewer than ten such rows share the one that is best for all labels "
    "together."
)
LISTED = 300
"""Classes in the table at most; evaluation.json has every one."""


def by_class(story: Story) -> Section | None:
    """The worst classes drawn, all of them in a table; where a row may have several labels, with
    the probability that each is called from."""
    classes = sorted(story.evaluation.classes, key=lambda one: (one.f1.value, one.label))
    if not classes:
        return None
    rules = {rule.label: rule for rule in story.evaluation.rules}
    table = Table(
        "Precision, recall and F1 of each class",
        ("label" if rules else "class", "test rows", "F1", "precision", "recall",
         *(("called from",) if rules else ())),
        tuple(
            (
                Cell(words.clip(one.label, 80)), number_cell(words.count(one.rows)),
                score_cell(one.f1), score_cell(one.precision), score_cell(one.recall),
                *((_rule(rules.get(one.label)),) if rules else ()),
            )
            for one in classes[:LISTED]
        ),
    )
    which = f"The {LISTED} worst of" if len(classes) > LISTED else "All"
    things = words.count(len(classes), *(("label",) if rules else ("class", "classes")))
    summary = f"{which} {things}: precision, recall and F1 with intervals"
    blocks: tuple[Block, ...] = (_figure(classes), Fold(summary, (table,)))
    if rules:
        blocks += (Text(CALLED, "muted"),)
    return Section("classes", "Label by label" if rules else "Class by class", blocks)


def _rule(rule: LabelRule | None) -> Cell:
    """The probability that a label is called from, and what it was found on."""
    if rule is None:
        return number_cell(words.NONE)
    note = f"on {words.count(rule.rows, 'row')} with it" if rule.own else "shared: too rare"
    return number_cell(words.number(rule.threshold), note)


def _figure(classes: list[ClassScores]) -> Figure:
    shown = classes[:DRAWN]
    told = "; ".join(f"{words.clip(one.label, 40)} {words.scored(one.f1)}" for one in shown[:5])
    is_all = len(shown) == len(classes)
    which = "each class" if is_all else f"the {DRAWN} worst of {len(classes)} classes"
    caption = (
        f"F1 on the test rows of {which}, the worst first, with 95% intervals. In brackets: test "
        "rows of the class. Few rows make wide intervals: a class at the top may just be small."
    )
    svg = draw(
        "classes", f"F1 of {which}, the worst first: {told}.", lambda canvas: _paint(canvas, shown),
        width=640, height=50 + 26 * len(shown),
    )
    return Figure(svg, caption, "F1 class by class")


def _paint(canvas: "Canvas", shown: list[ClassScores]) -> None:
    axes = canvas.add_subplot()
    plain_axes(axes, grid="x")
    axes.spines["left"].set_visible(False)
    places = range(len(shown))
    axes.barh(places, [one.f1.value for one in shown], height=0.62, color=ACCENT, alpha=0.3)
    for place, one in zip(places, shown, strict=True):
        axes.plot([one.f1.low, one.f1.high], [place, place], color=ACCENT, linewidth=2)
        axes.text(1.02, place, words.valued(one.f1), va="center", ha="left", color=INK)
    labels = [f"{words.clip(one.label, 32)} ({one.rows:,})" for one in shown]
    axes.set_yticks(places, labels)
    axes.tick_params(axis="y", labelcolor=INK, labelsize=12)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, 1)
