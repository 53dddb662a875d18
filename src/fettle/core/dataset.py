"""The Dataset: rows as an Arrow table of text, what each column is for, and an id for every row.

Cells stay text; a missing cell is null, an empty one is "". Nothing here opens a file.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fettle.core.columns import numbers
from fettle.core.errors import ShapeError
from fettle.core.fixes import Fixes
from fettle.core.pictures import Look, by_hash

__all__ = ["PARTS", "Dataset", "Refused", "Schema", "row_key"]

PARTS = ("", "train", "validation", "test", "out")
"""Where a row was given: "" leaves it to the split; "out" is on no side, as a person decided."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Which column is what."""

    target: str | None
    """The column to predict; None for rows that carry no answers."""
    inputs: tuple[str, ...]
    """The columns the model reads, in the order in which they are joined."""
    unused: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    """How target and inputs were found, one sentence each; the report prints them."""
    group: str | None = None
    """The column whose equal cells keep rows on one side of the split."""
    time: str | None = None
    """The column that says when; the newest rows judge."""
    modality: str = "text"
    """What the inputs hold: text, or image (cells of core.pictures)."""
    task: str = "classification"
    """What the target is, told or found: the name of a task."""
    several: str | None = None
    """Where a row may have several labels, how the file has them: list, columns, or what stands
    between them; cells of the target are then those of core.labels. None: one answer a row."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that could not become a row, and why."""

    place: str
    """Such as tickets.csv:1843, the line on which the record begins."""
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows of text with a schema. Row numbers index this table, from 0."""

    name: str
    table: pa.Table
    """Every column is a string column; null is a missing cell."""
    schema: Schema
    ids: tuple[str, ...]
    """One per row, in the user's own terms: tickets.csv:1843."""
    parts: tuple[str, ...]
    """One of PARTS per row: the file it was given in."""
    refused: tuple[Refused, ...] = ()
    fixes: Fixes | None = None
    """The file of fixes that was applied; cells and parts are as they are after it."""
    dropped: tuple[Refused, ...] = ()
    """The rows that it took out, with the reasons given there."""
    looks: Mapping[str, Look] = field(default_factory=dict)
    """What was seen of each picture while it was read, by its cell."""

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.parts) == self.table.num_rows:
            raise ShapeError(
                f"{self.table.num_rows} rows, {len(self.ids)} ids and {len(self.parts)} parts: "
                "a Dataset needs one of each for every row."
            )

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.table.num_rows

    def column(self, name: str, rows: Sequence[int] | None = None) -> list[str | None]:
        """The cells of one column, of all rows or of those numbered."""
        cells = self.table.column(name)
        return (cells if rows is None else cells.take(numbers(rows))).to_pylist()

    def targets(self, rows: Sequence[int] | None = None) -> list[str | None]:
        """The answers as they stand in the file, untouched."""
        assert self.schema.target is not None, "this Dataset carries no answers"
        return self.column(self.schema.target, rows)

    def fields(self, rows: Sequence[int] | None = None) -> list[tuple[str, ...]]:
        """What the model reads of each row: one text an input column, "" where missing."""
        columns = [self.column(name, rows) for name in self.schema.inputs]
        return [tuple(cell or "" for cell in cells) for cells in zip(*columns, strict=True)]

    def fingerprint(self, rows: Sequence[int] | None = None) -> str:
        """A hash of what is read and what is asked of these rows, in their order."""
        digest = hashlib.sha256()
        names = list(self.schema.inputs)
        if self.schema.target is not None:
            names.append(self.schema.target)
        for name in names:
            digest.update(f"\x1d{name}\x1d".encode())
            for cell in self.column(name, rows):
                digest.update(b"\x1e\x00" if cell is None else b"\x1e" + cell.encode())
        return digest.hexdigest()


def row_key(fields: Sequence[str]) -> tuple[str, ...]:
    """What two rows share that say the same: blanks and capitals aside; of a picture its bytes,
    which a journal holds as themselves and a version by their hash."""
    return tuple(" ".join(by_hash(cell).split()).casefold() for cell in fields)
