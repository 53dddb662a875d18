"""Pictures by the hash of their bytes: kept where they lie, found again, and checked when read.

A file of the user's is not copied: a link under its hash leads to it. Whoever reads it through the
link gets the bytes that were hashed, or an error.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from fettle.core.errors import MissingFile, StoreError
from fettle.core.pictures import cell_of_hash, hash_in, inline_bytes
from fettle.store import files, folders

__all__ = ["content_of", "keep_bytes", "keep_file"]


def keep_file(path: Path, content: bytes) -> str:
    """The cell of a picture's file; a link to it stands in the cache.

    Raises:
        StoreError: the cache cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    place, target = _place(digest), path.resolve()
    with suppress(OSError):
        if Path(os.readlink(place)) == target:
            return cell_of_hash(digest)
    temporary = folders.temporary(place)
    try:
        folders.make(place.parent)
        temporary.symlink_to(target)
        os.replace(temporary, place)
    except OSError as error:
        raise _not_kept(place, error) from error
    return cell_of_hash(digest)


def keep_bytes(content: bytes) -> str:
    """The cell of a picture that stands in no file of its own; the cache holds its bytes.

    Raises:
        StoreError: the cache cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    place = _place(digest)
    if not place.is_file():
        files.write_bytes(place, content)
    return cell_of_hash(digest)


def content_of(cell: str) -> bytes:
    """The bytes of a picture.

    Raises:
        InputError: the cell is no picture's.
        MissingFile: its file is gone, or holds something else by now.
    """
    inline = inline_bytes(cell)
    if inline is not None:
        return inline
    digest = hash_in(cell)
    assert digest is not None, "a cell is a hash or holds bytes"
    place = _place(digest)
    try:
        content = place.read_bytes()
    except OSError as error:
        where = f" ({os.readlink(place)})" if place.is_symlink() else ""
        raise MissingFile(
            f"The picture {digest[:12]}...{where} is not where it was when the data was read. Put "
            "it back, or give the command again with the data as it is now."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise MissingFile(
            f"{place.resolve()} is not the picture that was read ({digest[:12]}...): it was "
            "changed since. Give the command again with the data as it is now."
        )
    return content


def _place(digest: str) -> Path:
    return folders.cache() / "pictures" / digest[:2] / digest


def _not_kept(place: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{place} cannot be written: {error.strerror or error}. Set XDG_CACHE_HOME to a folder "
        "that can."
    )
