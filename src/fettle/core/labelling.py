"""Labelling: rows that are worth a label, what people said of them, and how far they agree."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Agreed", "Disputed", "Labelled", "Review", "Suggestion", "Suggestions", "Told"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One row that is worth a label."""

    id: str
    fields: Mapping[str, str]
    """What the model reads of it, by column."""
    why: str
    """random, uncertain or diverse."""
    predicted: str
    """The model's answer; empty for a random row, so that nobody is led by it."""
    confidence: float | None
    labels: tuple[str, ...] = ()
    """Where a row may have several labels: those that the model calls; `predicted` has them with
    the sign between them. Empty for a random row too."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Rows to label next."""

    version: str
    target: str
    classes: tuple[str, ...]
    rows: tuple[Suggestion, ...]
    aside: int
    """Rows left out as twins of another, or of a row that is labelled already."""
    between: str | None = None
    """Where a row may have several labels: what is to stand between them in one cell; else None."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one person said of one row; empty where nothing was."""

    id: str
    fields: Mapping[str, str]
    person: str
    label: str
    """Where a row may have several labels, a cell of core.labels; "[]" says that it has none."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A row with the label that all who saw it gave."""

    id: str
    fields: Mapping[str, str]
    label: str
    why: str
    people: int


@dataclass(frozen=True, slots=True)
class Disputed:
    """A row of which people said different things."""

    id: str
    said: Mapping[str, str]
    """By person."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """Two people on the rows that both labelled."""

    first: str
    second: str
    rows: int
    agreed: float
    """Share of rows."""
    kappa: float | None
    """Cohen's, with its 95% interval; None where both gave one label to every row."""
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Review:
    """What came back from labelling."""

    rows: tuple[Labelled, ...]
    disputed: tuple[Disputed, ...]
    agreements: tuple[Agreed, ...]
    unlabelled: int
    """Rows that nobody labelled."""
