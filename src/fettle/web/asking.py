"""Asking: the body of a request in, the rows that it asks about out; or what is wrong with it.

Two forms are read: fettle's own (`{"rows": [...]}`) and the Open Inference Protocol's, version 2.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fettle.core.errors import FettleError, InputError, unknown_name

__all__ = [
    "OUTPUTS", "OUTPUTS_OF_NUMBERS", "Malformed", "Question", "infer_question", "parsed",
    "question",
]

OUTPUTS = ("label", "confidence", "probabilities", "prediction_id", "stream")
"""Of the Open Inference Protocol, in the order in which they are given."""
OUTPUTS_OF_NUMBERS = ("value", "interval", "prediction_id", "stream")
"""The same of a model that answers numbers."""


class Malformed(FettleError):
    """The body is no JSON object."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks."""

    fields: tuple[tuple[str, ...], ...]
    """One text an input column, row by row."""
    warnings: tuple[str, ...] = ()
    id: str | None = None
    outputs: tuple[str, ...] = OUTPUTS


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        Malformed: it is no JSON, not UTF-8, too deep, or no object.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is no UTF-8: {error.reason} at byte {error.start}.") from error
    except RecursionError as error:
        raise Malformed("The body's JSON is nested too deeply.") from error
    except ValueError as error:
        raise Malformed(f"The body is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Malformed('The body is no JSON object; such as {"rows": [...]} is what it takes.')
    return value


def question(body: Mapping[str, Any], columns: Sequence[str], *, most_rows: int) -> Question:
    """The rows of fettle's own form.

    Args:
        body: `rows`: a list of objects, one text a column; or of texts where one column is read.
        columns: that the model reads.
        most_rows: of one request.

    Raises:
        UnknownName: a key, or a column that is not there.
        InputError: what a row holds is no text, or there are no rows, or too many.
    """
    for key in body:
        if key != "rows":
            raise unknown_name("key", key[:80], ["rows"], place="the body")
    rows = body.get("rows")
    if not isinstance(rows, list):
        raise InputError(f"The body has no list of rows; {_example(columns)} is what it takes.")
    _require_number(len(rows), most_rows)
    unused: dict[str, None] = {}
    fields = tuple(_fields(row, number, columns, unused) for number, row in enumerate(rows, 1))
    warnings = _empty(fields)
    if unused:
        warnings += (f"Not read: {', '.join(unused)}. The model reads {', '.join(columns)}.",)
    return Question(fields, warnings)


def infer_question(
    body: Mapping[str, Any], columns: Sequence[str], *, most_rows: int,
    known: tuple[str, ...] = OUTPUTS,
) -> Question:
    """The rows of an inference request of the Open Inference Protocol.

    Args:
        body: `inputs`: one BYTES tensor of shape [rows] or [rows, 1] for each column; `id` and
            `outputs` where wanted.
        columns: that the model reads.
        most_rows: of one request.
        known: outputs that the model has.

    Raises:
        UnknownName: a tensor or an output that the model does not have.
        InputError: a tensor of another type or shape.
    """
    given = body.get("inputs")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise InputError("The body has no list `inputs` of tensors.")
    tensors: dict[str, list[str]] = {}
    for tensor in given:
        name = tensor.get("name")
        if name not in columns:
            raise unknown_name("input", str(name)[:80], columns)
        if name in tensors:
            raise InputError(f"The input {name!r} is given twice.")
        tensors[name] = _tensor(tensor, name)
    for name in columns:
        if name not in tensors:
            raise unknown_name("input", name, tensors or {"(none)"}, place="the request")
    lengths = {name: len(cells) for name, cells in tensors.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {rows}" for name, rows in lengths.items())
        raise InputError(f"All inputs must have the same number of rows: {told}.")
    _require_number(next(iter(lengths.values())), most_rows)
    wanted = body.get("outputs", [])
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise InputError("`outputs` is no list of objects, each with a name.")
    names = tuple(str(one.get("name"))[:80] for one in wanted)
    for name in names:
        if name not in known:
            raise unknown_name("output", name, known)
    id = body.get("id")
    if id is not None and not isinstance(id, str):
        raise InputError(f"The id is {id!r}; a text is what it takes.")
    fields = tuple(zip(*(tensors[name] for name in columns), strict=True))
    return Question(fields, _empty(fields), id, names or known)


def _fields(
    row: object, number: int, columns: Sequence[str], unused: dict[str, None]
) -> tuple[str, ...]:
    """One row's texts in the order of the columns; a null is a missing cell."""
    if isinstance(row, str) and len(columns) == 1:
        return (_text(row, number, columns[0]),)
    if not isinstance(row, dict):
        raise InputError(
            f"Row {number} is {_short(row)}; the model reads {len(columns)} "
            f"text{'s' if len(columns) > 1 else ''} a row: {', '.join(columns)}."
        )
    for name in columns:
        if name not in row:
            some = [key[:80] for key in list(row)[:50]] or ["(none)"]
            raise unknown_name("column", name, some, place=f"row {number}")
    unused.update(dict.fromkeys(name[:80] for name in row if name not in columns))
    return tuple("" if row[name] is None else _text(row[name], number, name) for name in columns)


def _text(cell: object, number: int, column: str) -> str:
    if not isinstance(cell, str):
        raise InputError(f"Row {number}, column {column!r}: {_short(cell)} is no text.")
    try:
        cell.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"Row {number}, column {column!r}: character {error.start + 1} is half of a pair."
        ) from error
    return cell


def _tensor(tensor: Mapping[str, Any], name: str) -> list[str]:
    """The texts of one BYTES tensor."""
    if (kind := tensor.get("datatype")) != "BYTES":
        raise InputError(f"The input {name!r} is of type {_short(kind)}; BYTES is what it takes.")
    shape, cells = tensor.get("shape"), tensor.get("data")
    if not isinstance(cells, list):
        raise InputError(f"The input {name!r} has no list `data`.")
    if cells and all(isinstance(cell, list) and len(cell) == 1 for cell in cells):
        cells = [cell[0] for cell in cells]
    sizes = shape if isinstance(shape, list) else []
    good = bool(sizes) and all(type(size) is int for size in sizes) and sizes[1:] in ([], [1])
    if not good or sizes[0] != len(cells):
        raise InputError(
            f"The input {name!r} has the shape {_short(shape)} and {len(cells)} texts; "
            "[rows] or [rows, 1] is what it takes."
        )
    return [_text(cell, number, name) for number, cell in enumerate(cells, 1)]


def _require_number(rows: int, most_rows: int) -> None:
    if not rows:
        raise InputError("There are no rows to answer.")
    if rows > most_rows:
        raise InputError(
            f"{rows:,} rows are asked at once, and {most_rows:,} may be. Ask in several requests; "
            "`fettle predict --input FILE` answers a whole file."
        )


def _empty(fields: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(
        f"Row {number} has nothing to read: its answer says nothing."
        for number, cells in enumerate(fields, 1) if not "".join(cells).strip()
    )


def _example(columns: Sequence[str]) -> str:
    return json.dumps({"rows": [dict.fromkeys(columns, "...")]}, ensure_ascii=False)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different."""
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:80]!r} stands twice in one object")
            seen.add(key)
    return made
