"""Unpacking: a zip in, a folder in the cache with its plain files out, or nothing at all.

Every name is judged before a byte is written, bytes are counted as they come and not as the
archive claims, and the folder gets its name only when it is whole.
"""

import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from fettle.core.errors import InputError, StoreError
from fettle.store import files, folders

__all__ = ["unpacked"]

MOST_ENTRIES = 1_000_000
MOST_BYTES = 64 << 30
MOST_TIMES = 100
"""Times its packed size that a member may grow to, beyond the first megabyte: pictures are packed
already."""
FREE_BYTES = 1 << 20
DEPTH = 12
CHUNK = 1 << 20
_DRIVE = re.compile(r"[A-Za-z]:")


def unpacked(path: Path) -> Path:
    """The folder that holds what this zip holds; unpacked once, found again by its hash.

    Raises:
        InputError: it is no zip, is damaged, is encrypted, or holds what no archive of data holds:
            a path that leads out, a link, a name twice, or bytes beyond all measure.
        StoreError: the disk is full or the cache cannot be written.
    """
    target = folders.cache() / "unpacked" / files.sha256(path)
    if target.is_dir():
        return target
    partial = folders.temporary(target)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)
            folders.make(target.parent)
            folders.require_room(target.parent, sum(member.file_size for member, _ in members))
            for member, place in members:
                _write(archive, member, partial / place, path)
        partial.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            partial.rename(target)
        return target
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError,
            zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path} cannot be unpacked: {error}. Pack it anew.") from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be unpacked to {target.parent}: {error.strerror or error}. Make room, "
            "or set XDG_CACHE_HOME."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _members(archive: zipfile.ZipFile, path: Path) -> list[tuple[zipfile.ZipInfo, Path]]:
    """Its plain files with the places they go to, relative to the folder."""
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise InputError(f"{path} has {len(entries):,} entries; {MOST_ENTRIES:,} are the most.")
    found: list[tuple[zipfile.ZipInfo, Path]] = []
    seen: set[str] = set()
    for entry in entries:
        _require_plain(entry, path)
        if entry.is_dir():
            continue
        place = Path(entry.filename)
        key = str(place).casefold()
        if key in seen:
            raise InputError(f"{path} holds {entry.filename!r} twice. Pack it anew.")
        seen.add(key)
        found.append((entry, place))
    return found


def _require_plain(entry: zipfile.ZipInfo, path: Path) -> None:
    """Return if the entry is a file or folder below the archive's root."""
    name = entry.orig_filename
    parts = re.split(r"[\\/]", name.rstrip("/"))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    why = ""
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        why = "is an absolute path"
    elif ".." in parts or "." in parts or "" in parts or "\0" in name:
        why = "leads out of its folder"
    elif "\\" in name:
        why = "has a backslash in its name"
    elif len(parts) > DEPTH or any(len(part.encode()) > 255 for part in parts):
        why = "is nested too deep, or has too long a name"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        why = "is a link or a device"
    elif entry.flag_bits & 0x1:
        why = "is encrypted"
    if why:
        raise InputError(
            f"{path} holds {name[:80]!r}, which {why}. Nothing of it was unpacked. Unpack it "
            "yourself if you trust it, and give the folder."
        )


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path, path: Path) -> None:
    """One member, as long as it is no larger than it says and than pictures are."""
    most = min(entry.file_size, FREE_BYTES + MOST_TIMES * entry.compress_size, MOST_BYTES)
    written = 0
    place.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, place.open("xb") as stream:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > most:
                raise InputError(
                    f"{path}: {entry.filename[:80]!r} unpacks to more than it says, or to more "
                    f"than {MOST_TIMES} times its size. Nothing of the archive is used."
                )
            stream.write(chunk)
    os.chmod(place, 0o644)
