"""The range test: the loss against the learning rate, and the rate that was taken."""

from typing import TYPE_CHECKING

from fettle.core.run import RungResult
from fettle.pages import words
from fettle.pages.blocks import Figure, Section, Story, Text
from fettle.pages.drawing import ACCENT, MUTED, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["range_test"]


def range_test(story: Story) -> Section | None:
    """One drawing for each rung whose rate was found so; nothing where none was."""
    tested = [rung for rung in story.run.rungs if rung.range_test]
    if not tested:
        return None
    note = Text(
        "A copy of the network learned at rates that rise until it falls apart, and was thrown "
        "away. The rate is taken from the middle of the longest fall of the loss.", "muted",
    )
    figures = tuple(_figure(rung, number) for number, rung in enumerate(tested))
    return Section("range-test", "How the learning rate was found", (*figures, note))


def _figure(rung: RungResult, number: int) -> Figure:
    name, rate = words.contender(rung.name), rung.chosen.get("rate")
    taken = f" Dotted: {words.setting(rate)}, which was taken." if rate is not None else ""
    lowest = min(loss for _, loss in rung.range_test)
    title = (
        f"{name}: smoothed loss from {rung.range_test[0][1]:.3f} to {lowest:.3f} at its lowest, "
        f"over {words.count(len(rung.range_test), 'step')} of rising learning rate.{taken}"
    )
    svg = draw(f"range{number}", title, lambda canvas: _paint(canvas, rung), width=480, height=240)
    caption = f"{name}: smoothed training loss against the learning rate, log scale.{taken}"
    return Figure(svg, caption, f"Range test of {name}")


def _paint(canvas: "Canvas", rung: RungResult) -> None:
    axes = canvas.add_subplot()
    plain_axes(axes, grid="y")
    axes.set_xscale("log")
    rates, losses = zip(*rung.range_test, strict=True)
    axes.plot(rates, losses, color=ACCENT, linewidth=2)
    taken = rung.chosen.get("rate")
    if isinstance(taken, float):
        axes.axvline(taken, color=MUTED, linestyle=(0, (1, 3)), linewidth=1.5)
    axes.set_xlabel("learning rate of the top block, log scale")
    axes.set_ylabel("loss")
