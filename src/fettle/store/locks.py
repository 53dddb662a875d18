"""One process at a time in a folder: a kernel lock that dies with the process that holds it.

Whoever holds a folder also knows it again: nothing is written into another one that has taken its
place.
"""

import datetime
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fettle.core.errors import LockHeld, StoreError
from fettle.store import failpoints, folders

__all__ = ["hold", "require_held"]

_HELD: dict[Path, tuple[int, int]] = {}
"""The folders that this process holds, by their whole paths: device and inode of their locks."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the folder until the block ends; what killed processes began to write there is swept.

    Raises:
        LockHeld: another process is at work in it; the message says which, where, since when.
        StoreError: the folder cannot be made or written to.
    """
    whole = folder.absolute()
    descriptor = _locked(folder)
    try:
        found = os.fstat(descriptor)
        _HELD[whole] = (found.st_dev, found.st_ino)
        yield
    finally:
        _HELD.pop(whole, None)
        os.close(descriptor)


def require_held(path: Path) -> None:
    """Stop before anything is written below a folder that this process holds no longer.

    It was removed, renamed, replaced by another one, or its disk is gone: a file written there
    would lie alone in a new folder, and the run would seem to have been saved.

    Raises:
        StoreError: the folder is not the one that was locked.
    """
    for folder, lock in _HELD.items():
        if path.absolute().is_relative_to(folder) and _lock_in(folder) != lock:
            raise StoreError(
                f"Could not write {path}: {folder} is gone, or another folder stands in its "
                "place. Bring it back and give the same command again."
            )


def _locked(folder: Path) -> int:
    """An open descriptor that holds the lock, in a folder that has been swept."""
    path = folder / folders.LOCK
    descriptor = -1
    try:
        folders.make(folder)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with failpoints.operation("lock", path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _holder().encode(), 0)
        folders.sweep(folder)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 300, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise LockHeld(
            f"{folder} is in use by {holder or 'another process'}. "
            "Wait for it to end, or name another folder with --out."
        ) from error
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise folders.refused("lock", folder, error) from error
    return descriptor


def _holder() -> str:
    """Who holds a lock: only for the message, the kernel knows by itself."""
    now = datetime.datetime.now(datetime.UTC)
    return f"process {os.getpid()} on {socket.gethostname()} since {now:%Y-%m-%d %H:%M:%S} UTC\n"


def _lock_in(folder: Path) -> tuple[int, int] | None:
    try:
        found = (folder / folders.LOCK).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
