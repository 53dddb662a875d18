"""Folders: class folders with pictures, with or without train, validation and test above them.

Each folder may be a zip. The label is the name of the folder; the row's id is the path. What lies
elsewhere is told by name, and left alone.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.dataset import Refused
from fettle.core.errors import InputError
from fettle.formats.pictures import gather, is_picture_name, remarks
from fettle.formats.rows import Rows
from fettle.store.unpacking import unpacked

__all__ = ["LABEL", "PICTURE", "STRAY", "holds_pictures", "rows_of_folder", "table_in", "top_of"]

PICTURE, LABEL = "picture", "label"
PART_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
IGNORED = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""What systems leave behind; files whose names begin with a dot, too."""
STRAY = "it lies in no class folder"
"""Why a picture is told and not used; it is not a broken one."""
MOST_FILES = 5_000_000
SHOWN = 5
OTHERS = (".npy", ".dcm", ".nii", ".nii.gz", ".heic", ".heif", ".avif", ".jp2", ".svg")
"""Endings of arrays, scans and pictures that are not opened."""
AS_PNG = (
    "Arrays, scans and other formats of pictures are not opened. Write each as a PNG, grey or in "
    "color, of 8 or 16 bits."
)


@dataclass(frozen=True, slots=True)
class _File:
    """One file below the root."""

    parts: tuple[str, ...]
    """Of its path from the root, as the user sees it: zips stand as the folders they hold."""
    path: Path

    @property
    def place(self) -> str:
        return "/".join(self.parts)


def rows_of_folder(root: Path, *, name: str, labelled: bool = True) -> Rows:
    """A row for each picture below a folder, or in a zip.

    Args:
        root: the folder or zip.
        name: how messages call it.
        labelled: whether a picture must lie in a class folder; else each one is a row, and what
            folders say is kept where they say it.

    Raises:
        InputError: it holds no picture, pictures lie in no class folders, or a zip is not safe.
    """
    files, notes = _files(root)
    shown = [file for file in files if is_picture_name(file.path.name)]
    if not shown:
        hint = f" {AS_PNG}" if any(_is_other(file.path.name) for file in files) else ""
        raise InputError(
            f"{name} holds no picture (.jpg, .png, .webp, .bmp, .gif, .tif). "
            f"{_example([file.place for file in files])}{hint}"
        )
    others = [file.place for file in files if not is_picture_name(file.path.name)]
    if others:
        notes.append(f"{_many(others, 'file')} of {name} {_be(others)} no picture and "
                     f"{_be(others)} not read: {_named(others)}.")
    split = _is_split(shown)
    placed = [_placed(file, split) for file in shown]
    if labelled and not any(label for _, label in placed):
        raise InputError(
            f"The pictures of {name} lie in no class folders, such as {name}/cat/1.jpg, and no "
            "table beside them says what they are. Sort them into folders named after the classes, "
            "or give a CSV with a column of paths and one of labels."
        )
    return _rows(shown, placed, name, labelled, split, notes)


def holds_pictures(root: Path) -> bool:
    """Whether there is a picture, a zip, or what could be written as a picture, down to four deep
    below a folder."""
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and depth < 4:
                waiting.append((Path(entry.path), depth + 1))
            elif (is_picture_name(entry.name) or _is_other(entry.name)
                  or (entry.name.lower().endswith(".zip") and depth < 2)):
                return True
    return False


def table_in(root: Path) -> Path | None:
    """The only table at the top of a folder or zip; None where there is none, or several."""
    top = top_of(root)
    tables = [one for one in sorted(top.iterdir()) if one.name.lower().endswith(TABLES)]
    return tables[0] if len(tables) == 1 else None


def _rows(
    files: Sequence[_File], placed: Sequence[tuple[str, str]], name: str, labelled: bool,
    split: bool, notes: list[str],
) -> Rows:
    """The rows of these pictures; those that cannot be used are refused."""
    stray = [file for file, (_, label) in zip(files, placed, strict=True) if not label]
    refused = [Refused(file.place, STRAY) for file in stray if labelled]
    kept = [(file, where) for file, where in zip(files, placed, strict=True)
            if where[1] or not labelled]
    deep = [file.place for file, _ in kept if len(file.parts) > 2 + split]
    if deep and labelled:
        notes.append(f"{_many(deep, 'picture')} of {name} {_be(deep)} nested deeper than the class "
                     f"folders; the outer folder is the label: {_named(deep)}.")
    gathered = gather([file.place for file, _ in kept], [file.path for file, _ in kept])
    whole = [(file, where, cell) for (file, where), cell in
             zip(kept, gathered.cells, strict=True) if cell is not None]
    labels = [where[1] or None for _, where, _ in whole]
    columns = {PICTURE: strings([cell for *_, cell in whole])}
    if any(labels):
        columns[LABEL] = strings(labels)
    told = notes + list(remarks(gathered.looks.values(), place=name))
    if labelled:
        told.insert(0, f"Each picture's label is the name of its folder: "
                       f"{len(set(labels)):,} classes.")
    return Rows(
        pa.table(columns), tuple(file.place for file, *_ in whole),
        refused=(*refused, *gathered.refused), notes=tuple(told),
        parts=tuple(where[0] for _, where, _ in whole) if split else (),
        pictures=PICTURE, looks=gathered.looks,
    )


def _is_split(files: Sequence[_File]) -> bool:
    """Whether the outermost folders are the parts, with class folders inside."""
    outer = Counter(file.parts[0].lower() for file in files if len(file.parts) > 2)
    parts = {PART_NAMES[one] for one in outer if one in PART_NAMES}
    beside = sorted(set(outer) - set(PART_NAMES))
    if len(parts) > 1 and beside:
        raise InputError(
            f"Beside the folders for {', '.join(sorted(parts))} stands {beside[0]!r}, which is no "
            "part. Move it away, or give one of the folders."
        )
    return "train" in parts and not beside


def _placed(file: _File, split: bool) -> tuple[str, str]:
    """(part, label) of a picture; "" for what its place does not say."""
    folders = file.parts[:-1]
    if not split:
        return "", folders[0] if folders else ""
    part = PART_NAMES.get(folders[0].lower(), "") if folders else ""
    return part, folders[1] if len(folders) > 1 and part else ""


def _files(root: Path) -> tuple[list[_File], list[str]]:
    """Every file below the root by its path, zips unpacked, and what was passed over."""
    found: list[_File] = []
    notes: list[str] = []
    hidden: list[str] = []
    waiting: list[tuple[tuple[str, ...], Path]] = [((), top_of(root))]
    while waiting:
        before, folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda one: one.name)
        except OSError as error:
            notes.append(f"{'/'.join(before) or folder} cannot be read: {error.strerror}.")
            continue
        for entry in entries:
            parts = (*before, entry.name)
            if entry.name.startswith(".") or entry.name in IGNORED:
                hidden.append("/".join(parts))
            elif entry.is_symlink() and entry.is_dir():
                notes.append(f"{'/'.join(parts)} is a link to a folder and is not followed.")
            elif entry.is_dir():
                waiting.append((parts, Path(entry.path)))
            elif entry.name.lower().endswith(".zip") and len(parts) <= 2:
                stem = entry.name[: -len(".zip")]
                waiting.append(((*before, stem), _inside(top_of(Path(entry.path)), stem)))
            else:
                found.append(_File(parts, Path(entry.path)))
        if len(found) > MOST_FILES:
            raise InputError(f"{root} holds more than {MOST_FILES:,} files. Give a part of them.")
    if hidden:
        notes.append(f"{_many(hidden, 'hidden file')} {_be(hidden)} not read: {_named(hidden)}.")
    return sorted(found, key=lambda one: one.parts), notes


def _is_other(name: str) -> bool:
    return name.lower().endswith(OTHERS)


def top_of(root: Path) -> Path:
    """The folder to look into; for a zip, what it holds, or its only folder of its own name."""
    if root.is_dir():
        return root
    return _inside(unpacked(root), root.stem)


def _inside(folder: Path, name: str) -> Path:
    """The only folder in an unpacked zip, where that has the zip's own name."""
    within = [one for one in folder.iterdir() if one.name not in IGNORED]
    return within[0] if len(within) == 1 and within[0].is_dir() and within[0].name == name else (
        folder)


def _many(things: Sequence[str], thing: str) -> str:
    return f"{len(things):,} {thing}{'s' if len(things) != 1 else ''}"


def _be(things: Sequence[str]) -> str:
    return "is" if len(things) == 1 else "are"


def _named(things: Sequence[str]) -> str:
    more = len(things) - SHOWN
    return ", ".join(things[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _example(inside: Sequence[str]) -> str:
    return f"It holds {_named(inside)}." if inside else "It is empty."
