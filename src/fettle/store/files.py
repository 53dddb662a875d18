"""Files that are whole or not there: every write of fettle goes through here.

Write beside, flush to the disk, rename over, flush the folder (SQLite, ALICE OSDI'14: the order
matters). A failed flush is final; nothing is retried and nothing is pretended (Rebello et al.,
ATC'20: after a failed flush a second one may succeed without the bytes being there).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fettle.core.errors import CorruptFile, MissingFile, StoreError
from fettle.store import failpoints, folders, locks

__all__ = [
    "append_line",
    "append_lines",
    "copy_file",
    "keep_lines",
    "put_line",
    "read_json",
    "read_lines",
    "read_numbered_lines",
    "remove_file",
    "remove_folder",
    "require_hash",
    "settle",
    "sha256",
    "write_bytes",
    "write_chunks",
    "write_json",
    "write_text",
    "write_with",
]


def write_with(
    path: Path, make: Callable[[Path], None], *, needed_bytes: int | None = None
) -> Path:
    """Let `make` write a file under another name; it gets its own only when it is whole.

    Args:
        path: of the file.
        make: writes it to the path that it is given.
        needed_bytes: its size, where it is known before; the message about a full disk says it.

    Raises:
        StoreError: the disk is full, gone or not writable; what stood there before still stands.
    """
    locks.require_held(path)
    temporary = folders.temporary(path)
    try:
        folders.make(path.parent)
        with failpoints.operation("write", path, into=temporary):
            make(temporary)
        return settle(temporary, path)
    except OSError as error:
        raise _not_written(path, error, needed_bytes) from error
    finally:
        with suppress(OSError):  # what went wrong before says more
            temporary.unlink(missing_ok=True)


def settle(whole: Path, path: Path) -> Path:
    """Give a file that is whole, and lies in the same folder under another name, its own name.

    Raises:
        StoreError: the disk is full, gone or not writable.
    """
    locks.require_held(path)
    try:
        folders.flush(whole, of=path)
        with failpoints.operation("rename", path):
            os.replace(whole, path)
        folders.flush(path.parent)
    except OSError as error:
        raise _not_written(path, error) from error
    return path


def write_chunks(path: Path, chunks: Iterable[bytes | memoryview], *, needed_bytes: int) -> str:
    """The file with these bytes, or the one before; no more than one chunk is held at a time.

    Returns:
        The sha256 of the bytes as they were handed over, in hex: what the disk must give back.
    """
    digest = hashlib.sha256()

    def make(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            for chunk in chunks:
                digest.update(chunk)
                stream.write(chunk)
                del chunk  # before the next one is made

    write_with(path, make, needed_bytes=needed_bytes)
    return digest.hexdigest()


def write_bytes(path: Path, content: bytes) -> Path:
    """The file with this content, or the one before."""
    write_chunks(path, (content,), needed_bytes=len(content))
    return path


def write_text(path: Path, text: str) -> Path:
    """The file with this text in UTF-8, or the one before."""
    return write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Mapping[str, Any] | list[Any]) -> Path:
    """The file with this value as JSON, or the one before."""
    return write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def copy_file(source: Path, path: Path) -> Path:
    """A copy that is whole or not there.

    Raises:
        MissingFile: there is no such source.
        StoreError: the disk is full, gone or not writable.
    """
    if not source.is_file():
        raise MissingFile(f"{source} is missing, so it cannot be copied to {path}.")
    size = source.stat().st_size
    return write_with(path, lambda temporary: _copy(source, temporary), needed_bytes=size)


def remove_file(path: Path) -> None:
    """The file is gone, whether or not it was there."""
    locks.require_held(path)
    try:
        with failpoints.operation("unlink", path):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _not_written(path, error) from error


def remove_folder(path: Path) -> None:
    """The folder is gone, with all that lay in it, whether or not it was there."""
    locks.require_held(path)
    try:
        with failpoints.operation("remove", path):
            shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _not_written(path, error) from error


def append_line(path: Path, line: str) -> None:
    """One more line at the end, on the disk when this returns; else none, and the file as it was.

    Where the last line was torn, the new one begins below it and is not swallowed by it. One
    process at a time may do this.

    Raises:
        StoreError: the disk is full, gone or not writable.
    """
    append_lines(path, (line,))


def append_lines(path: Path, lines: Iterable[str], *, mode: int = 0o644) -> None:
    """The same with several lines and one flush: all of them, or none.

    Args:
        path: of the file.
        lines: without their ends.
        mode: of the file where it is new: who may read it.

    Raises:
        StoreError: the disk is full, gone or not writable.
    """
    locks.require_held(path)
    content = "".join(line.rstrip("\n") + "\n" for line in lines).encode()
    try:
        folders.make(path.parent)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
        try:
            _append(descriptor, path, content)
        finally:
            os.close(descriptor)
        if is_new:
            folders.flush(path.parent)
    except OSError as error:
        raise _not_written(path, error, len(content)) from error


def keep_lines(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Only the whole lines that are wanted stay in a file of JSON lines, if others are in it.

    Raises:
        StoreError: the file cannot be read, or the disk is full, gone or not writable.
    """
    if not path.is_file():
        return
    numbered, torn = read_numbered_lines(path)
    kept = [number for number, line in numbered if wanted(line)]
    if torn or len(kept) < len(numbered):
        lines = path.read_bytes().split(b"\n")
        write_bytes(path, b"".join(lines[number - 1] + b"\n" for number in kept))


def put_line(path: Path, line: str, *, instead: Callable[[dict[str, Any]], bool]) -> None:
    """The line stands in a file of JSON lines in place of those that are told; where it stands
    already, nothing is written. What is no file (a device, which may never end) is not read.

    Raises:
        StoreError: the file cannot be read, or the disk is full, gone or not writable.
    """
    told = read_lines(path)[0] if path.is_file() else []
    if json.loads(line) not in told:
        keep_lines(path, lambda one: not instead(one))
        append_line(path, line)


def read_lines(path: Path) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The objects in a file of JSON lines, and a sentence for each line that is not whole.

    A line is torn where a process ended while it was written; nobody was told that it stood. A
    file that is not there has no lines.

    Raises:
        StoreError: the file cannot be read.
    """
    numbered, passed_over = read_numbered_lines(path)
    return [value for _, value in numbered], passed_over


def read_numbered_lines(
    path: Path,
) -> tuple[list[tuple[int, dict[str, Any]]], tuple[str, ...]]:
    """The same, each object with the number of its line, counted from 1."""
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as error:
        raise _not_read(path, error) from error
    whole: list[tuple[int, dict[str, Any]]] = []
    passed_over: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):  # of JSON, and of UTF-8
            value = None
        if isinstance(value, dict):
            whole.append((number, value))
        else:
            passed_over.append(f"Line {number} of {path} is not whole and is passed over.")
    return whole, tuple(passed_over)


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: it is not JSON; the message names line and column.
        StoreError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CorruptFile(f"{path} is not readable as JSON: {error}.") from error
    except RecursionError as error:
        raise CorruptFile(f"{path} is not readable as JSON: it is nested too deeply.") from error
    except OSError as error:
        raise _not_read(path, error) from error


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex.

    Raises:
        MissingFile: there is no such file.
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _not_read(path, error) from error


def require_hash(path: Path, expected: str) -> Path:
    """The path, once its bytes are known to be the ones that were written.

    Raises:
        CorruptFile: the file is missing, or its sha256 differs.
        StoreError: it cannot be read.
    """
    found = sha256(path)
    if found != expected:
        raise CorruptFile(
            f"{path} is not the file that was written: sha256 {found[:12]}... instead of "
            f"{expected[:12]}... Restore it from a copy, or publish again."
        )
    return path


def _append(descriptor: int, path: Path, content: bytes) -> None:
    """Write and flush; what could not be written whole is taken back."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        content = b"\n" + content
    try:
        with failpoints.operation("append", path, into=path):
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest):]
        with failpoints.operation("flush", path):
            os.fsync(descriptor)
    except BaseException:  # a Ctrl-C too
        with suppress(OSError):  # what went wrong before says more
            os.ftruncate(descriptor, size)
        raise


def _copy(source: Path, path: Path) -> None:
    shutil.copyfile(source, path)


def _not_read(path: Path, error: OSError) -> StoreError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return MissingFile(f"{path} is missing.")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StoreError(f"Could not read {path}: {reason}. Check that it is a file you may read.")


def _not_written(path: Path, error: OSError, needed_bytes: int | None = None) -> StoreError:
    locks.require_held(path)  # where the whole folder went meanwhile, that is what to say
    return folders.refused("write", path, error, needed_bytes=needed_bytes)
