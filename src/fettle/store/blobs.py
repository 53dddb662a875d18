"""Blobs: files under the name of their own sha256; written once, never changed.

In a local folder a blob is flushed to the disk and renamed into its place. Anywhere else (a URL
that fsspec knows) it is written beside, moved, and read back; who opens it gets a local copy.
Every reader checks the hash. Which other places keep what they say they keep is not checked here.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fettle.core.errors import CorruptFile, SettingError, StoreError
from fettle.store import files, folders
from fettle.store.names import is_digest, require_digest

__all__ = ["Blobs", "Found"]


@dataclass(frozen=True, slots=True)
class Found:
    """One file in the blobs' place."""

    path: str
    digest: str | None
    """None for what a write that was broken off left behind."""
    bytes: int
    seconds: float
    """How long ago it was written; infinite where the place does not tell."""


class Blobs:
    """The blobs in one place."""

    def __init__(self, place: str | Path) -> None:
        self.place = str(place).removeprefix("file://")
        self._system: Any = None
        """fsspec's file system; None for a local folder."""
        if "://" not in self.place:
            self._root = PurePosixPath(self.place)
        else:
            self._system, root = _opened(self.place)
            self._root = PurePosixPath(root)

    def put(self, source: Path) -> str:
        """Keep a copy of this file; its sha256 is the name to ask for it by.

        Raises:
            CorruptFile: what was written is not what is read back.
        """
        digest = files.sha256(source)
        if self.fault(digest) is None:
            return digest
        if self._system is None:
            files.copy_file(source, Path(self._at(digest)))
        else:
            self._send(source, self._at(digest))
        fault = self.fault(digest)
        if fault is not None:
            raise CorruptFile(f"{fault} It was written just now: the place cannot be relied on.")
        return digest

    def holds(self, digest: str) -> bool:
        """Whether there is a file of this name; its bytes are not looked at."""
        if self._system is None:
            return Path(self._at(digest)).is_file()
        return bool(self._system.isfile(self._at(digest)))

    def fault(self, digest: str) -> str | None:
        """What is wrong with this blob, in a sentence; None when its bytes are the right ones."""
        try:
            self.path(digest, fresh=True)
        except CorruptFile as error:
            return str(error)
        return None

    def path(self, digest: str, *, fresh: bool = False) -> Path:
        """A local file with the bytes of this hash, which are checked each time.

        Args:
            digest: the sha256 in hex.
            fresh: read the place itself, even where a local copy is right.

        Raises:
            CorruptFile: it is missing, altered, or no plain file.
        """
        at = self._at(digest)
        if self._system is None:
            local = Path(at)
            if local.is_symlink():
                raise CorruptFile(f"{local} is a link, and a blob is a plain file.")
            return files.require_hash(local, digest)
        local = folders.cache() / "blobs" / digest[:2] / digest
        if not fresh and local.is_file():
            with suppress(CorruptFile):
                return files.require_hash(local, digest)
        if not self.holds(digest):
            raise CorruptFile(f"{self.place} holds no {at}.")
        with _said(self.place):
            files.write_with(local, lambda temporary: self._system.get_file(at, str(temporary)))
        return files.require_hash(local, digest)

    def listed(self) -> Iterator[Found]:
        """Every blob there, and what broken writes left behind; other people's files are not."""
        if self._system is None:
            now = time.time()
            for path in sorted(Path(self._root, "sha256").glob("*/*")):
                if _is_ours(path.name):
                    facts = path.lstat()
                    age = now - facts.st_mtime
                    yield Found(str(path), _digest(path.name), facts.st_size, age)
            return
        with _said(self.place):
            found = self._system.find(str(self._root / "sha256"), detail=True)
        for at, facts in sorted(found.items()):
            name = PurePosixPath(at).name
            if _is_ours(name):
                yield Found(at, _digest(name), int(facts.get("size") or 0), self._age(at))

    def remove(self, found: Found) -> None:
        """This file is gone."""
        if self._system is None:
            files.remove_file(Path(found.path))
            return
        with _said(self.place):
            self._system.rm_file(found.path)

    def _at(self, digest: str) -> str:
        require_digest(digest)
        return str(self._root / "sha256" / digest[:2] / digest)

    def _send(self, source: Path, at: str) -> None:
        beside = str(folders.temporary(Path(at)))
        with _said(self.place):
            self._system.makedirs(str(PurePosixPath(at).parent), exist_ok=True)
            self._system.put_file(str(source), beside)
            if self._system.exists(at):
                self._system.rm_file(at)
            self._system.mv(beside, at)

    def _age(self, at: str) -> float:
        try:
            return time.time() - self._system.modified(at).timestamp()
        except NotImplementedError:
            return float("inf")


@contextmanager
def _said(place: str) -> Iterator[None]:
    """The place's own errors become ours."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The blobs' place {place} did not answer: {error}. Check the address, and that it "
            "may be written to."
        ) from error


def _opened(place: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path inside it."""
    import fsspec

    try:
        return fsspec.core.url_to_fs(place)
    except (ValueError, ImportError) as error:
        raise SettingError(
            f"--blobs is {place!r}: {error}. A folder, or a URL that an installed fsspec file "
            "system knows, is what it takes."
        ) from error


def _digest(name: str) -> str | None:
    return name if is_digest(name) else None


def _is_ours(name: str) -> bool:
    """A blob, or the beginnings of one: .HASH.SOMETHING.tmp."""
    inside = name.removeprefix(".").removesuffix(".tmp").partition(".")[0]
    return is_digest(name) or (name.endswith(".tmp") and is_digest(inside))
