"""Parquet: typed columns as text; rows are numbered from 1."""

import gzip
import zlib

import pyarrow as pa
from pyarrow import parquet

from fettle.core.errors import InputError
from fettle.formats.cells import text_column
from fettle.formats.opening import Source, packed_error
from fettle.formats.rows import Rows, column_names, rows_of_columns

__all__ = ["read_parquet"]


def read_parquet(source: Source, encoding: str | None = None) -> Rows:
    """The rows of a Parquet file, memory-mapped unless it is packed.

    Args:
        source: the file.
        encoding: not used: Parquet says what its text is.

    Raises:
        InputError: the file is damaged, empty, or has two columns of one name.
    """
    try:
        table = _table(source)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise packed_error(source.name, error) from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{source.name} cannot be read as Parquet: {str(error).splitlines()[0]} "
            "Write it anew, or restore it from a copy."
        ) from error
    if not table.num_rows or not table.num_columns:
        raise InputError(f"{source.name} has no rows, or no columns. Check how it was written.")
    names, notes = column_names(table.column_names, place=source.name)
    for name, column in zip(names, table.columns, strict=True):
        _require_whole(column, name=name, place=source.name)
    columns = [
        text_column(column, name=name, place=source.name)
        for name, column in zip(names, table.columns, strict=True)
    ]
    ids = tuple(f"{source.name}:{row}" for row in range(1, table.num_rows + 1))
    return rows_of_columns(names, columns, place=source.name, ids=ids, notes=notes)


def _require_whole(column: pa.ChunkedArray, *, name: str, place: str) -> None:
    """Damage that the file's own structure does not show, such as text that is no UTF-8."""
    row = 0
    for chunk in column.chunks:
        try:
            chunk.validate(full=True)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{place}, column {name!r}, rows {row + 1} to {row + len(chunk)}: {error}. "
                "Write the file anew, or restore it from a copy."
            ) from error
        row += len(chunk)


def _table(source: Source) -> pa.Table:
    if source.path is not None:
        with parquet.ParquetFile(source.path, memory_map=True) as file:
            return file.read()
    with source.open() as stream:
        content = stream.read()
    with parquet.ParquetFile(pa.BufferReader(content)) as file:
        return file.read()
