"""One process at a time in a folder: a kernel lock that dies with the process that holds it."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fettle.core.errors import LockHeld, StoreError

__all__ = ["hold"]


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the folder until the block ends.

    Raises:
        LockHeld: another process is at work in it; the message says which.
        StoreError: the folder cannot be made or written to.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(
            f"Could not lock {folder}: {error.strerror}. Name another folder with --out."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            raise LockHeld(
                f"{folder} is in use by {holder or 'another process'}. "
                "Wait for it to end, or name another folder with --out."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
