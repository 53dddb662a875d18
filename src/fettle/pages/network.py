"""The network as its row of blocks: frozen and learning, rates and parameters."""

import math
from typing import TYPE_CHECKING

from fettle.core.evaluation import BlockUse
from fettle.pages import words
from fettle.pages.blocks import Cell, Figure, Fold, Section, Story, Table, Text, number_cell
from fettle.pages.drawing import ACCENT, INK, LINE, MUTED, draw, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["network"]

WIDE = 14
"""Up to so many blocks, each carries its numbers; more of them carry only the ends'."""


def network(story: Story) -> Section | None:
    """One rectangle a block, from input to head, then the table; nothing where none was looked at.
    """
    blocks = story.evaluation.blocks
    if not blocks:
        return None
    learned = sum(block.learned for block in blocks)
    whole = sum(block.parameters for block in blocks)
    text = (
        f"The kept network ({words.contender(story.run.kept)}) has {_amount(whole)} parameters in "
        f"{words.count(len(blocks), 'block')}; training could change {_amount(learned)} of them "
        f"({words.percent(learned / max(whole, 1))})."
    )
    return Section("network", "The network, block by block", (
        Text(text), _figure(blocks), Fold("The numbers of each block", (_table(blocks),)),
    ))


def _figure(blocks: tuple[BlockUse, ...]) -> Figure:
    told = "; ".join(f"{block.name} {_state(block)}" for block in blocks)
    caption = (
        "From input to head. Height: parameters, log scale. Filled: learning, the stronger the "
        "higher its rate; outlined: frozen. Under each block its parameters and, where it learns, "
        "its rate in the first epoch."
    )
    width = 760
    svg = draw("network", f"The network as a row of blocks: {told}.",
               lambda canvas: _paint(canvas, blocks), width=width, height=250)
    return Figure(svg, caption, "The network as a row of blocks")


def _paint(canvas: "Canvas", blocks: tuple[BlockUse, ...]) -> None:
    axes = canvas.add_subplot()
    plain_axes(axes)
    for spine in axes.spines.values():
        spine.set_visible(False)
    rates = [block.first_rate for block in blocks if block.first_rate > 0]
    top = max(math.log10(max(block.parameters, 10)) for block in blocks)
    for at, block in enumerate(blocks):
        height = math.log10(max(block.parameters, 10)) / top
        strength = _strength(block.first_rate, rates)
        axes.bar(at, height, width=0.78, color=ACCENT, alpha=strength, linewidth=0)
        axes.bar(at, height, width=0.78, facecolor="none", linewidth=1.5,
                 edgecolor=ACCENT if block.first_rate > 0 else LINE)
        if at + 1 < len(blocks):
            axes.annotate("", (at + 0.6, 0.08), (at + 0.4, 0.08),
                          arrowprops={"arrowstyle": "-|>", "color": MUTED, "lw": 1})
    shown = _numbered(len(blocks))
    size = 11 if len(blocks) <= 10 else 9.5
    axes.set_xticks(shown, [_label(blocks[at]) for at in shown], fontsize=size)
    axes.tick_params(axis="x", labelcolor=INK)
    axes.set_yticks([])
    axes.set_ylim(0, 1.05)
    axes.set_xlim(-0.6, len(blocks) - 0.4)


def _numbered(blocks: int) -> list[int]:
    """The blocks that carry numbers, so far apart that these do not touch; the last one does."""
    every, last = 1 + (blocks - 1) // WIDE, blocks - 1
    return [*(at for at in range(0, last, every) if last - at >= every), last]


def _strength(rate: float, rates: list[float]) -> float:
    """How strongly a block is filled: not at all where frozen, by the logarithm of its rate."""
    if rate <= 0:
        return 0.0
    low, high = math.log(min(rates)), math.log(max(rates))
    return 0.25 + 0.5 * ((math.log(rate) - low) / (high - low) if high > low else 1.0)


def _label(block: BlockUse) -> str:
    name = block.name.removeprefix("block ")
    rate = f"{block.first_rate:.2g}".replace("e-0", "e-") if block.first_rate > 0 else "frozen"
    return f"{name}\n{_amount(block.parameters)}\n{rate}"


def _state(block: BlockUse) -> str:
    return f"learns at {block.first_rate:.2g}" if block.first_rate > 0 else "is frozen"


def _table(blocks: tuple[BlockUse, ...]) -> Table:
    return Table(
        "Parameters, rates and change of each block",
        ("block", "parameters", "could learn", "rate, first epoch", "rate, last epoch",
         "weights moved by"),
        tuple(
            (
                Cell(block.name), number_cell(words.count(block.parameters)),
                number_cell(words.count(block.learned)), _rate(block.first_rate),
                _rate(block.last_rate),
                number_cell("new" if block.moved is None else words.percent(block.moved)),
            )
            for block in blocks
        ),
    )


def _rate(rate: float) -> Cell:
    return number_cell(f"{rate:.2g}") if rate > 0 else number_cell("frozen", tone="muted")


def _amount(number: int) -> str:
    """3.9 k, 1.77 M, 7.2 G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}".replace(" ", words.FIXED)
    return str(number)
