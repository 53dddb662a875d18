"""What is taken for what: the confusion matrix and the pairs that are confused most."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Figure,
    Gallery,
    Section,
    Story,
    Table,
    Text,
    number_cell,
)
from fettle.pages.drawing import INK, PAPER, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["confusion"]

NUMBERED = 25
"""Up to so many classes, every cell carries its count."""
NAMED = 90
"""Lines that can carry a label without touching."""
PAIRS = 20
EXAMPLES, SHOWN = 3, 12
"""Pictures of a pair, and of all pairs together."""
RIGHT = (52 / 255, 108 / 255, 214 / 255)
WRONG = (206 / 255, 66 / 255, 48 / 255)
"""Blue and red between the page's light and dark ones: an image cannot follow the theme."""


def confusion(story: Story) -> Section | None:
    """The heat map, then the worst pairs in words; of several labels a row, the pairs alone."""
    counts = np.array(story.evaluation.confusion, dtype=np.int64)
    if counts.size == 0:
        return None
    if story.evaluation.rules:
        return _stand_ins(counts, story)
    labels = story.evaluation.labels
    blocks: list[Block] = [_figure(counts, labels)]
    pairs = _pairs(counts)
    if pairs:
        blocks.append(_table(counts, labels, pairs))
        confused = np.count_nonzero(counts) - np.count_nonzero(counts.diagonal())
        more = int(confused) - len(pairs)
        if more:
            blocks.append(Text(f"{words.count(more, 'more pair')} confused less often.",
                               "muted"))
        blocks += _examples(story, pairs)
    else:
        blocks.append(Text("No test row was taken for another class."))
    return Section("confusion", "What is taken for what", tuple(blocks))


def _stand_ins(counts: np.ndarray, story: Story) -> Section:
    """Where a row may have several labels: which was missed while which was called wrongly."""
    labels, pairs = story.evaluation.labels, _pairs(counts)
    has = {one.label: one.rows for one in story.evaluation.classes}
    lines = tuple(
        (
            Cell(words.clip(labels[missed])), Cell(words.clip(labels[called])),
            number_cell(words.count(int(counts[missed, called]))),
            number_cell(words.count(has.get(labels[missed], 0))),
        )
        for missed, called in pairs
    )
    said = (
        "A row may have several labels, so no table of one class against another can be drawn. "
        "What can be said is which label was called wrongly in the rows where another was missed."
    )
    blocks: tuple[Block, ...] = (Text(said), Table(
        "Labels that were missed, and what was called in their place",
        ("missed", "called instead", "test rows", "test rows with the missed one"), lines,
    )) if lines else (Text("In no test row was a label missed and another called wrongly."),)
    return Section("confusion", "What is called in place of what", blocks)


def _pairs(counts: np.ndarray) -> list[tuple[int, int]]:
    """The wrong cells with most rows, as (true, predicted)."""
    cells = [
        (int(true), int(predicted))
        for true, predicted in np.argwhere(counts > 0)
        if true != predicted
    ]
    return sorted(cells, key=lambda cell: (-counts[cell], cell))[
        : PAIRS if len(counts) > NUMBERED else 8
    ]


def _table(counts: np.ndarray, labels: tuple[str, ...], pairs: list[tuple[int, int]]) -> Table:
    lines = tuple(
        (
            Cell(words.clip(labels[true])),
            Cell(words.clip(labels[predicted])),
            number_cell(words.count(int(counts[true, predicted]))),
            number_cell(words.count(int(counts[true].sum()))),
        )
        for true, predicted in pairs
    )
    return Table(
        "The pairs of classes that are confused most",
        ("true class", "taken for", "test rows", "of all of the true class"), lines,
    )


def _examples(story: Story, pairs: list[tuple[int, int]]) -> list[Block]:
    """Pictures of the pairs, where the rows are pictures: those that the model is surest of."""
    labels = story.evaluation.labels
    rows = [one for one in story.evaluation.look_at
            if one.why == "wrong and sure" and one.id in story.illustrations]
    shown = [
        (replace(story.illustrations[row.id], looked=""), words.clip(row.id, 60),
         f"{words.clip(row.label, 30)}, taken for {words.clip(row.said, 30)}")
        for true, predicted in pairs
        for row in [one for one in rows
                    if (one.label, one.said) == (labels[true], labels[predicted])][:EXAMPLES]
    ]
    return [Gallery(tuple(shown[:SHOWN]))] if shown else []


def _figure(counts: np.ndarray, labels: tuple[str, ...]) -> Figure:
    classes = len(counts)
    right = words.count(int(counts.diagonal().sum()))
    title = (
        f"Confusion matrix of {classes} classes: {right} of {words.count(int(counts.sum()))} test "
        "rows lie on the diagonal, where the predicted class is the true one."
    )
    caption = (
        "Lines are true classes, columns predicted ones. Blue: right; red: wrong; the stronger, "
        "the larger the share of the line."
    )
    if classes <= NUMBERED:
        side = min(max(classes * 46, 180), 560)
        width, height = min(side + 240, 760), side + 110
    else:
        caption += " Columns stand in the same order as lines."
        width, height = 760, min(760, 560 + 2 * classes)
    svg = draw("confusion", title, lambda canvas: _paint(canvas, counts, labels),
               width=width, height=height)
    return Figure(svg, caption, "Confusion matrix")


def _paint(canvas: "Canvas", counts: np.ndarray, labels: tuple[str, ...]) -> None:
    axes = canvas.add_subplot()
    plain_axes(axes)
    for spine in axes.spines.values():
        spine.set_visible(False)
    classes = len(counts)
    is_numbered = classes <= NUMBERED
    axes.imshow(_colors(counts, 0.6 if is_numbered else 0.95), interpolation="none", aspect="equal")
    names = [words.clip(label, 20) for label in labels]
    size = min(12.0, max(6.5, 520 / classes))
    every = 1 + (classes - 1) // NAMED
    axes.set_yticks(range(0, classes, every), names[::every], fontsize=size)
    axes.tick_params(axis="y", labelcolor=INK)
    if is_numbered:
        axes.set_xticks(range(classes), names, fontsize=size, rotation=45, ha="right",
                        rotation_mode="anchor")
        axes.tick_params(axis="x", labelcolor=INK)
        _numbers(axes, counts, min(12.0, 320 / classes))
    else:
        axes.set_xticks([])
    axes.set_ylabel("true")
    axes.set_xlabel("predicted")


def _numbers(axes: "Axes", counts: np.ndarray, size: float) -> None:
    """Faint lines between the cells, and in each its rows; an empty cell stays empty."""
    edges = np.arange(1, len(counts)) - 0.5
    axes.hlines(edges, -0.5, len(counts) - 0.5, color=PAPER, linewidth=2)
    axes.vlines(edges, -0.5, len(counts) - 0.5, color=PAPER, linewidth=2)
    for true, predicted in np.argwhere(counts > 0):
        axes.text(predicted, true, f"{counts[true, predicted]:,}", ha="center", va="center",
                  fontsize=size, color=INK)


def _colors(counts: np.ndarray, strongest: float) -> np.ndarray:
    """Red, green, blue and strength of each cell, (classes, classes, 4)."""
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)       # (classes, 1)
    share = counts / totals                                         # (classes, classes)
    colors = np.empty((*counts.shape, 4))
    colors[..., :3] = WRONG
    colors[np.diag_indices(len(counts))] = (*RIGHT, 0.0)
    colors[..., 3] = np.where(share > 0, 0.06 + (strongest - 0.06) * np.sqrt(share), 0.03)
    return colors
