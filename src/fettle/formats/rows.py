"""Rows: what every reader makes of a file or a frame, before anyone says which column is what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from fettle.core.dataset import Refused
from fettle.core.errors import InputError
from fettle.core.pictures import Look
from fettle.formats.cells import is_text

__all__ = ["Rows", "column_names", "rows_of_columns"]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Every record of one file or frame: read, or refused with its place and the reason."""

    table: pa.Table
    """Every column is a string column; null is a missing cell."""
    ids: tuple[str, ...]
    """tickets.csv:1843, the line on which the record begins; tickets.parquet:17, the row."""
    refused: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()
    """How it was read where that is not plain: the encoding, the separator, the names."""
    parts: tuple[str, ...] = ()
    """One of core.dataset.PARTS a row where the source names them, else empty."""
    pictures: str = ""
    """The column whose cells are pictures (core.pictures); "" where there is none."""
    label_column: str = ""
    """The column that was made of columns of 0 and 1; "" where there is none."""
    looks: Mapping[str, Look] = field(default_factory=dict)
    """What was seen of each picture, by its cell."""

    def __post_init__(self) -> None:
        """Every row has its id."""
        assert len(self.ids) == self.table.num_rows, "a reader must give every row an id"
        assert len(self.parts) in (0, len(self.ids)), "a reader must give every row a part, or none"


def column_names(found: Sequence[str], *, place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the columns without blanks around them, and a note on each that had some.

    Args:
        found: as they stand in the file, from left to right; "" for a column without a name.
        place: the file, for the messages.

    Raises:
        InputError: two columns have one name; the message gives both positions, from 1.
    """
    names = tuple(name.strip() for name in found)
    first: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if name and name in first:
            raise InputError(
                f"Columns {first[name]} and {position} of {place} are both called {name!r}. "
                "Rename or remove one of them."
            )
        if not is_text(name):
            raise InputError(f"The name of column {position} of {place} is no text. Rename it.")
        first[name] = position
    notes = tuple(
        f"The column {old!r} of {place} is read as {new!r}, without the blanks around its name."
        for old, new in zip(found, names, strict=True)
        if new and old != new
    )
    return names, notes


def rows_of_columns(
    names: Sequence[str],
    columns: Sequence[pa.ChunkedArray],
    *,
    place: str,
    ids: tuple[str, ...],
    refused: tuple[Refused, ...] = (),
    notes: tuple[str, ...] = (),
) -> Rows:
    """Rows out of columns; a column without a name is left out if it is empty.

    Args:
        names: of the columns, from left to right, as `column_names` gives them.
        columns: string columns of equal length.
        place: the file, for the messages.
        ids: one per row.
        refused: the records that did not become rows.
        notes: what is to be told about the reading.

    Raises:
        InputError: a column holds something and has no name (the message gives its position), or
            no column has one.
    """
    kept: dict[str, pa.ChunkedArray] = {}
    told = list(notes)
    for position, (name, column) in enumerate(zip(names, columns, strict=True), 1):
        if name:
            kept[name] = column
        elif _is_empty(column):
            told.append(f"Column {position} of {place} has no name and no content; it is left out.")
        else:
            raise InputError(
                f"Column {position} of {place} has no name in the header. Give it one, or remove "
                "the column (pandas: write with index=False)."
            )
    if not kept:
        raise InputError(f"No column of {place} has a name. Name the columns in its first line.")
    return Rows(pa.table(kept), ids, refused, tuple(told))


def _is_empty(column: pa.ChunkedArray) -> bool:
    """No cell holds anything but blanks."""
    return not pc.any(pc.utf8_length(pc.utf8_trim_whitespace(column)).cast(pa.bool_())).as_py()
