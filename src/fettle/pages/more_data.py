"""Would more data help? The curve of learning, and what it says of more rows."""

from typing import TYPE_CHECKING

from fettle.core.evaluation import Forecast, LearningCurve
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Figure,
    Listing,
    Section,
    Story,
    Table,
    Text,
    number_cell,
    score_cell,
)
from fettle.pages.drawing import ACCENT, MUTED, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["more_data"]


def more_data(story: Story) -> Section | None:
    """More rows to learn from, and more rows to judge by."""
    evaluation = story.evaluation
    curve = evaluation.curve
    blocks: list[Block] = []
    if curve is not None:
        if curve.forecasts:
            blocks.append(Listing(tuple(_told(one, story) for one in curve.forecasts)))
        blocks.append(Text(words.clip(curve.why, 300)))
        if len(curve.points) > 1:
            blocks.append(_figure(curve))
        blocks.append(Table(
            f"{_named(curve)} of heads solved on so many rows",
            ("rows learned from", words.measure(curve.points[0].score.name)),
            tuple((number_cell(words.count(one.rows)), score_cell(one.score))
                  for one in curve.points),
        ))
    if evaluation.rows_to_tell:
        blocks.append(Text(
            "To tell whether the model is better than before, label about "
            f"{words.count(evaluation.rows_to_tell)} more test rows: so many would show the "
            "difference that was measured here, were it the true one, in 4 of 5 cases."
        ))
    return Section("more-data", "Would more data help?", tuple(blocks)) if blocks else None


def _named(curve: LearningCurve) -> str:
    name = words.measure(curve.points[0].score.name)
    return name[:1].upper() + name[1:]


def _told(one: Forecast, story: Story) -> str:
    if story.has_numbers:
        return (
            f"{words.count(one.more_rows, 'more row')}: a mean absolute error smaller by "
            f"{words.number(one.gain, 'mae')} ({words.signed_interval(one.low, one.high, 'mae')})"
        )
    of = "the mean F1 of rows" if story.has_several else "accuracy"
    return (
        f"{words.count(one.more_rows, 'more row')}: {words.points(one.gain)} of {of} "
        f"({100 * one.low:.1f} to {100 * one.high:.1f})"
    )


def _figure(curve: LearningCurve) -> Figure:
    first, last = curve.points[0], curve.points[-1]
    title = (
        f"{_named(curve)} goes from {words.scored(first.score)} with {words.count(first.rows)} "
        f"rows to {words.scored(last.score)} with {words.count(last.rows)}."
    )
    caption = (
        "Heads solved on the frozen features of parts of the learning rows, judged on the test "
        "rows, with 95% intervals; log scale."
        + (" Dotted: the power law, as far as it is trusted." if curve.fit else "")
    )
    svg = draw("more-data", title, lambda canvas: _paint(canvas, curve), width=760, height=280)
    return Figure(svg, caption, f"{_named(curve)} against rows learned from")


def _paint(canvas: "Canvas", curve: LearningCurve) -> None:
    axes = canvas.add_subplot()
    plain_axes(axes, grid="y")
    axes.set_xscale("log")
    axes.minorticks_off()
    rows = [one.rows for one in curve.points]
    if curve.fit is not None:
        a, b, c = curve.fit
        far = max([rows[-1], *(rows[-1] + one.more_rows for one in curve.forecasts)])
        steps = [rows[0] * (far / rows[0]) ** (at / 60) for at in range(61)]
        errors = [a + b * step**-c for step in steps]
        is_error = curve.points[0].score.name == "mae"
        shown = errors if is_error else [1 - one for one in errors]
        axes.plot(steps, shown, color=MUTED, linewidth=1.8, linestyle=(0, (1, 2)))
    for one in curve.points:
        axes.plot([one.rows] * 2, [one.score.low, one.score.high], color=ACCENT, linewidth=2)
    axes.plot(rows, [one.score.value for one in curve.points], "o", color=ACCENT, markersize=8)
    marks = list(rows) + [rows[-1] * 2**step for step in (1, 2)] * (curve.fit is not None)
    axes.set_xticks(marks, [f"{mark:,}" for mark in marks])
    axes.set_xlabel("rows learned from")
    axes.set_ylabel(words.measure(curve.points[0].score.name))
