"""Files: from a path to its rows, by the ending of its name."""

import difflib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from fettle.core.errors import InputError
from fettle.formats.json_lines import read_json_lines
from fettle.formats.opening import Source, source_of_bytes, source_of_file, text_lines
from fettle.formats.plain_lines import read_plain_lines
from fettle.formats.rows import Rows

__all__ = ["rows_of_file", "rows_of_stream", "stem"]


def rows_of_file(
    path: Path,
    *,
    formats: Mapping[str, Callable[[Source, str | None], Rows]],
    encoding: str | None = None,
    name: str = "",
) -> Rows:
    """The rows of a file.

    Args:
        path: of a file whose name ends as one of the formats, or that and .gz.
        formats: the readers to choose from, by the endings of names.
        encoding: of a text file; None to see for itself.
        name: how row ids and messages call it; the file's own name if empty.

    Raises:
        UnknownName: there is no such encoding.
        InputError: no file, no readable format, or content that is not what it says; the message
            names the file and the line.
    """
    _require_file(path)
    ending = Path(_without_gz(path.name)).suffix.lower()
    if ending not in formats:
        *most, last = formats
        hint = " Unpack it first." if ending in (".zip", ".bz2", ".xz", ".zst") else ""
        hint = " Save the sheet as CSV in UTF-8." if ending in (".xlsx", ".xls", ".ods") else hint
        raise InputError(
            f"{path.name} ends in {ending or 'nothing'}, and what can be read ends in "
            f"{', '.join(most)} or {last}, each also with .gz.{hint}"
        )
    return formats[ending](source_of_file(path, name=name), encoding)


def rows_of_stream(content: bytes, *, name: str, encoding: str | None = None) -> Rows:
    """The rows in what came through a pipe: JSON Lines if the first line is a JSON object, else
    one text a line.

    Args:
        content: everything that came.
        name: how row ids and messages call it.
        encoding: of the text; None to see for itself.

    Raises:
        UnknownName: there is no such encoding.
        InputError: nothing came, or no text; the message names the line.
    """
    source = source_of_bytes(content, name=name)
    lines, _ = text_lines(source, encoding)
    first = next((line for line in lines if line.strip()), "")
    read = read_json_lines if _is_object(first) else read_plain_lines
    return read(source, encoding)


def stem(path: Path) -> str:
    """The file's name without its endings; the folder's name for train and data."""
    name = Path(_without_gz(path.name)).stem
    folder = path.resolve().parent.name
    return folder if name.lower() in ("train", "data") and folder else name


def _require_file(path: Path) -> None:
    try:
        if path.is_file():
            return
        is_folder, exists = path.is_dir(), path.exists()
        folder = path.parent
        near = difflib.get_close_matches(
            path.name, [item.name for item in folder.iterdir()] if folder.is_dir() else [], n=1
        )
    except OSError as error:
        raise InputError(
            f"{path} cannot be looked at: {error.strerror}. Check the path."
        ) from error
    if is_folder:
        inside = sorted(item.name for item in path.iterdir() if item.is_file())[:5]
        shown = f" Name one of its files, such as {', '.join(inside)}." if inside else ""
        raise InputError(f"{path} is a folder, and rows are read from a file.{shown}")
    if exists:
        raise InputError(f"{path} is not a file. For a pipe, write - and use standard input.")
    if near:
        raise InputError(f"There is no file {path}. Did you mean {str(folder / near[0])!r}?")
    where = "Check the path." if folder.is_dir() else f"There is no folder {folder} either."
    raise InputError(f"There is no file {path}. {where}")


def _without_gz(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
