"""Cells: typed Arrow columns and Python values as text, the same text for the same value.

Whole numbers lose a ".0" (pandas puts one where a column of counts has a gap), true and false
become "True" and "False" as pandas writes them, NaN and None are missing, nested values become
compact JSON. Text is never touched.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fettle.core.columns import strings
from fettle.core.errors import InputError

__all__ = ["is_text", "text_cell", "text_column", "text_column_of_values"]

_EXACT = 2.0**53
"""Above this a float does not hold every whole number."""


def text_column(column: pa.ChunkedArray, *, name: str, place: str) -> pa.ChunkedArray:
    """A column of any type as a string column.

    Args:
        column: as Arrow holds it.
        name: of the column, for the messages.
        place: the file or frame, for the messages.

    Raises:
        InputError: it holds bytes or characters that are no text.
    """
    kind = column.type
    try:
        if pa.types.is_dictionary(kind):
            return text_column(column.cast(kind.value_type), name=name, place=place)
        if pa.types.is_boolean(kind):
            return pc.if_else(column, "True", "False").cast(pa.string())
        if pa.types.is_floating(kind):
            return _floats_as_text(column)
        return column.cast(pa.string())
    except pa.ArrowNotImplementedError:
        return text_column_of_values(column.to_pylist(), name=name, place=place)
    except pa.ArrowInvalid as error:
        raise InputError(f"Column {name!r} of {place} is no text: {error}.") from error


def text_column_of_values(values: Iterable[Any], *, name: str, place: str) -> pa.ChunkedArray:
    """Python values as a string column.

    Args:
        values: one per row, of any type.
        name: of the column, for the messages.
        place: the file or frame, for the messages.

    Raises:
        InputError: a value is no text, such as half a surrogate pair; the message names its row.
    """
    cells = [text_cell(value) for value in values]
    for row, cell in enumerate(cells, 1):
        if cell is not None and not is_text(cell):
            raise InputError(
                f"Row {row} of {place} holds half a surrogate pair in column {name!r}, which is "
                "no character. Remove it, or decode the text anew."
            )
    return pa.chunked_array([strings(cells)], pa.string())


def text_cell(value: Any) -> str | None:
    """One Python value as a cell; None for a missing one."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return text_cell(value.tolist())
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    text = str(value)
    return None if text in ("NaT", "<NA>") else text  # pandas' own missing values


def _floats_as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = column.cast(pa.float32()) if column.type == pa.float16() else column
    missing = pa.scalar(None, column.type)
    column = pc.if_else(pc.is_nan(column), missing, column)
    whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), _EXACT))
    digits = pc.if_else(whole, column, pa.scalar(0.0, column.type)).cast(pa.int64())
    return pc.if_else(whole, digits.cast(pa.string()), column.cast(pa.string()))


def is_text(cell: str) -> bool:
    """It can be written as UTF-8: no half of a surrogate pair."""
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
