"""Learning curves: loss and score after each epoch of every rung that has epochs."""

from typing import TYPE_CHECKING

from fettle.core.run import Epoch, RungResult
from fettle.pages import words
from fettle.pages.blocks import Cell, Figure, Fold, Section, Story, Table, Text, number_cell
from fettle.pages.drawing import ACCENT, MUTED, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["learning"]


def learning(story: Story) -> Section | None:
    """One drawing and one table a rung; nothing where no rung learned in epochs."""
    climbed = [rung for rung in story.run.rungs if rung.history]
    if not climbed:
        return None
    blocks = tuple(
        block
        for number, rung in enumerate(climbed)
        for block in (_figure(rung, _metric(story, rung), number),
                      _table(rung, _metric(story, rung)))
    )
    note = Text(
        "Scores of single epochs choose where to stop and carry no interval here; the rung's "
        "score with its interval stands in the table of rungs.", "muted",
    )
    return Section("learning", "Learning curves", (*blocks, note))


def _metric(story: Story, rung: RungResult) -> str:
    """What its epochs were scored by: the plan's metric, or another that the rung stops by."""
    settings = next((one.settings for one in story.plan.rungs if one.strategy == rung.name), {})
    by = str(settings.get("stop_by", "metric"))
    return words.measure(story.plan.metric if by in ("metric", "loss") else by)


def _figure(rung: RungResult, metric: str, number: int) -> Figure:
    name = words.contender(rung.name)
    has_score = any(epoch.validation_score is not None for epoch in rung.history)
    title = (
        f"{name}: training loss from {rung.history[0].train_loss:.3f} to "
        f"{rung.history[-1].train_loss:.3f} over {words.count(len(rung.history), 'epoch')}."
    )
    caption = f"{name}: loss{f' and validation {metric}' if has_score else ''} after each epoch."
    if "epoch" in rung.chosen:
        caption += f" Dotted: epoch {words.setting(rung.chosen['epoch'])}, chosen."
    svg = draw(
        f"learning{number}", title, lambda canvas: _paint(canvas, rung, metric, has_score),
        width=760 if has_score else 400, height=240,
    )
    return Figure(svg, caption, f"Learning curve of {name}")


def _paint(canvas: "Canvas", rung: RungResult, metric: str, has_score: bool) -> None:
    panels = canvas.subplots(1, 2 if has_score else 1, squeeze=False)[0]
    _curve(panels[0], rung.history, "train_loss", MUTED, "training")
    _curve(panels[0], rung.history, "validation_loss", ACCENT, "validation")
    panels[0].set_title("loss")
    panels[0].legend(loc="best", labelcolor="linecolor", handlelength=1.2)
    if has_score:
        _curve(panels[1], rung.history, "validation_score", ACCENT, "validation")
        panels[1].set_title(f"validation {metric}")
    chosen = rung.chosen.get("epoch")
    for axes in panels:
        plain_axes(axes, grid="y")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.06, y=0.15)
        if isinstance(chosen, int | float) and not isinstance(chosen, bool):
            axes.axvline(chosen, color=MUTED, linestyle=(0, (1, 3)), linewidth=1.5)


def _curve(
    axes: "Axes", history: tuple[Epoch, ...], field: str, color: str, label: str
) -> None:
    points = [
        (epoch.number, value) for epoch in history if (value := getattr(epoch, field)) is not None
    ]
    if points:
        axes.plot(*zip(*points, strict=True), "o-", color=color, markersize=5, linewidth=2,
                  label=label)


def _table(rung: RungResult, metric: str) -> Fold:
    lines = tuple(
        (
            number_cell(str(epoch.number)),
            number_cell(words.number(epoch.train_loss)),
            _maybe(epoch.validation_loss),
            _maybe(epoch.validation_score),
            number_cell(words.duration(epoch.seconds)),
        )
        for epoch in rung.history
    )
    head = ("epoch", "training loss", "validation loss", f"validation {metric}", "seconds")
    name = words.contender(rung.name)
    chosen = rung.chosen.get("epoch")
    strong = next((n for n, epoch in enumerate(rung.history) if epoch.number == chosen), None)
    return Fold(f"{name}: the numbers", (Table(f"Epochs of {name}", head, lines, strong),))


def _maybe(value: float | None) -> Cell:
    return number_cell(words.NONE if value is None else words.number(value))
