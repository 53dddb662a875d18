"""If unsure rows are left to a person: accuracy against the share that is answered."""

from typing import TYPE_CHECKING

from fettle.core.evaluation import Abstention, Threshold
from fettle.pages import words
from fettle.pages.blocks import Cell, Figure, Section, Story, Table, Text, number_cell, score_cell
from fettle.pages.drawing import ACCENT, MUTED, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["abstention"]


def abstention(story: Story) -> Section | None:
    """The curve, and thresholds for wanted accuracies; nothing where none was worked out."""
    found = story.evaluation.abstention
    if found is None:
        return None
    table = Table(
        "Thresholds for wanted accuracies",
        ("wanted accuracy", "answer from confidence", "answered, test rows",
         "accuracy of those"),
        tuple(_line(one) for one in found.thresholds),
    )
    note = (
        "Thresholds were chosen on validation rows, where the lower end of an 80% interval had to "
        "reach the wanted accuracy, and then tried on the test rows. Area under the curve of risk "
        f"against coverage: {words.scored(found.area)}; with the same answers in the best order "
        f"{words.number(found.best_area)}."
    )
    return Section("abstention", "If unsure rows are left to a person", (
        _figure(found), table, Text(note, "muted"),
    ))


def _line(one: Threshold) -> tuple[Cell, ...]:
    wanted = number_cell(words.percent(one.wanted))
    if one.threshold is None or one.share is None or one.accuracy is None:
        return (wanted, Cell("none found", "validation rows show no confidence that is enough",
                             tone="muted"), number_cell(words.NONE), number_cell(words.NONE))
    tone = "" if one.accuracy.high >= one.wanted else "warn"
    accuracy = score_cell(one.accuracy)
    return (
        wanted, number_cell(words.number(one.threshold)), score_cell(one.share),
        number_cell(accuracy.text, accuracy.note, tone),
    )


def _figure(found: Abstention) -> Figure:
    ends = found.curve[0], found.curve[-1]
    title = (
        "Accuracy of the answered rows against their share: "
        + " and ".join(
            f"{words.valued(one.accuracy)} where {words.percent(one.share)} are answered"
            for one in ends
        ) + "."
    )
    caption = (
        "Test rows in order of confidence: the accuracy of the surest share, with 95% intervals. "
        "At the right end every row is answered."
    )
    svg = draw("abstention", title, lambda canvas: _paint(canvas, found), width=760, height=280)
    return Figure(svg, caption, "Accuracy against the share answered")


def _paint(canvas: "Canvas", found: Abstention) -> None:
    axes = canvas.add_subplot()
    plain_axes(axes, grid="y")
    shares = [100 * one.share for one in found.curve]
    values = [one.accuracy.value for one in found.curve]
    axes.fill_between(shares, [one.accuracy.low for one in found.curve],
                      [one.accuracy.high for one in found.curve], color=ACCENT, alpha=0.15,
                      linewidth=0)
    axes.plot(shares, values, "o-", color=ACCENT, linewidth=2, markersize=5, clip_on=False)
    for one in found.thresholds:
        if one.share is not None:
            axes.axvline(100 * one.share.value, color=MUTED, linestyle=(0, (1, 3)), linewidth=1.5)
            axes.annotate(f"{words.percent(one.wanted)} wanted", (100 * one.share.value, 0.02),
                          xycoords=("data", "axes fraction"), rotation=90, ha="right",
                          va="bottom", color=MUTED, fontsize=11)
    axes.set_xlabel("share of the rows that is answered, %")
    axes.set_ylabel("accuracy of those")
    axes.set_xlim(0, 102)
