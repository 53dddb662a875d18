"""Residuals: answers against the truth, what they are off by, and the interval around an answer."""

from typing import TYPE_CHECKING

from fettle.core.evaluation import Residuals
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Figure,
    Fold,
    Section,
    Story,
    Table,
    Text,
    number_cell,
)
from fettle.pages.drawing import ACCENT, LINE, MUTED, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["residuals"]


def residuals(story: Story) -> Section | None:
    """Two drawings, the sentences that they lead to, and the table; nothing where classes are
    answered."""
    found = story.evaluation.residuals
    if found is None:
        return None
    blocks: list[Block] = [
        Text(_bias(found)), Text(_interval(found)), _figure(found),
        Fold("Answers and truth, part by part", (_table(found),)),
    ]
    return Section("residuals", "What the answers are off by", tuple(blocks))


def _bias(found: Residuals) -> str:
    bias = found.bias
    verdict = (
        "answers are too high on average" if bias.low > 0 else
        "answers are too low on average" if bias.high < 0 else
        "no part of the errors is beyond chance in one direction"
    )
    low, _, middle, _, high = found.quantiles
    return (
        f"Answer minus truth is {words.signed(bias.value, 'bias')} on average "
        f"({words.signed_interval(bias.low, bias.high, 'bias')} on "
        f"{words.count(bias.rows, 'test row')}): {verdict}. Half of the errors lie on either side "
        f"of {words.signed(middle, 'bias')}, and nine in ten between "
        f"{words.signed(low, 'bias')} and {words.signed(high, 'bias')}."
    )


def _interval(found: Residuals) -> str:
    level = f"{found.level:.0%}"
    if found.half_width is None:
        return (
            f"No {level} interval goes with an answer: "
            f"{words.count(found.fitted_on, 'row')} that were not learned from are too few to "
            "promise one."
        )
    rests = (
        f" It rests on {words.count(found.fitted_on, 'row')} ({words.clip(found.source)}) that "
        "were not learned from (split conformal prediction, Lei et al. 2018)"
        if found.fitted_on else ""
    )
    covered = (
        f"; on the test rows it held the truth in {words.percent(found.covered.value)} "
        f"({words.percent(found.covered.low)} to {words.percent(found.covered.high)})"
        if found.covered else ""
    )
    return (
        f"With each answer goes an interval of {words.number(found.half_width, 'mae')} up and "
        f"down, which should hold the truth in {level} of rows like these.{rests}{covered}. It is "
        "as wide for every row, also where the model is better or worse than usual."
    )


def _figure(found: Residuals) -> Figure:
    title = (
        f"Answers against the truth of {words.count(len(found.points), 'test row')}, and answer "
        "minus truth against the answer."
    )
    caption = (
        "Left: each dot a test row; on the line the answer is the truth. Right: answer minus truth "
        "against the answer; the marks are the means of parts of the rows"
        + (", and the dashed lines the interval that goes with an answer." if found.half_width
           else ".")
    )
    svg = draw("residuals", title, lambda canvas: _paint(canvas, found), width=760, height=340)
    return Figure(svg, caption, "Answers against the truth, and residuals")


def _paint(canvas: "Canvas", found: Residuals) -> None:
    left, right = canvas.subplots(1, 2)
    truth = [one for one, _ in found.points]
    said = [one for _, one in found.points]
    _dots(left, truth, said)
    ends = min(*truth, *said), max(*truth, *said)
    left.plot(ends, ends, color=MUTED, linewidth=1.2)
    left.set_xlabel("truth")
    left.set_ylabel("answer")
    _dots(right, said, [answer - true for true, answer in found.points])
    right.axhline(0, color=MUTED, linewidth=1.2)
    for side in (-1, 1) if found.half_width else ():
        right.axhline(side * (found.half_width or 0.0), color=LINE, linewidth=1.2,
                      linestyle=(0, (4, 3)))
    for one in found.spans:
        right.plot([one.said] * 2, [one.said - one.high, one.said - one.low], color=ACCENT,
                   linewidth=2)
        right.plot([one.said], [one.said - one.truth], "o", color=ACCENT, markersize=7)
    right.set_xlabel("answer")
    right.set_ylabel("answer minus truth")


def _dots(axes: "Axes", x: list[float], y: list[float]) -> None:
    plain_axes(axes, grid="y")
    axes.plot(x, y, "o", color=MUTED, markersize=3, alpha=0.5, markeredgewidth=0)


def _table(found: Residuals) -> Table:
    return Table(
        "Parts of the test rows by their answers, the lowest first",
        ("rows", "mean answer", "mean truth"),
        tuple(
            (number_cell(words.count(one.rows)), number_cell(words.number(one.said, "mae")),
             number_cell(words.number(one.truth, "mae"),
                         words.spanned(one.low, one.high, one.rows, "mae")))
            for one in found.spans
        ),
    )
