"""Folders that are whole or not there: filled under another name, flushed, and renamed.

What killed processes began is swept by the next one that wants the same name.
"""

import fcntl
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fettle.core.errors import SettingError
from fettle.store import failpoints, folders

__all__ = ["require_free", "staged"]


def require_free(folder: Path) -> None:
    """Stop where something stands under this name that is not ours to replace.

    Raises:
        SettingError: it is a link or a file, or a folder that holds something.
    """
    if folder.is_symlink():
        raise SettingError(
            f"{folder} is a link, and what it leads to is not replaced. Name the folder itself, "
            "one that is empty or not there yet."
        )
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{folder} is a file. Name a folder that is empty or not there yet.")
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if held:
        more = f" and {len(held) - 1} more" if held[1:] else ""
        raise SettingError(
            f"{folder} holds {held[0]!r}{more}. Nothing of it was touched. Name a folder that is "
            "empty or not there yet."
        )


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to fill, which gets this name when the block ends well, and else is removed.

    Raises:
        SettingError: something stands under this name.
        StoreError: the disk is full, gone or not writable; nothing stands under this name.
    """
    whole = folder.absolute()
    require_free(whole)
    place = folders.temporary(whole)
    lock = -1
    try:
        folders.make(whole.parent)
        _sweep(whole)
        folders.make(place)
        lock = os.open(place, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place
        for path in sorted(place.rglob("*")):
            folders.flush(path)
        folders.flush(place)
        require_free(whole)
        with failpoints.operation("rename", whole):
            os.rename(place, whole)
        folders.flush(whole.parent)
    except OSError as error:
        raise folders.refused("write", whole, error) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _sweep(folder: Path) -> None:
    """Remove what was begun for this name by processes that are no more."""
    for path in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.*.tmp")):
        if not folders.is_temporary(path) or path.is_symlink() or not path.is_dir():
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with suppress(BlockingIOError):  # somebody is at work in it
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with failpoints.operation("remove", path):
                    shutil.rmtree(path)
        finally:
            os.close(descriptor)

