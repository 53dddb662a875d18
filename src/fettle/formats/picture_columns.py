"""Picture columns: a table's column of paths, or of pictures' bytes, becomes cells of pictures."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from fettle.core.columns import numbers, strings
from fettle.core.errors import FettleError, InputError
from fettle.core.pictures import is_picture
from fettle.formats.looks import present
from fettle.formats.pictures import gather, is_picture_name, remarks
from fettle.formats.rows import Rows
from fettle.store.pictures import content_of

__all__ = ["names_of_classes", "path_column", "with_bytes", "with_cells", "with_paths"]

SAMPLE = 200
MOST = 0.95
"""Of the sampled cells, how many must end like a picture's name."""


def path_column(
    rows: Rows, base: Path, *, told: Sequence[str] = (), must_lie: bool = False
) -> str | None:
    """The column of paths to pictures that lie there; None where the table has none.

    Args:
        rows: of a table; cells are text.
        base: the folder that relative paths begin at.
        told: the inputs, where they were told: no other column is then taken for pictures.
        must_lie: whether a column of names of pictures that are not there is an error.

    Raises:
        InputError: none of the pictures lies there, though they should; or two columns hold
            pictures, and nobody said which to read.
    """
    found = []
    for name in rows.table.column_names:
        if told and name not in told:
            continue
        cells = present(rows.table.column(name)).slice(0, SAMPLE).to_pylist()
        named = sum(is_picture_name(cell.strip()) for cell in cells)
        if not cells or named < MOST * len(cells):
            continue
        if any(_exists(base, cell.strip()) for cell in cells):
            found.append(name)
        elif must_lie or name in told:
            raise InputError(
                f"{name!r} names pictures such as {cells[0]!r}, and none of them lies in {base}. "
                "Write the paths as seen from there, or move the table beside the pictures."
            )
    if len(found) > 1:
        raise InputError(
            f"{', '.join(map(repr, found))} all hold paths of pictures, and a row is read as one "
            "picture. Name the one to read with --inputs."
        )
    return found[0] if found else None


def with_paths(rows: Rows, column: str, base: Path, *, place: str, inside: bool) -> Rows:
    """The rows with pictures in place of their paths; those without a usable one are refused.

    Args:
        rows: of a table.
        column: of paths, relative to the base or absolute.
        base: the folder.
        place: the table, for messages.
        inside: whether a path may not lead out of the base: the table came in an archive.
    """
    cells = [(cell or "").strip() for cell in rows.table.column(column).to_pylist()]
    sources = [_found(base, cell, inside) for cell in cells]
    times = Counter(cells)
    ids = tuple(cell if cell and times[cell] == 1 else f"{cell or 'no path'} ({id_})"
                for cell, id_ in zip(cells, rows.ids, strict=True))
    return _with_cells(replace(rows, ids=ids), column, ids, sources, place)


def with_bytes(
    rows: Rows, column: str, content: Sequence[Any], *, place: str
) -> Rows:
    """The rows with pictures in place of what stood in this column.

    Args:
        rows: of a table; the cells of this column are replaced.
        column: its name.
        content: for each row bytes, or a mapping with "bytes" (and "path") as `datasets` writes it.
        place: the table, for messages.
    """
    plain = [one.get("bytes") if isinstance(one, dict) else one for one in content]
    paths = [one.get("path") if isinstance(one, dict) else None for one in content]
    ids = tuple(f"{id_} ({path})" if path else id_
                for id_, path in zip(rows.ids, paths, strict=True))
    return _with_cells(replace(rows, ids=ids), column, ids, plain, place)


def with_cells(rows: Rows, *, place: str) -> Rows:
    """The rows of a table in Python, with its column of pictures' cells seen as pictures.

    Cells are hashes of pictures that were read before, or the pictures' own bytes.
    """
    for name in rows.table.column_names:
        cells = rows.table.column(name).to_pylist()
        shown = [cell for cell in cells if cell][:SAMPLE]
        if shown and all(is_picture(cell) for cell in shown):
            return _with_cells(rows, name, rows.ids, [_content(cell) for cell in cells], place)
    return rows


def names_of_classes(table: pa.Table, column: str) -> Sequence[str] | None:
    """The names behind a column of class numbers, where `datasets` left them in the schema."""
    raw = (table.schema.metadata or {}).get(b"huggingface")
    try:
        known = json.loads(raw)["info"]["features"][column] if raw else {}
    except (ValueError, KeyError, TypeError):
        return None
    names = known.get("names") if isinstance(known, dict) else None
    return names if isinstance(names, list) else None


def _with_cells(
    rows: Rows, column: str, names: Sequence[str], sources: Sequence[Path | bytes | None],
    place: str,
) -> Rows:
    gathered = gather(names, sources)
    kept = [row for row, cell in enumerate(gathered.cells) if cell is not None]
    at = rows.table.column_names.index(column)
    table = rows.table.take(numbers(kept)).set_column(
        at, column, strings([gathered.cells[row] for row in kept])
    )
    return replace(
        rows, table=table, ids=tuple(rows.ids[row] for row in kept),
        parts=tuple(rows.parts[row] for row in kept) if rows.parts else (),
        refused=(*rows.refused, *gathered.refused),
        notes=(*rows.notes, *remarks(gathered.looks.values(), place=place)),
        pictures=column, looks=gathered.looks,
    )


def _content(cell: str | None) -> bytes | None:
    """The bytes of a picture; None where they are gone."""
    try:
        return content_of(cell) if cell else None
    except FettleError:
        return None


def _exists(base: Path, cell: str) -> bool:
    try:
        return (base / cell).is_file()
    except (OSError, ValueError):
        return False


def _found(base: Path, cell: str, inside: bool) -> Path | None:
    """The file that a cell names; None where there is none, or none that may be read."""
    if not cell or not _exists(base, cell):
        return None
    path = (base / cell).resolve()
    return None if inside and not path.is_relative_to(base.resolve()) else path


