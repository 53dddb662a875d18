"""Parquet: typed columns as text; rows are numbered from 1."""

import gzip
import re
import zlib

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from fettle.core.errors import InputError
from fettle.formats.cells import text_column
from fettle.formats.opening import UNPACKED_BYTES, UNPACKED_TIMES, Source, packed_error
from fettle.formats.picture_columns import names_of_classes, with_bytes
from fettle.formats.rows import Rows, column_names, rows_of_columns

__all__ = ["read_parquet"]

BEGINNINGS = tuple(re.compile(one, re.DOTALL) for one in (
    rb"\xff\xd8\xff", rb"\x89PNG", rb"RIFF....WEBP", rb"BM....\0\0\0\0", rb"GIF8[79]a", rb"II\*\0",
    rb"MM\0\*",
))
"""Of the files that hold pictures; other bytes are no column of them."""
AT_ONCE = 1000
"""Rows that are unpacked before what they take is looked at."""


def read_parquet(source: Source, encoding: str | None = None) -> Rows:
    """The rows of a Parquet file, memory-mapped unless it is packed.

    Args:
        source: the file.
        encoding: not used: Parquet says what its text is.

    Raises:
        InputError: the file is damaged, empty, has two columns of one name, or grows far beyond
            its size.
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
    ids = tuple(f"{source.name}:{row}" for row in range(1, table.num_rows + 1))
    binary = [name for name, column in zip(names, table.columns, strict=True)
              if _holds_bytes(column)]
    if len(binary) > 1:
        raise InputError(
            f"{', '.join(map(repr, binary))} of {source.name} all hold bytes, and a row is read as "
            "one picture. Write a file with one of them."
        )
    columns = [
        pa.chunked_array([pa.nulls(table.num_rows, pa.string())]) if name in binary
        else _named(table, column, name, source.name)
        for name, column in zip(names, table.columns, strict=True)
    ]
    rows = rows_of_columns(names, columns, place=source.name, ids=ids, notes=notes)
    if not binary:
        return rows
    content = table.columns[names.index(binary[0])].to_pylist()
    return with_bytes(rows, binary[0], content, place=source.name)


def _holds_bytes(column: pa.ChunkedArray) -> bool:
    """Bytes, or what `datasets` writes for a picture: a struct of bytes and path."""
    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        return False
    first = next((one for one in column.slice(0, 50).to_pylist() if one is not None), None)
    content = first.get("bytes") if isinstance(first, dict) else first
    return content is not None and any(one.match(content) for one in BEGINNINGS)


def _named(table: pa.Table, column: pa.ChunkedArray, name: str, place: str) -> pa.ChunkedArray:
    """The column as text; numbers of classes as the names that `datasets` gave them."""
    names = names_of_classes(table, name)
    if names is not None and pa.types.is_integer(column.type):
        known = pa.array([str(one) for one in names], pa.string())
        inside = pc.and_(pc.greater_equal(column, 0), pc.less(column, len(names)))
        column = pa.chunked_array([known]).take(
            pc.if_else(inside, column, pa.scalar(None, column.type)))
    return text_column(column, name=name, place=place)


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
        size = source.path.stat().st_size
        with parquet.ParquetFile(source.path, memory_map=True) as file:
            return _unpacked(file, size, source.name)
    with source.open() as stream:
        content = stream.read()
    with parquet.ParquetFile(pa.BufferReader(content)) as file:
        return _unpacked(file, len(content), source.name)


def _unpacked(file: parquet.ParquetFile, size: int, name: str) -> pa.Table:
    """All rows, counted while they are unpacked: one value that is told to come a billion times
    takes a few bytes in the file."""
    most = max(UNPACKED_BYTES, UNPACKED_TIMES * size)
    told = file.metadata
    if sum(told.row_group(at).total_byte_size for at in range(told.num_row_groups)) > most:
        raise _too_large(name, size)
    batches, taken = [], 0
    for batch in file.iter_batches(batch_size=AT_ONCE):
        taken += sum(
            (one.dictionary_decode() if pa.types.is_dictionary(one.type) else one).nbytes
            for one in batch.columns
        )
        if taken > most:
            raise _too_large(name, size)
        batches.append(batch)
    return pa.Table.from_batches(batches, schema=file.schema_arrow)


def _too_large(name: str, size: int) -> InputError:
    return InputError(
        f"{name} has {size:,} bytes and would take more than {UNPACKED_TIMES} times as much, which "
        "no table of texts does. Write it anew without what repeats, or as CSV."
    )
