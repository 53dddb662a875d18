"""Folders: made and flushed so that what lies in them lasts; swept, and asked for room.

An OSError of `make`, `flush` and `sweep` is for the caller in the store, which knows what was to
be done and has `refused` say so.
"""

import errno
import os
import re
import shutil
import uuid
from pathlib import Path

from fettle.core.errors import StoreError
from fettle.store import failpoints

__all__ = [
    "LOCK", "cache", "flush", "free", "is_temporary", "make", "refused", "require_room", "sweep",
    "temporary",
]

LOCK = ".lock"
"""The file in a folder that the process at work there holds."""


def cache() -> Path:
    """$XDG_CACHE_HOME/fettle, or ~/.cache/fettle; .fettle/cache where there is no home."""
    home = os.environ.get("XDG_CACHE_HOME")
    if home:
        return Path(home) / "fettle"
    try:
        return Path.home() / ".cache" / "fettle"
    except RuntimeError:
        return Path(".fettle") / "cache"


def make(folder: Path) -> None:
    """The folder is there, and so are those above it; a loss of power does not take them back."""
    if folder.is_dir():
        return
    make(folder.parent)
    with failpoints.operation("mkdir", folder):
        folder.mkdir(exist_ok=True)
    flush(folder.parent)


def flush(path: Path, *, of: Path | None = None) -> None:
    """What was written to this file, or to this folder's list of files, is on the disk.

    Args:
        path: a file or a folder.
        of: the file that it is going to be, where it has another name until then.
    """
    with failpoints.operation("flush", of or path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def temporary(path: Path) -> Path:
    """Another name in the same folder, for a file until it is whole."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"


def is_temporary(path: Path) -> bool:
    """Whether this is such a name."""
    return re.fullmatch(r"\..+\.[0-9a-f]{8}\.tmp", path.name) is not None


def sweep(folder: Path) -> None:
    """Remove what killed processes began to write below this folder, which the caller holds.

    A folder below that has a lock of its own is left to its own owner.
    """
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if not (path / LOCK).exists():
                sweep(path)
        elif is_temporary(path):
            with failpoints.operation("unlink", path):
                path.unlink()


def free(folder: Path) -> int:
    """Bytes that are free on the folder's disk; the folder itself may not be there yet."""
    standing = folder.absolute()
    while not standing.exists():
        standing = standing.parent
    return shutil.disk_usage(standing).free


def require_room(folder: Path, needed_bytes: int) -> None:
    """Stop before anything is written where it would not fit.

    Args:
        folder: where it is to lie; it need not be there yet.
        needed_bytes: how much will lie there at once, at most.

    Raises:
        StoreError: the disk has less room than that; the message says how much of each.
    """
    if (left := free(folder)) < needed_bytes:
        raise StoreError(
            f"{needed_bytes:,} bytes are needed in {folder}, and {left:,} bytes are free there. "
            "Make room and give the same command again, or name another folder with --out."
        )


def refused(
    verb: str, path: Path, error: OSError, *, needed_bytes: int | None = None
) -> StoreError:
    """What the disk said, and what to do next.

    Args:
        verb: what could not be done: write, lock.
        path: to what.
        error: of the system.
        needed_bytes: how much was to be written, where that is known.
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = "Check that the folder exists and may be written to, or name another one with --out."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        needed = "" if needed_bytes is None else f"It needs {needed_bytes:,} bytes, and "
        room = f"{needed}{free(path.parent):,} bytes are free there"
        hint = f"{room}. Make room and give the same command again."
    elif error.errno == errno.EIO:
        hint = "The disk fails: copy what lies on it, and go on with --out on another one."
    return StoreError(f"Could not {verb} {path}: {reason}. {hint}")
