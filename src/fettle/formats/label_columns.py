"""Several labels a row, as files have them: in one cell, with something between them or as a JSON
list, or in columns of 0 and 1. All of them become one column of core.labels.

What stands between labels is told, or found by what it leaves: parts that come back in other
company. "Sports, Outdoors" beside "Home, Garden" is two labels with commas in them.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace

import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.dataset import Schema
from fettle.core.errors import InputError, SettingError, unknown_name
from fettle.core.labels import packed, unpacked
from fettle.formats.rows import Rows

__all__ = [
    "COLUMNS", "LIST", "SEPARATORS", "composed", "found_in", "joined", "listed", "marked", "parted",
    "said", "separator_of", "with_labels",
]

LIST, COLUMNS = "list", "columns"
"""In place of a separator: cells are JSON lists; a column a label."""
SEPARATORS = ("|", ";", ",")
"""That are looked for, in this order."""
YES = frozenset(("1", "1.0", "true", "yes", "y", "x"))
NO = frozenset(("0", "0.0", "false", "no", "n"))
_FEWEST = 2
_SHARE = 0.02
"""Of the cells hold several labels, at least."""
_AGAIN = 0.8
"""Of the parts of those cells, that also stand in other company or alone."""
_WORDS = 4
"""Longer parts, on average, are sentences."""
_NAMED = 3


def _named_in(target: str | None, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a target such as "a,b,c" names; none where it is the name of one."""
    if target is None or target in columns or "," not in target:
        return ()
    return tuple(name.strip() for name in target.split(",") if name.strip())


def composed(rows: Rows, target: str | None, *, place: str) -> Rows:
    """The rows with one column of labels, named as the target, in place of those of 0 and 1.

    A label is called as its column. A row with an empty cell in one of them has no answer.

    Args:
        rows: as they were read.
        target: names of columns with commas between them; with any other, the rows stay as they
            are.
        place: the file or table, for messages.

    Raises:
        UnknownName: there is no such column.
        InputError: a column is named twice, or a cell is neither 1 nor 0.
    """
    table = rows.table
    names = _named_in(target, table.column_names)
    if target is None or not names:
        return rows
    for name in names:
        if name not in table.column_names:
            raise unknown_name("column", name, table.column_names, place=place)
    if len(set(names)) < len(names):
        raise InputError(f"--target names a column twice: {target}. Name each once.")
    marks = [_marks(table.column(name), name, rows.ids) for name in names]
    cells = [
        None if None in row else packed(name for name, yes in zip(names, row, strict=True) if yes)
        for row in zip(*marks, strict=True)
    ]
    empty = sum(cell is None for cell in cells)
    notes = [f"Target: columns {', '.join(map(repr, names))} of {place}, as told: 1 is a label of "
             "that name, 0 is none."]
    if empty:
        notes.append(f"{_rows(empty)} of {place} with an empty cell in one of them: no answer is "
                     "read there.")
    notes += _bare(cells, place)
    table = table.drop_columns(list(names)).append_column(target, strings(cells))
    return replace(rows, table=table, notes=(*rows.notes, *notes), label_column=target)


def separator_of(rows: Rows, told: str | None) -> str | None:
    """What stands between the labels of these rows, as far as it is told.

    Args:
        rows: of the data, as `composed` left them.
        told: with --label-separator, or by a plan.

    Raises:
        SettingError: both columns of 0 and 1 and a separator are told, or neither fits.
    """
    if rows.label_column and told not in (None, COLUMNS):
        raise SettingError(
            f"--target {rows.label_column} names columns of 0 and 1, and --label-separator what "
            "stands between the labels of one cell. Give one of the two."
        )
    if told == COLUMNS and not rows.label_column:
        raise SettingError("Columns of 0 and 1 are named with --target a,b,c.")
    return COLUMNS if rows.label_column else told


def listed(rows: Rows, schema: Schema, *, place: str) -> Rows:
    """The rows with lists of labels in the target, where the schema has several a row."""
    if schema.several in (None, COLUMNS):
        return rows
    return _labelled(rows, str(schema.target), str(schema.several), place=place)


def with_labels(rows: Rows, schema: Schema, *, place: str) -> Rows:
    """The same for rows of which nobody knows whether they carry answers: those that do not stay.

    Raises:
        UnknownName: some of the columns of 0 and 1 are there, and one is not.
        InputError: a cell holds no labels.
    """
    there = rows.table.column_names
    if schema.target in there:
        return listed(rows, schema, place=place)
    if schema.several == COLUMNS and set(_named_in(schema.target, there)) & set(there):
        return composed(rows, schema.target, place=place)
    return rows


def said(
    cells: Sequence[str | None], ids: Sequence[str], *, column: str, known: Collection[str],
    usual: str | None = None, told: str | None = None,
) -> list[str | None]:
    """What people said of rows, each a list of labels: cells as they filled them in.

    Other than in rows to learn from, an empty cell says nothing, for nobody has filled it in; []
    says that there is no label. A JSON list is one in any row. In the others labels stand with what
    is told between them; else with whatever leaves the most labels that are known, of equals the
    usual.

    Args:
        cells: as they stand in the file.
        ids: of the rows, for messages.
        column: that they stand in.
        known: labels that there are.
        usual: what the file of the model's own rows has between labels; None or list or columns
            where it has something else.
        told: by a person; list where each cell must be one.

    Raises:
        InputError: a cell is to be a list and is none; or no cell holds what is told.
    """
    filled = [cell for cell in cells if cell and cell.strip() and _plain_list(cell) is None]
    if told not in (None, LIST) and filled and not any(str(told) in cell for cell in cells if cell):
        raise InputError(
            f"No cell of column {column!r} holds {told!r}, which --label-separator names. Name "
            "what stands between labels there, or leave it away."
        )
    between = told
    if told is None:
        able = [one for one in (usual, *SEPARATORS) if one not in (None, LIST, COLUMNS)]
        between = max(able, key=lambda one: sum(  # the first of equals
            part in known for cell in filled for part in _parts(cell, str(one))))
    if told == LIST:
        return [_from_list(cell, column, id) for cell, id in zip(cells, ids, strict=True)]
    return [parted(cell, str(between)) for cell in cells]


def parted(cell: str | None, between: str) -> str | None:
    """The labels of a cell that a person filled in, as a list: with this between them, or as a JSON
    list, such as [] for none; nothing where the cell is empty."""
    if cell is None or not cell.strip():
        return None
    found = _plain_list(cell)
    labels = _parts(cell, between) if found is None else [one.strip() for one in found]
    return packed(label for label in labels if label)


def marked(
    table: pa.Table, labels: Sequence[str], ids: Sequence[str], *, place: str
) -> list[str | None] | None:
    """The labels of rows that have a column of 0 and 1 for each; None where no column is called so.

    A row in which one of them is empty says nothing.

    Args:
        table: string columns.
        labels: that there are.
        ids: of the rows, for messages.
        place: the file, for messages.

    Raises:
        InputError: some of the labels have a column and one has none, or a cell is neither.
    """
    there = [label for label in labels if label in table.column_names]
    if not there:
        return None
    for label in labels:
        if label not in there:
            raise InputError(
                f"{place} has columns for {len(there)} of the {len(labels)} labels, and none "
                f"called {label!r}. Give each label a column of 0 and 1, or all of them one column "
                "'label'."
            )
    marks = [_marks(table.column(label), label, ids) for label in labels]
    return [
        None if None in row else packed(
            label for label, yes in zip(labels, row, strict=True) if yes)
        for row in zip(*marks, strict=True)
    ]


def joined(table: pa.Table, target: str, how: str) -> pa.Table:
    """The table with its lists of labels in the form that a file had: what `listed`, or `composed`,
    makes lists of again.

    Args:
        table: whose target holds cells of core.labels; null where there is no answer.
        target: the column; of columns of 0 and 1 their names with commas.
        how: list, columns, or what stands between labels.
    """
    cells = table.column(target).to_pylist()
    if how == LIST:
        return table
    at = table.column_names.index(target)
    if how != COLUMNS:
        return table.set_column(at, target, strings([
            None if cell is None else how.join(unpacked(cell)) for cell in cells]))
    table = table.drop_columns([target])
    for name in (part.strip() for part in target.split(",")):
        table = table.append_column(name, strings([
            None if cell is None else str(int(name in unpacked(cell))) for cell in cells]))
    return table


def _labelled(rows: Rows, target: str, how: str, *, place: str) -> Rows:
    """The rows with the target's cells as lists of labels.

    Blanks around labels go, and empty parts. An empty cell is a row without a label; a missing
    one (null in JSON and Parquet) is a row without an answer. Of JSON lists, "" is missing too. A
    cell that is a JSON list is one beside any sign too: `fettle label read` writes such.
    """
    table = rows.table
    cells = table.column(target).to_pylist()
    lists: list[str | None] = []
    for cell, id in zip(cells, rows.ids, strict=True):
        if how == LIST:
            lists.append(_from_list(cell, target, id))
        else:
            is_list = cell is not None and _plain_list(cell) is not None
            lists.append(None if cell is None else _from_list(cell, target, id) if is_list
                         else packed(_parts(cell, how)))
    at = table.column_names.index(target)
    changed = table.set_column(at, target, strings(lists))
    return replace(rows, table=changed, notes=(*rows.notes, *_bare(lists, place)))


def found_in(cells: Sequence[str | None]) -> tuple[str, str] | None:
    """What stands between the labels of these cells, and how that shows; None where one does.

    Args:
        cells: of rows that may be learned from.
    """
    filled = [cell.strip() for cell in cells if cell and cell.strip()]
    if not filled:
        return None
    if all(cell.startswith("[") and _plain_list(cell) is not None for cell in filled):
        return LIST, "each cell is a JSON list"
    for separator in SEPARATORS:
        sets = {frozenset(_parts(cell, separator)) for cell in filled}
        held = sum(separator in cell for cell in filled)
        mixed = [one for one in sets if len(one) > 1]
        if held < max(_FEWEST, _SHARE * len(filled)) or len(mixed) < _FEWEST:
            continue
        parts = {part for one in mixed for part in one}
        again = sum(sum(part in one for one in sets) > 1 for part in parts)
        words = sum(len(part.split()) for part in parts) / len(parts)
        if again >= _AGAIN * len(parts) and words <= _WORDS:
            return separator, (
                f"{held:,} of {len(filled):,} cells hold {separator!r}, and {again:,} of the "
                f"{len(parts):,} labels between them also stand alone or beside others"
            )
    return None


def _marks(column: pa.ChunkedArray, name: str, ids: Sequence[str]) -> list[bool | None]:
    """Yes, no, or nothing, row by row."""
    found: list[bool | None] = []
    for cell, id in zip(column.to_pylist(), ids, strict=True):
        plain = (cell or "").strip().casefold()
        if plain and plain not in YES and plain not in NO:
            raise InputError(
                f"{id}, column {name!r}: {cell[:60]!r} is neither 1 nor 0. Columns of several "
                "labels hold 1 (true, yes) where a row has the label and 0 (false, no) where not."
            )
        found.append(plain in YES if plain else None)
    return found


def _parts(cell: str, separator: str) -> list[str]:
    return [part for part in (piece.strip() for piece in cell.split(separator)) if part]


def _from_list(cell: str | None, target: str, id: str) -> str | None:
    if cell is None or not cell.strip():
        return None
    labels = _plain_list(cell)
    if labels is None:
        raise InputError(
            f"{id}, column {target!r}: {cell[:60]!r} is no JSON list of labels, such as "
            '["billing","late"], as the other rows have. Write it so, or name what stands between '
            "labels with --label-separator."
        )
    return packed(part for part in (label.strip() for label in labels) if part)


def _plain_list(cell: str) -> list[str] | None:
    """The texts of a JSON list; numbers as they are written. None where it is none."""
    try:
        found = json.loads(cell, parse_int=str, parse_float=str, parse_constant=str)
    except (json.JSONDecodeError, RecursionError):
        return None
    is_plain = isinstance(found, list) and all(isinstance(one, str) for one in found)
    return found if is_plain else None


def _bare(cells: Sequence[str | None], place: str) -> list[str]:
    bare = sum(cell == "[]" for cell in cells)
    return [f"{_rows(bare)} of {place} without a label: a valid answer."] if bare else []


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"
