"""Places: a path in, its rows out, whether it is a table, a folder or a zip of pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from fettle.core.columns import strings
from fettle.formats.files import rows_of_file
from fettle.formats.folders import PICTURE, holds_pictures, rows_of_folder, table_in, top_of
from fettle.formats.opening import Source
from fettle.formats.picture_columns import path_column, with_paths
from fettle.formats.pictures import gather, is_picture_name, remarks
from fettle.formats.rows import Rows

__all__ = ["rows_of_pictures", "rows_of_place"]


def rows_of_place(
    path: Path,
    *,
    formats: Mapping[str, Callable[[Source, str | None], Rows]],
    encoding: str | None = None,
    name: str = "",
    told: Sequence[str] = (),
    labelled: bool = True,
) -> Rows:
    """The rows of a file, a folder or a zip.

    Args:
        path: of a table (see `rows_of_file`), of class folders with pictures, of a folder or zip
            with a table that names pictures, or of one picture.
        formats: the readers of tables, by the endings of names.
        encoding: of a text file; None to see for itself.
        name: how messages call it; its own name if empty.
        told: the inputs, where they were told.
        labelled: whether rows are to be learned from; else pictures need no class folders.

    Raises:
        UnknownName: there is no such encoding.
        InputError: nothing there can be read as rows; the message says why.
    """
    name = name or path.name
    is_zip = path.is_file() and path.name.lower().endswith(".zip")
    if is_zip or (path.is_dir() and holds_pictures(path)):
        table = table_in(path)
        if table is not None:
            rows = rows_of_file(table, formats=formats, encoding=encoding)
            column = path_column(rows, top_of(path), told=told, must_lie=True)
            if column is not None:
                return with_paths(rows, column, top_of(path), place=name, inside=is_zip)
        return rows_of_folder(path, name=name, labelled=labelled)
    if not labelled and path.is_file() and is_picture_name(path.name):
        return rows_of_pictures([str(path)])
    rows = rows_of_file(path, formats=formats, encoding=encoding, name=name)
    column = None if rows.pictures else path_column(rows, path.parent, told=told)
    return rows if column is None else with_paths(
        rows, column, path.parent, place=name, inside=False)


def rows_of_pictures(paths: Sequence[str]) -> Rows:
    """A row for each of these files; those that cannot be used are refused.

    Args:
        paths: as they were given; they are the rows' ids.
    """
    sources = [Path(path) if Path(path).is_file() else None for path in paths]
    gathered = gather(paths, sources)
    kept = [row for row, cell in enumerate(gathered.cells) if cell is not None]
    return Rows(
        pa.table({PICTURE: strings([gathered.cells[row] for row in kept])}),
        tuple(paths[row] for row in kept), refused=gathered.refused,
        notes=remarks(gathered.looks.values(), place="those given"),
        pictures=PICTURE, looks=gathered.looks,
    )
