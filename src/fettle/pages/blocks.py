"""Blocks: what a section is made of; plain values that page.html alone turns into HTML.

A section never writes a tag. Every string in a block is text and is escaped by the template;
only `Figure.svg` is markup, and only `fettle.pages.drawing` makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from fettle.core.audit import Audit
from fettle.core.dataset import Dataset
from fettle.core.evaluation import Contender, Evaluation
from fettle.core.pictures import Illustration
from fettle.core.plan import Plan
from fettle.core.run import Run, Spending
from fettle.core.score import Comparison, Score
from fettle.core.split import Split
from fettle.pages import words

__all__ = [
    "Block",
    "Box",
    "Cell",
    "Facts",
    "Figure",
    "Flow",
    "Fold",
    "Gallery",
    "Listing",
    "Notice",
    "Section",
    "Story",
    "Table",
    "Text",
    "Tile",
    "Tiles",
    "difference_cell",
    "number_cell",
    "score_cell",
]


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that a report tells, from rows to evaluation."""

    dataset: Dataset
    audit: Audit
    split: Split
    plan: Plan
    run: Run
    evaluation: Evaluation
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of Python, fettle and the libraries that it stands on."""
    spending: Spending | None = None
    """What the rungs were predicted to cost, and what they cost."""
    illustrations: Mapping[str, Illustration] = field(default_factory=dict)
    """Of rows that are pictures, by their ids."""
    model_bytes: int = 0
    """Of the kept model on the disk; 0 where that is not known."""

    @property
    def has_numbers(self) -> bool:
        """Whether numbers are answered, not classes."""
        return self.plan.unit is not None

    @property
    def has_several(self) -> bool:
        """Whether a row may have several labels, or none."""
        return self.plan.reading.label_separator is not None

    @property
    def answers(self) -> str:
        """What is answered, in a few words: 3 classes, any of 3 labels, or numbers."""
        if self.has_numbers:
            return "numbers"
        if self.has_several:
            return f"any of {words.count(len(self.plan.classes), 'label')}"
        return words.count(len(self.plan.classes), "class", "classes")

    @property
    def paired_by(self) -> str:
        """The score by which two models are compared row by row."""
        return "mae" if self.has_numbers else "row_f1" if self.has_several else "accuracy"

    @property
    def kept(self) -> Contender:
        """The contender that the version is made of."""
        return self.evaluation.contender(self.evaluation.kept)

    @property
    def before(self) -> Contender | None:
        """The pre-trained model as it came, where it was scored."""
        name = self.evaluation.before
        return None if name is None else self.evaluation.contender(name)

    @property
    def best_baseline(self) -> Contender | None:
        """The baseline with the highest score by the plan's metric."""
        baselines = [one for one in self.evaluation.contenders if one.kind == "baseline"]
        metric = self.evaluation.metric
        return max(baselines, key=lambda one: one.score(metric).value, default=None)


@dataclass(frozen=True, slots=True)
class Text:
    """One paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    tone: str = ""
    """lead, muted, or plain."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Sentences, one a line."""

    kind: ClassVar[str] = "listing"
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: a text, and smaller beneath it what the text needs to be believed."""

    text: str
    note: str = ""
    kind: str = "text"
    """text, number, or code."""
    tone: str = ""
    """good, bad, warn, muted, accent, or plain."""


@dataclass(frozen=True, slots=True)
class Table:
    """Lines under a head. A wide one scrolls inside its own box."""

    kind: ClassVar[str] = "table"
    label: str
    """What the table shows, for those who do not see it."""
    head: tuple[str, ...]
    lines: tuple[tuple[Cell, ...], ...]
    strong: int | None = None
    """The number of the line that stands out."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms and what they are."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """One number, large, with its interval and rows beneath."""

    label: str
    value: str
    note: str
    more: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """A row of large numbers."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """One fault that was found."""

    kind: ClassVar[str] = "notice"
    badge: str
    tone: str
    title: str
    text: str
    remedy: str = ""
    ids: tuple[str, ...] = ()
    """A few that stand open."""
    more: tuple[str, ...] = ()
    """The others, folded away."""
    unlisted: str = ""
    """What is said of those that are not listed here."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing and the sentence under it."""

    kind: ClassVar[str] = "figure"
    svg: str
    caption: str
    label: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Small pictures side by side, each with what is said of it."""

    kind: ClassVar[str] = "gallery"
    shown: tuple[tuple[Illustration, str, str], ...]
    """The picture, its row's id, and a sentence."""


@dataclass(frozen=True, slots=True)
class Box:
    """One station of a flow chart."""

    label: str
    value: str
    note: str = ""
    tone: str = ""
    """accent, good, bad, warn, muted, aside (what leaves the flow here), or plain."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow chart: lines of boxes from top to bottom; those of a line stand side by side."""

    kind: ClassVar[str] = "flow"
    label: str
    lines: tuple[tuple[Box, ...], ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that open on demand."""

    kind: ClassVar[str] = "fold"
    summary: str
    blocks: "tuple[Block, ...]"


Block = Text | Listing | Table | Facts | Tiles | Notice | Figure | Flow | Fold | Gallery


@dataclass(frozen=True, slots=True)
class Section:
    """One chapter of the report."""

    id: str
    title: str
    blocks: tuple[Block, ...]


def number_cell(text: str, note: str = "", tone: str = "") -> Cell:
    """A cell whose figures stand under each other."""
    return Cell(text, note, kind="number", tone=tone)


def score_cell(score: Score) -> Cell:
    """A score with its interval and rows."""
    return number_cell(words.valued(score), words.under(score))


def difference_cell(one: Comparison) -> Cell:
    """A paired difference with its interval and rows."""
    return number_cell(words.gained(one), words.under_gain(one))
