"""JSON Lines: one object a line; numbers keep their digits, and null is a missing cell.

A nested object or list becomes compact JSON text; true and false become "true" and "false".
"""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.dataset import Refused
from fettle.core.errors import InputError
from fettle.formats.cells import is_text
from fettle.formats.opening import Source, text_lines
from fettle.formats.rows import Rows, column_names, rows_of_columns

__all__ = ["parse", "read_json_lines"]

_ROWS_AT_ONCE = 50_000
_MOST_COLUMNS = 10_000  # keys that differ from line to line would make a table of their square


class _Number(str):
    """The digits of a JSON number, as they are written."""

    __slots__ = ()


class _LineError(ValueError):
    """Why one line is no row."""


def read_json_lines(source: Source, encoding: str | None = None) -> Rows:
    """The rows of a JSON Lines file."""
    lines, notes = text_lines(source, encoding)
    rows = parse(lines, name=source.name)
    return Rows(rows.table, rows.ids, rows.refused, notes + rows.notes)


def parse(lines: Iterable[str], *, name: str) -> Rows:
    """The rows in any lines of JSON; columns stand in the order in which keys first appear.

    Args:
        lines: one JSON object each; blank ones are skipped.
        name: the file, for row ids and messages.

    Raises:
        InputError: no line, JSON spread over several lines, or a key that cannot be a column.
    """
    keys: dict[str, None] = {}
    records: list[dict[str, str | None]] = []
    chunks: list[dict[str, pa.Array]] = []
    sizes: list[int] = []
    starts: list[int] = []
    refused: list[Refused] = []
    opening = ""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        opening = opening or line.strip()
        try:
            record = _record(line)
        except _LineError as why:
            refused.append(Refused(f"{name}:{number}", str(why)))
            continue
        keys.update(dict.fromkeys(record))
        records.append(record)
        starts.append(number)
        if len(records) == _ROWS_AT_ONCE:
            chunks.append(_arrays(records, keys))
            sizes.append(len(records))
            records = []
    chunks.append(_arrays(records, keys))
    sizes.append(len(records))
    _require_objects(name, opening, keys, refused)

    names, notes = column_names(tuple(keys), place=name)
    columns = [_column(key, chunks, sizes) for key in keys]
    ids = tuple(f"{name}:{start}" for start in starts)
    return rows_of_columns(names, columns, place=name, ids=ids, refused=tuple(refused), notes=notes)


def _require_objects(
    name: str, opening: str, keys: dict[str, None], refused: list[Refused]
) -> None:
    if not opening:
        raise InputError(f"{name} is empty. Write one JSON object a line.")
    if not keys and opening[0] in "[{":
        raise InputError(
            f"{name} is JSON over several lines, or one list, not JSON Lines. "
            "Write one object with keys a line, such as jq -c '.[]' does."
        )
    if not keys:
        raise InputError(
            f"{name} holds no JSON object. {refused[0].place}: {refused[0].reason}. "
            "Write one JSON object a line."
        )
    if len(keys) > _MOST_COLUMNS:
        raise InputError(
            f"{name} has {len(keys):,} different keys, and {_MOST_COLUMNS:,} columns are the most. "
            "Keep data in the values, not in the keys."
        )


def _record(line: str) -> dict[str, str | None]:
    """One line as cells."""
    try:
        value = _DECODER.decode(line)
        if not isinstance(value, dict):
            raise _LineError(f"a JSON {_kind(value)} instead of an object")
        cells = {key: _cell(cell) for key, cell in value.items()}
    except json.JSONDecodeError as error:
        raise _LineError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise _LineError("nested too deeply") from error
    if "\\u" in line:
        _require_text("".join([*cells, *(cell for cell in cells.values() if cell)]))
    return cells


def _require_text(text: str) -> None:
    """Escapes can spell what no text holds."""
    if "\0" in text:
        raise _LineError(r"a NUL character (\u0000) in the text")
    if not is_text(text):
        raise _LineError("half a surrogate pair, which is no character")


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return str(value)
    return _compact(value)


def _compact(value: Any) -> str:
    """JSON text without blanks, numbers as they were written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        pairs = (f"{_compact(key)}:{_compact(cell)}" for key, cell in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_compact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _kind(value: Any) -> str:
    if isinstance(value, _Number):
        return "number"
    return {list: "list", str: "string", bool: "boolean"}.get(type(value), "null")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise _LineError(f"the key {twice!r} stands twice in one object")
    return value


def _constant(name: str) -> _Number | None:
    """NaN is how some writers spell a missing number; it is not JSON."""
    return None if name == "NaN" else _Number(name)


_DECODER = json.JSONDecoder(
    parse_int=_Number,
    parse_float=_Number,
    parse_constant=_constant,
    object_pairs_hook=_object,
)


def _arrays(records: list[dict[str, str | None]], keys: dict[str, None]) -> dict[str, pa.Array]:
    if len(keys) > _MOST_COLUMNS:
        return {}
    return {key: strings(record.get(key) for record in records) for key in keys}


def _column(key: str, chunks: list[dict[str, pa.Array]], sizes: list[int]) -> pa.ChunkedArray:
    pieces = [
        chunk[key] if key in chunk else pa.nulls(size, pa.string())
        for chunk, size in zip(chunks, sizes, strict=True)
    ]
    return pa.chunked_array(pieces, pa.string())
