"""Files that are whole or not there: every write of fettle goes through here.

Write beside, flush to the disk, rename over, flush the folder (SQLite, ALICE OSDI'14: the order
matters). A failed flush is final; nothing is retried and nothing is pretended.
"""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fettle.core.errors import CorruptFile, StoreError

__all__ = [
    "append_line",
    "copy_file",
    "read_json",
    "remove_folder",
    "require_hash",
    "sha256",
    "write_bytes",
    "write_json",
    "write_text",
    "write_with",
]


def write_with(path: Path, make: Callable[[Path], None]) -> Path:
    """Let `make` write a file under another name; it gets its own only when it is whole.

    Raises:
        StoreError: the disk is full, gone or not writable; what stood there before still stands.
    """
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make(temporary)
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        raise _disk_error(path, error) from error
    finally:
        with suppress(OSError):  # what went wrong before says more
            temporary.unlink(missing_ok=True)
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    """The file with this content, or the one before."""
    return write_with(path, lambda temporary: _dump(temporary, content))


def write_text(path: Path, text: str) -> Path:
    """The file with this text in UTF-8, or the one before."""
    return write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Mapping[str, Any] | list[Any]) -> Path:
    """The file with this value as JSON, or the one before."""
    return write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def copy_file(source: Path, path: Path) -> Path:
    """A copy that is whole or not there."""
    return write_with(path, lambda temporary: _copy(source, temporary))


def remove_folder(path: Path) -> None:
    """The folder is gone, with all that lay in it, whether or not it was there."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _disk_error(path, error) from error


def append_line(path: Path, line: str) -> None:
    """One more line at the end, on the disk when this returns."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as lines:
            lines.write(line.rstrip("\n") + "\n")
            lines.flush()
            os.fsync(lines.fileno())
    except OSError as error:
        raise _disk_error(path, error) from error


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        CorruptFile: it is not JSON; the message names line and column.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptFile(f"{path} is not readable as JSON: {error}.") from error


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_hash(path: Path, expected: str) -> Path:
    """The path, once its bytes are known to be the ones that were written.

    Raises:
        CorruptFile: the file is missing, or its sha256 differs.
    """
    if not path.is_file():
        raise CorruptFile(f"{path} is missing.")
    found = sha256(path)
    if found != expected:
        raise CorruptFile(
            f"{path} is not the file that was written: sha256 {found[:12]}... instead of "
            f"{expected[:12]}... Restore it from a copy, or publish again."
        )
    return path


def _dump(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_error(path: Path, error: OSError) -> StoreError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = "Check that the folder exists and may be written to."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(path.parent).free if path.parent.exists() else 0
        hint = f"{free:,} bytes are free there. Make room and give the same command again."
    return StoreError(f"Could not write {path}: {reason}. {hint}")
