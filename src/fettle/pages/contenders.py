"""Every contender on the test rows, and the paired comparison of the kept model with each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fettle.core.evaluation import Contender
from fettle.core.score import Score
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Figure,
    Section,
    Story,
    Table,
    Text,
    difference_cell,
    number_cell,
    score_cell,
)
from fettle.pages.drawing import ACCENT, BAD, INK, LINE, MUTED, draw, plain_axes, whiskers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = ["contenders"]

KINDS = {"before": "as it came", "baseline": "baseline", "rung": "rung"}
COLUMNS = ("accuracy", "micro_f1", "macro_f1", "subset_accuracy", "mae", "r2")
TONES = {"better": "good", "worse": "bad", "cannot tell": "warn"}
OF_NUMBERS = (
    "All were scored on the same test rows, so differences are paired, row by row. The gain is by "
    "how much the mean absolute error is smaller. Won: rows that the kept model is nearer to; "
    "lost: rows that the other is; p: Fisher's randomization of signs. Better or worse means that "
    "the 95% interval of the gain leaves out zero."
)
OF_SEVERAL = (
    "All were scored on the same test rows, so differences are paired, row by row, of the F1 of "
    "each row's labels. Won: rows on which the kept model's is higher; lost: rows on which the "
    "other's is; p: exact sign test. Better or worse means that the 95% interval of the difference "
    "leaves out zero."
)


def contenders(story: Story) -> Section:
    """The forest plot, then the table behind it."""
    ordered = [
        one for kind in KINDS for one in story.evaluation.contenders if one.kind == kind
    ]
    ordered += [one for one in story.evaluation.contenders if one.kind not in KINDS]
    kept = story.evaluation.kept
    names = [score.name for score in story.kept.scores if score.name in COLUMNS]
    table = Table(
        "Every contender on the test rows",
        (
            "contender", *(words.measure(name) for name in names),
            f"gain of the kept model, {_gained(story)}" if story.has_numbers else
            f"kept minus this, {_gained(story)}" if story.has_several else
            f"kept minus this, {words.measure(story.evaluation.metric)}", "the kept model is",
        ),
        tuple(_line(one, names, kept) for one in ordered),
        next((number for number, one in enumerate(ordered) if one.name == kept), None),
    )
    note = OF_NUMBERS if story.has_numbers else OF_SEVERAL if story.has_several else (
        "All were scored on the same test rows, so differences are paired, row by row. Won: rows "
        "that only the kept model gets right; lost: rows that only the other does; p: McNemar's "
        "exact test over these rows (where rows hang together, over the signs of whole groups). "
        "Better or worse means that the 95% interval of the "
        "difference leaves out zero."
    )
    blocks: tuple[Block, ...] = (table, *_from_scratch(ordered), Text(note, "muted"))
    if len(ordered) > 1:
        blocks = (_figure(story, ordered), *blocks)
    return Section("contenders", "Every contender on the test rows", blocks)


def _gained(story: Story) -> str:
    """By what score the kept model is compared with the others."""
    gains = (one.versus_kept for one in story.evaluation.contenders)
    return words.measure(next((one.metric for one in gains if one), story.evaluation.metric))


def _line(one: Contender, names: list[str], kept: str) -> tuple[Cell, ...]:
    kind = KINDS.get(one.kind, words.clip(one.kind))
    first = Cell(
        words.contender(one.name),
        " · ".join(part for part in (kind, words.clip(one.note, 200) if one.note else "") if part),
    )
    found: dict[str, Score] = {score.name: score for score in one.scores}
    scores = [
        score_cell(found[name]) if name in found else number_cell(words.NONE) for name in names
    ]
    versus = one.versus_kept
    if versus is None:
        word = "this one" if one.name == kept else words.NONE
        return (first, *scores, number_cell(words.NONE), Cell(word, tone="accent"))
    told = f"{versus.wins:,} won, {versus.losses:,} lost, {words.p_value(versus.p)}"
    return (
        first, *scores, difference_cell(versus),
        Cell(versus.verdict, told, tone=TONES[versus.verdict]),
    )


def _figure(story: Story, ordered: list[Contender]) -> Figure:
    metric = words.measure(story.evaluation.metric)
    told = "; ".join(
        f"{words.contender(one.name)} {words.scored(one.score(story.evaluation.metric))}"
        for one in ordered
    )
    title = f"Test {metric} of each contender with its 95% interval: {told}."
    caption = (
        f"Left: {metric} on {words.count(story.evaluation.rows, 'test row')} with 95% intervals. "
        f"Right: {_right(story)}, paired; filled where the interval leaves out zero."
    )
    svg = draw(
        "forest", title, lambda canvas: _paint(canvas, story, ordered),
        width=760, height=90 + 34 * len(ordered),
    )
    return Figure(svg, caption, "Every contender: scores and paired differences")


def _right(story: Story) -> str:
    if story.has_numbers:
        return f"by how much the {_gained(story)} of the kept model is smaller than of each other"
    if story.has_several:
        return f"the {_gained(story)} of the kept model minus that of each other one"
    return "the kept model minus each other one"


def _paint(canvas: "Canvas", story: Story, ordered: list[Contender]) -> None:
    left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(1.15, 1))
    metric = story.evaluation.metric
    for axes in (left, right):
        plain_axes(axes, grid="x")
        axes.spines["left"].set_visible(False)
    for place, one in enumerate(ordered):
        score = one.score(metric)
        color = ACCENT if one.name == story.evaluation.kept else MUTED
        whiskers(left, [(score.value, score.low, score.high)], [place], color=color)
        _difference(right, one, place)
    left.set_yticks(range(len(ordered)), [words.contender(one.name, 30) for one in ordered])
    left.tick_params(axis="y", labelcolor=INK, labelsize=12)
    left.set_ylim(len(ordered) - 0.5, -0.5)
    left.set_title(words.measure(metric))
    right.axvline(0, color=MUTED, linewidth=1)
    right.set_title(
        f"gain, {_gained(story)}" if story.has_numbers else
        f"kept minus this, {_gained(story)}" if story.has_several else "kept minus this")
    left.locator_params(axis="x", nbins=5)
    right.locator_params(axis="x", nbins=5)


def _difference(axes: "Axes", one: Contender, place: int) -> None:
    versus = one.versus_kept
    if versus is None:
        axes.plot([0], [place], "|", color=LINE, markersize=10)
        return
    color = {"better": ACCENT, "worse": BAD, "cannot tell": MUTED}[versus.verdict]
    line = (versus.difference, versus.low, versus.high)
    whiskers(axes, [line], [place], color=color, filled=versus.verdict != "cannot tell")


def _from_scratch(contenders: Sequence[Contender]) -> tuple[Text, ...]:
    """What the pre-trained weights were worth, where a rung began without them."""
    scratch = next((one for one in contenders if one.name == "scratch"), None)
    if scratch is None or scratch.versus_kept is None:
        return ()
    change = scratch.versus_kept
    told = {
        "better": "What the model knew before was worth",
        "worse": "What the model knew before did harm: it changed accuracy by",
        "cannot tell": "Whether what the model knew before helps cannot be told: the difference is",
    }[change.verdict]
    return (Text(
        f"{told} {words.marginal(change)} of accuracy on {words.count(change.rows, 'test row')}, "
        "against the same network trained on these rows from random weights (scratch)."
    ),)
