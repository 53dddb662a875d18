"""Labelling: rows that are worth a label, what people said of them, and how far they agree."""

from collections.abc import Mapping
from dataclasses import dataclass

from fettle.core.dataset import Dataset

__all__ = [
    "NO_NEW_LABELS", "PERSON", "Agreed", "Disputed", "Labelled", "NewLabels", "Review",
    "Suggestion", "Suggestions", "Told", "alone", "in_one_cell", "people_of",
]

PERSON = "person"
"""The column that says who labelled a row: one, or several who agree."""
BETWEEN = ";"


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
    people: tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class NewLabels:
    """Reviewed rows that no version learned from, and what one source alone has of them."""

    rows: int = 0
    """That count."""
    loudest: str = ""
    """Who alone brought the most; empty where nobody is named."""
    given: int = 0
    """By them alone."""
    aside: int = 0
    """Of theirs that do not count, so that no one source brings more than half."""

    @property
    def sentence(self) -> str:
        """What there is to say of who brought them; empty where no one stands out."""
        if self.aside:
            return (
                f"{self.loudest} alone labelled {self.given:,} of {self.rows + self.aside:,} new "
                f"rows, and {self.aside:,} of them do not count: beside others, no one source may "
                "bring more than half."
            )
        if self.loudest and self.given == self.rows:
            return f"All {self.rows:,} new rows were labelled by {self.loudest} alone."
        return ""


NO_NEW_LABELS = NewLabels()


def in_one_cell(people: tuple[str, ...]) -> str:
    """Who labelled a row, as a cell of the column `person`."""
    return f"{BETWEEN} ".join(one.replace(BETWEEN, ",") for one in people)


def alone(cell: str | None) -> str:
    """Who alone labelled a row by its cell of the column `person`; "" of nobody or of several."""
    people = {one.strip() for one in (cell or "").split(BETWEEN)} - {""}
    return people.pop() if len(people) == 1 else ""


def people_of(rows: Dataset) -> list[str]:
    """Who alone labelled each row; nothing where no column says, or where the model reads it."""
    read = (*rows.schema.inputs, rows.schema.target)
    if PERSON in read or PERSON not in rows.table.column_names:
        return []
    return [alone(cell) for cell in rows.column(PERSON)]
