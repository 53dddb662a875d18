"""Large arrays: one file each, filled in any order, mapped when read, whole or not there.

An array's name appears only when every byte of it is on the disk; beside it lies a manifest with
its hash. Arrays of one folder stay inside a limit: those not read for longest go first.
"""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fettle.core.errors import CorruptFile, StoreError
from fettle.store import failpoints, files, folders

__all__ = ["Filling", "make_room", "read"]

DATA, MANIFEST, PARTIAL = ".array", ".json", ".partial"
FORGOTTEN_SECONDS = 86_400
"""What was begun and is this old belongs to a process that is gone."""


class Filling:
    """An array on the disk that is being filled; nobody else sees it before `finish`.

    Raises:
        StoreError: the disk has no room for it. The room is taken before anything is filled in:
            a mapped file that outgrows its disk would kill the process.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self.folder, self.name = folder, name
        self._partial = folder / f".{name}.{uuid.uuid4().hex[:8]}{PARTIAL}"
        size = max(_bytes_of(shape, dtype), 1)
        try:
            folders.make(folder)
            with (
                failpoints.operation("write", folder / f"{name}{DATA}", into=self._partial),
                self._partial.open("wb") as stream,
            ):
                _take_room(stream, size)
        except OSError as error:
            self.drop()
            raise StoreError(
                f"No room for {size:,} bytes in {folder}: {os.strerror(error.errno or 0)}."
            ) from error
        self.values: np.ndarray = np.memmap(self._partial, dtype=dtype, mode="r+", shape=shape)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """The array is whole: give it its name.

        Raises:
            StoreError: the disk is full, gone or not writable.
        """
        shape, dtype = list(self.values.shape), str(self.values.dtype)
        path = self.folder / f"{self.name}{DATA}"
        try:
            self.values.flush()  # type: ignore[attr-defined]
        except OSError as error:
            raise folders.refused("write", path, error) from error
        files.settle(self._partial, path)
        manifest = {"shape": shape, "dtype": dtype, "sha256": files.sha256(path),
                    "facts": dict(facts)}
        files.write_json(self.folder / f"{self.name}{MANIFEST}",
                         {**manifest, "manifest_sha256": _hash(manifest)})

    def drop(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)


def read(folder: Path, name: str) -> tuple[np.ndarray, Mapping[str, Any]] | None:
    """The array, mapped (what is changed in it stays in memory), and its facts; None if not there.

    Raises:
        CorruptFile: its bytes are not the ones that were written.
    """
    path, beside = folder / f"{name}{DATA}", folder / f"{name}{MANIFEST}"
    if not path.is_file() or not beside.is_file():
        return None
    manifest = files.read_json(beside)
    if not isinstance(manifest, dict) or manifest.pop("manifest_sha256", None) != _hash(manifest):
        raise CorruptFile(f"{beside} is not the manifest that was written.")
    files.require_hash(path, manifest["sha256"])
    with suppress(OSError):  # only so that it counts as read now
        os.utime(path)
    shape = tuple(manifest["shape"])
    if 0 in shape:
        return np.zeros(shape, manifest["dtype"]), manifest["facts"]
    size, found = _bytes_of(shape, manifest["dtype"]), path.stat().st_size
    if found != size:  # who reads beyond the end of a mapped file is killed
        raise CorruptFile(f"{path} has {found:,} bytes, and {size:,} were written.")
    return np.memmap(path, dtype=manifest["dtype"], mode="c", shape=shape), manifest["facts"]


def make_room(folder: Path, needed: int, limit: int, *, keep: Sequence[str] = ()) -> bool:
    """Whether `needed` more bytes fit in the folder, after what was read longest ago has gone.

    Args:
        folder: of arrays; it may not be there yet.
        needed: bytes to come.
        limit: bytes that the folder may hold.
        keep: names that stay, whatever their age.
    """
    if needed > limit:
        return False
    now = time.time()
    for begun in (*folder.glob(f".*{PARTIAL}"), *filter(folders.is_temporary, folder.glob(".*"))):
        with suppress(OSError):
            if now - begun.stat().st_mtime > FORGOTTEN_SECONDS:
                begun.unlink()
    ages = sorted((path.stat().st_mtime, path) for path in folder.glob(f"*{DATA}"))
    held = sum(path.stat().st_size for _, path in ages)
    for _, path in ages:
        if held + needed <= limit:
            break
        if path.stem in keep:
            continue
        held -= path.stat().st_size
        files.remove_file(path.with_suffix(MANIFEST))
        files.remove_file(path)
    return held + needed <= limit


def _bytes_of(shape: Sequence[int], dtype: str) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


def _take_room(stream: BinaryIO, size: int) -> None:
    """So many bytes of the disk for this file, really there and not only promised."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, size)
        return
    zeros = bytes(1 << 20)  # macOS has no such call
    for start in range(0, size, len(zeros)):
        stream.write(zeros[: size - start])


def _hash(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
