"""CSV and TSV: records of text, one separator, one header; every cell stays as it is written.

A record with too many or too few cells is refused with its line, never shifted; a quote that
does not close ends the reading where it was opened.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.dataset import Refused
from fettle.core.errors import InputError
from fettle.formats.opening import Source, text_lines
from fettle.formats.rows import Rows, column_names, rows_of_columns

__all__ = ["parse", "read_csv", "read_tsv"]

_SEPARATORS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
_LARGEST_CELL = 2**31 - 1
_ROWS_AT_ONCE = 50_000  # the cells of this many rows are Python objects at a time


class _OpenQuoteError(InputError):
    """A quote that was opened and does not close."""


def read_csv(source: Source, encoding: str | None = None) -> Rows:
    """The rows of a CSV; the separator is the one of , ; tab | that the header shows."""
    return _read(source, encoding, preferred=",")


def read_tsv(source: Source, encoding: str | None = None) -> Rows:
    """The rows of a TSV; where quotes do not pair up, they are part of the text."""
    return _read(source, encoding, preferred="\t")


def parse(lines: Iterable[str], *, name: str, preferred: str = ",", quotes: bool = True) -> Rows:
    """The rows in any lines whose first record names the columns.

    Args:
        lines: with their ends, as a file opened with newline="" gives them.
        name: the file, for row ids and messages.
        preferred: the separator to take where the header shows no other.
        quotes: whether a cell may be quoted; if not, quotes are text.

    Raises:
        InputError: no header, a bad header, no record, or a quote that does not close.
    """
    before = csv.field_size_limit(_LARGEST_CELL)
    try:
        return _parse(iter(lines), name, preferred, quotes)
    finally:
        csv.field_size_limit(before)


def _read(source: Source, encoding: str | None, *, preferred: str) -> Rows:
    lines, notes = text_lines(source, encoding)
    try:
        rows = parse(lines, name=source.name, preferred=preferred)
        broken = None
    except _OpenQuoteError as error:
        rows, broken = None, error
    if preferred == "\t" and (rows is None or rows.refused):
        literal = _literal(source, encoding)
        rows = literal or rows
    if rows is None:
        assert broken is not None
        raise broken
    return Rows(rows.table, rows.ids, rows.refused, notes + rows.notes)


def _literal(source: Source, encoding: str | None) -> Rows | None:
    """The rows with quotes as text, if every record then has the right number of cells."""
    lines, _ = text_lines(source, encoding)
    rows = parse(lines, name=source.name, preferred="\t", quotes=False)
    if rows.refused:
        return None
    note = f"Quotes in {source.name} do not pair up; they are read as part of the text."
    return Rows(rows.table, rows.ids, (), (*rows.notes, note))


def _parse(lines: Iterator[str], name: str, preferred: str, quotes: bool) -> Rows:
    leading, separator = _separator(lines, name, preferred)
    records = _records(chain(leading, lines), name, separator, quotes)
    _, header = next(records, (0, None))
    if header is None:
        raise InputError(f"The header of {name} has a quote that does not close. Mend it.")
    names, notes = column_names(header, place=name)
    if separator != preferred:
        notes = (f"{_SEPARATORS.get(separator, separator)} separates the cells of {name}.", *notes)

    width = len(names)
    cells: list[list[str]] = []
    starts: list[int] = []
    chunks: list[list[pa.Array]] = []
    refused: list[Refused] = []
    for start, record in records:
        if record is not None and len(record) == width:
            cells.append(record)
            starts.append(start)
            if len(cells) == _ROWS_AT_ONCE:
                chunks.append(_arrays(cells, width))
                cells = []
        elif record is None or len(record) != 1 or record[0].strip():
            refused.append(Refused(f"{name}:{start}", _why_refused(record, width)))
    if not starts and not refused:
        raise InputError(f"{name} has a header and no rows. Add rows below the header.")
    chunks.append(_arrays(cells, width))

    columns = [pa.chunked_array([chunk[i] for chunk in chunks], pa.string()) for i in range(width)]
    ids = tuple(f"{name}:{start}" for start in starts)
    return rows_of_columns(names, columns, place=name, ids=ids, refused=tuple(refused), notes=notes)


def _separator(lines: Iterator[str], name: str, preferred: str) -> tuple[list[str], str]:
    """The lines up to the header, and the separator that splits the header into most cells."""
    leading: list[str] = []
    for line in lines:
        leading.append(line)
        if excel := re.fullmatch(r"sep=(.)\s*", line):  # Excel writes this line above the header
            leading[-1] = "\n"
            leading.append(next(lines, "\n"))
            return leading, excel[1]
        if line.strip():
            order = sorted(_SEPARATORS, key=lambda separator: separator != preferred)
            return leading, max(order, key=partial(_cells, line))
        leading[-1] = "\n"
    raise InputError(f"{name} is empty. Its first line must name the columns.")


def _cells(line: str, separator: str) -> int:
    """How many cells this separator makes of the header."""
    return len(next(csv.reader([line], delimiter=separator)))


def _records(
    lines: Iterable[str], name: str, separator: str, quotes: bool
) -> Iterator[tuple[int, list[str] | None]]:
    """(line on which it begins, cells) of each record; None for one with a misplaced quote."""
    plain = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    reader = csv.reader(lines, delimiter=separator, strict=True) if quotes else plain
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if reader.line_num > start or "end of data" in str(error):
                raise _open_quote(name, start, reader.line_num) from error
            yield start, None
            continue
        if cells:  # a blank line has none
            yield start, cells


def _open_quote(name: str, start: int, end: int) -> _OpenQuoteError:
    return _OpenQuoteError(
        f"{name}, line {start}: a quote is opened in this record and not closed as far as line "
        f"{end}. Close it, or double the quotes that belong to the text."
    )


def _why_refused(record: list[str] | None, width: int) -> str:
    if record is None:
        return "a quote closes in the middle of a cell; double the quotes that belong to the text"
    lines = 1 + sum(len(re.findall("\r\n|\r|\n", cell)) for cell in record)
    over = f", over {lines} lines: is a quote left open?" if lines > 1 else ""
    return f"{len(record)} cells instead of {width}{over}"


def _arrays(cells: list[list[str]], width: int) -> list[pa.Array]:
    columns = zip(*cells, strict=True) if cells else [()] * width
    return [strings(column) for column in columns]
