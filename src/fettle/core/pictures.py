"""Pictures as cells: what stands in a table where a row holds a picture, and what was seen of it.

A cell never holds a path: it is the hash of the file's bytes, or the bytes themselves. A row
therefore means the same wherever its files lie, and no text of a user's is ever opened.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from fettle.core.errors import InputError

__all__ = [
    "HASH", "INLINE", "Illustration", "Look", "by_hash", "cell_of_bytes", "cell_of_hash", "hash_in",
    "inline_bytes", "is_picture",
]

HASH, INLINE = "sha256:", "data:"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one picture when it was read, upright and in color."""

    width: int
    height: int
    format: str
    """JPEG, PNG, WEBP, BMP, GIF, TIFF or MPO, by content and not by the file's name."""
    mode: str
    """As it is stored: L, RGB, RGBA, CMYK, I;16 ...; RGB;16+2: of 16 bits, and with two bands more,
    which are not read."""
    frames: int
    pixels: str
    """A hash of the upright RGB pixels: equal for pictures that look the same to the last bit."""
    dhash: int
    """64 bits: at 8 rows of 9 grey points, whether each is brighter than the one to its right."""
    points: str
    """256 grey values at 16 by 16 points, in hex: to look twice where two hashes are near."""
    brightness: float
    """Mean grey value, 0 (black) to 1 (white)."""
    contrast: float
    """Standard deviation of the grey values, 0 to 0.5."""
    sharpness: float
    """Variance of the Laplacian, grey values from 0 to 1, at up to 256 pixels a side."""
    border: float
    """Contrast of the outermost fiftieth on all sides: near 0 where there is a frame."""

    @property
    def colors(self) -> str:
        """Its mode without bits and further bands: L, RGB, RGBA, CMYK, I ..."""
        return re.split("[;+]", self.mode)[0]


@dataclass(frozen=True, slots=True)
class Illustration:
    """One row's picture for a report; each is a JPEG as a data: address."""

    thumbnail: str
    looked: str
    """Brighter where the answer hangs on what is there; "" where that was not looked for."""


def cell_of_hash(sha256: str) -> str:
    """The cell of a picture whose bytes lie where `store.pictures` finds them by this hash."""
    return HASH + sha256


def cell_of_bytes(content: bytes) -> str:
    """A cell that holds the picture's own bytes: it can be asked on any machine."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"  # what it is, its bytes say
    return f"{INLINE}image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def is_picture(cell: str) -> bool:
    """Whether a cell reads as one of a picture."""
    return hash_in(cell) is not None or cell.startswith(f"{INLINE}image/")


def by_hash(cell: str) -> str:
    """The cell of the same picture by its hash, however it is held; any other text as it is."""
    if not cell.startswith(f"{INLINE}image/"):
        return cell
    try:
        content = inline_bytes(cell) or b""
    except InputError:
        return cell
    return cell_of_hash(hashlib.sha256(content).hexdigest())


def hash_in(cell: str) -> str | None:
    """The hash in a cell; None where it holds bytes, or is no picture's cell."""
    text = cell.removeprefix(HASH)
    known = cell.startswith(HASH) and len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text if known else None


def inline_bytes(cell: str, *, place: str = "The row") -> bytes | None:
    """The bytes in a cell; None where it is a hash.

    Raises:
        InputError: it is neither.
    """
    if hash_in(cell) is not None:
        return None
    head, comma, body = cell.partition(",")
    if not (cell.startswith(INLINE) and comma and head.endswith(";base64")):
        raise InputError(
            f"{place} holds {cell[:40]!r}, which is no picture. From Python or over HTTP "
            "it is given as its bytes: data:image/png;base64,... On the command line: a path."
        )
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{place}: the picture's bytes are not base64 ({error}).") from error
