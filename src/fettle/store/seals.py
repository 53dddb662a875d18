"""Seals: a folder that is finished, known by a list of its files and their hashes.

The list is written last and lies beside the folder; what was sealed stays as it is.
"""

from pathlib import Path

from fettle.core.errors import CorruptFile
from fettle.store import files

__all__ = ["is_sealed", "require_sealed", "seal"]


def seal(folder: Path) -> Path:
    """The list of what lies in the folder: from now on it is finished.

    Raises:
        StoreError: the disk is full, gone or not writable.
    """
    made = sorted(path for path in folder.rglob("*") if path.is_file())
    held = {path.relative_to(folder).as_posix(): files.sha256(path) for path in made}
    return files.write_json(_list_of(folder), held)


def is_sealed(folder: Path) -> bool:
    """Whether it was finished once; what lies in it is not looked at."""
    return _list_of(folder).is_file()


def require_sealed(folder: Path) -> None:
    """Nothing, where the folder is finished and every byte is the one that was sealed.

    Raises:
        MissingFile: it was never finished, or a file of it is gone.
        CorruptFile: a file is not the one that was sealed; the message names it.
    """
    held = files.read_json(_list_of(folder))
    if not isinstance(held, dict):
        raise CorruptFile(f"{_list_of(folder)} is not the list that was written.")
    for name, digest in held.items():
        files.require_hash(folder / name, str(digest))


def _list_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sealed.json")
