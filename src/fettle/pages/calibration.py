"""Whether its probabilities mean what they say: reliability before and after the temperature."""

from typing import TYPE_CHECKING

from fettle.core.evaluation import Calibration, Reliability
from fettle.pages import words
from fettle.pages.blocks import Cell, Figure, Section, Story, Table, Text, number_cell, score_cell
from fettle.pages.drawing import ACCENT, INK, LINE, MUTED, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["calibration"]


def calibration(story: Story) -> Section | None:
    """What the temperature did, the reliability diagrams, and the scores behind them."""
    found = story.evaluation.calibration
    if found is None:
        return None
    return Section("calibration", "Can its probabilities be believed?", (
        Text(_told(found)), _figure(found), _table(found),
        Text(
            "NLL: negative log-likelihood of the true class. Brier score: squared difference of "
            "probabilities and truth. Calibration error: root mean square gap between confidence "
            "and accuracy, less what chance adds (Kumar et al. 2019). ECE: the mean gap as it "
            "comes; beside it what it would stay below in 95% of cases, were every probability "
            "true, so that a smaller one says nothing against the model.", "muted",
        ),
    ))


def _told(found: Calibration) -> str:
    way = (
        "it was too sure of itself" if found.temperature > 1.05
        else "it was not sure enough" if found.temperature < 0.95 else "hardly any change"
    )
    after = found.after
    holds = (
        "what is left of a gap between confidence and accuracy is no more than chance would show"
        if after.ece <= after.ece_by_chance
        else "a gap between confidence and accuracy is left that is more than chance would show"
    )
    return (
        f"Raw outputs are divided by a temperature of {found.temperature:.2f}{_span(found)} "
        f"({way}), fitted on "
        f"{words.count(found.rows, 'row')} ({words.clip(found.source)}) and carried by the "
        f"version. On the test rows NLL went from {words.valued(found.before.nll)} to "
        f"{words.valued(after.nll)}, and {holds}."
    )


def _span(found: Calibration) -> str:
    """Its interval, where it was fitted for this run."""
    if found.low is None or found.high is None:
        return ""
    return f" (95% interval {found.low:.2f} to {found.high:.2f})"


def _table(found: Calibration) -> Table:
    columns: tuple[tuple[str, Reliability], ...] = (
        ("as it came", found.before), ("with the temperature", found.after),
    )
    names = ("NLL", "Brier score", "calibration error")
    scores = [(one.nll, one.brier, one.error) for _, one in columns]
    lines = [
        (Cell(name), *(score_cell(of[at]) for of in scores)) for at, name in enumerate(names)
    ]
    lines.append((Cell("ECE"), *(
        number_cell(words.number(one.ece), f"by chance up to {words.number(one.ece_by_chance)}",
                    "" if one.ece <= one.ece_by_chance else "warn")
        for _, one in columns
    )))
    return Table("Scores of the probabilities", ("score", *(name for name, _ in columns)),
                 tuple(lines))


def _figure(found: Calibration) -> Figure:
    title = (
        "Accuracy against confidence, before and after the temperature: "
        + "; ".join(
            f"{name} {outside} of {len(one.bins)} groups of rows lie outside their band"
            for name, one in (("before,", found.before), ("after,", found.after))
            for outside in (sum(not b.low <= b.accuracy <= b.high for b in one.bins),)
        ) + "."
    )
    caption = (
        "Each point is a group of about as many test rows: how sure the model was, and how often "
        "it was right. Grey bars: where the point would lie in 95% of cases if the probabilities "
        "were true (consistency resampling, Bröcker and Smith 2007)."
    )
    svg = draw("reliability", title, lambda canvas: _paint(canvas, found), width=760, height=340)
    return Figure(svg, caption, "Reliability before and after the temperature")


def _paint(canvas: "Canvas", found: Calibration) -> None:
    left, right = canvas.subplots(1, 2, sharex=True, sharey=True)
    low = min(
        min(b.confidence, b.accuracy, b.low)
        for one in (found.before, found.after) for b in one.bins
    )
    start = max(low - 0.06, 0.0)
    for axes, one, title in (
        (left, found.before, "as it came"), (right, found.after, "with the temperature"),
    ):
        _panel(axes, one, start)
        axes.set_title(title)
        axes.set_xlabel("confidence")
    left.set_ylabel("share that is right")


def _panel(axes: "Axes", one: Reliability, start: float) -> None:
    plain_axes(axes, grid="y")
    axes.plot([start, 1], [start, 1], color=LINE, linewidth=1.5, zorder=1)
    for found in one.bins:
        axes.plot([found.confidence] * 2, [found.low, found.high], color=MUTED, alpha=0.45,
                  linewidth=6, solid_capstyle="butt", zorder=2)
        outside = not found.low <= found.accuracy <= found.high
        axes.plot([found.confidence], [found.accuracy], "o", markersize=7, zorder=3,
                  color=INK if outside else ACCENT, clip_on=False)
    axes.set_xlim(start, 1.01)
    axes.set_ylim(start, 1.02)
