"""The rungs: what each strategy reached on validation rows, at what cost, and which was kept."""

from typing import TYPE_CHECKING

from fettle.core.run import RungResult, Spread
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
from fettle.pages.drawing import ACCENT, INK, MUTED, PAPER, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["ladder"]

TRIALS = 60
"""Settings on the page at most for one rung; the run's journal holds every one."""

TICKS = (0.01, 0.1, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
"""Seconds at which a time axis in logarithms has its marks: those that people count by."""


def ladder(story: Story) -> Section:
    """The table, the reason, the drawing, and the settings that were tried."""
    rows = "validation rows" if story.split.validation else "out-of-fold predictions"
    metric = words.measure(story.plan.metric)
    table = Table(
        "Each rung with its validation score and cost",
        ("rung", f"{metric} on {rows}", "seconds", "peak memory", "chosen", "outcome"),
        tuple(_line(rung, story.run.kept) for rung in story.run.rungs),
        next((n for n, rung in enumerate(story.run.rungs) if rung.name == story.run.kept), None),
    )
    blocks: list[Block] = [table]
    if story.run.why:
        blocks.append(Text(words.clip(story.run.why, 600)))
    if len(story.run.rungs) > 1:
        blocks.append(_figure(story, metric))
    if story.run.spread is not None:
        blocks += _spread(story.run.spread, f"{metric} on {rows}")
    blocks += [_trials(rung) for rung in story.run.rungs if rung.trials]
    return Section("rungs", "The rungs of the ladder", tuple(blocks))


def _line(rung: RungResult, kept: str) -> tuple[Cell, ...]:
    is_kept = rung.name == kept
    return (
        Cell(words.contender(rung.name), " ".join(words.clip(note, 200) for note in rung.notes)),
        score_cell(rung.validation),
        number_cell(words.duration(rung.seconds)),
        number_cell(words.size(rung.peak_bytes)),
        Cell(words.settings(rung.chosen)),
        Cell("kept", tone="accent") if is_kept else Cell("not kept", tone="muted"),
    )


def _spread(spread: Spread, scored: str) -> list[Block]:
    """The kept rung with each seed, and what that says of one of them."""
    own = spread.repeats[0].seed
    table = Table(
        "The kept rung with each seed",
        ("seed", scored, "seconds", "outcome"),
        tuple(
            (
                Cell(str(one.seed), " ".join(words.clip(note, 200) for note in one.notes)),
                score_cell(one.validation),
                number_cell(words.duration(one.seconds)),
                Cell("the version", tone="accent") if one.seed == own
                else Cell("shows the spread", tone="muted"),
            )
            for one in spread.repeats
        ),
        0,
    )
    told = " ".join((spread.sentence, *spread.left_out))
    return [Text(words.clip(told, 900)), table]


def _figure(story: Story, metric: str) -> Figure:
    names = ", ".join(
        f"{words.contender(rung.name)} {words.scored(rung.validation)} in "
        f"{words.duration(rung.seconds)}"
        for rung in story.run.rungs
    )
    title = f"Validation {metric} against seconds of each rung: {names}."
    caption = (
        f"Validation {metric} with its 95% interval against the seconds that a rung took. "
        "Filled: the rung that was kept."
    )
    svg = draw("ladder", title, lambda canvas: _paint(canvas, story, metric), width=760, height=300)
    return Figure(svg, caption, "Rungs: score against seconds")


def _paint(canvas: "Canvas", story: Story, metric: str) -> None:
    axes = canvas.add_subplot()
    plain_axes(axes, grid="y")
    seconds = [max(rung.seconds, 0.001) for rung in story.run.rungs]
    if max(seconds) > 12 * min(seconds):
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks([at for at in TICKS if min(seconds) / 2 < at < max(seconds) * 2])
    axes.xaxis.set_major_formatter(lambda value, _: _seconds(value))
    for rung, at in zip(story.run.rungs, seconds, strict=True):
        is_kept = rung.name == story.run.kept
        color = ACCENT if is_kept else MUTED
        score = rung.validation
        axes.plot([at, at], [score.low, score.high], color=color, linewidth=2)
        axes.plot(
            [at], [score.value], "o", markersize=9, color=color, markeredgewidth=2,
            markerfacecolor=color if is_kept else PAPER,
        )
        axes.annotate(
            f"{words.contender(rung.name, 20)}  {words.valued(score)}",
            (at, score.value), xytext=(10, 0), textcoords="offset points", va="center",
            color=INK, fontweight="bold" if is_kept else "normal",
        )
    axes.margins(x=0.18, y=0.12)
    axes.set_ylabel(metric)
    axes.set_xlabel("time the rung took" + (", log scale" if axes.get_xscale() == "log" else ""))


def _seconds(value: float) -> str:
    """A tick of the time axis: 0.5 s, 10 s, 2 min."""
    if value < 120:
        return f"{value:g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def _trials(rung: RungResult) -> Fold:
    shown = rung.trials[:TRIALS]
    names = tuple(dict.fromkeys(name for trial in shown for name in trial))
    table = Table(
        f"Settings tried on the rung {words.contender(rung.name)}",
        tuple(words.clip(name, 24).replace("_", " ") for name in names),
        tuple(
            tuple(
                number_cell(words.setting(trial[name]))
                if name in trial else Cell(words.NONE)
                for name in names
            )
            for trial in shown
        ),
    )
    more = len(rung.trials) - len(shown)
    note = (
        "Trials choose a setting and are no evidence: they carry no interval, and the best of "
        "many flatters itself. What was chosen is judged above."
        + (f" {more:,} more are in the run folder." if more else "")
    )
    return Fold(
        f"{words.contender(rung.name)}: {words.count(len(rung.trials), 'setting')} tried",
        (table, Text(note, "muted")),
    )
