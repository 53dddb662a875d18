"""Decoding: a picture's bytes in, upright RGB pixels out, or one sentence that says why not.

Nothing is decoded before its header has said that it is of a format that we allow and not too
large. What is half there is refused: a picture that is cut short is no picture.
"""

import base64
import hashlib
import io
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fettle.core.errors import InputError
from fettle.core.pictures import Look

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "ENDINGS", "FORMATS", "MOST_BYTES", "MOST_PIXELS", "TooManyPixels", "decoded", "look",
    "overlaid", "sharpness", "sides", "thumbnail",
]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "MPO")
"""What is opened at all. Pillow knows some forty more; each is a way in."""
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MOST_PIXELS = 50_000_000
MOST_SIDE = 30_000
MOST_BYTES = 200_000_000
HASHED = 8
"""Points a side of the difference hash."""
SHOWN_SIDE = 96
"""Pixels of a thumbnail."""
POINTS = 16
"""A side, of what is kept to compare two pictures by."""
JUDGED_SIDE = 256
"""Pixels a side at which brightness, contrast and sharpness are taken."""


ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)
"""The EXIF tag that says how a picture was held, and its values where height is width."""
WIDTH, BITS, BANDS, EXTRA, KIND = 256, 258, 277, 338, 339
"""Tags of a TIFF: pixels in a line, bits of each band, how many bands, what those beside the
colors are (0: it does not say), and whether numbers are whole, signed or fractions."""
SIXTEEN = 65_535
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it complains of, our errors say
DEEP = re.compile(";16[BLN]")
"""In Pillow's word for how colors of 16 bits lie in a file; BGR;16 has 16 bits for all three."""


class TooManyPixels(InputError):
    """Its header says that it is larger than what is decoded."""


def decoded(content: bytes, *, side: int | None = None) -> "Image":
    """The picture upright and in RGB: first frame, transparent parts on white, 16 bits as 8.

    Args:
        content: of the file.
        side: where no more pixels than this are needed on the shorter side, a JPEG is decoded at
            the smallest eighth of its size that still has them.

    Raises:
        InputError: it is no picture that we open, is damaged, or is too large; the message has no
            place in it: the caller knows the file's name.
    """
    return _upright(content, side)[0]


def sides(content: bytes) -> tuple[int, int]:
    """Width and height of the upright picture, of which only the header is read.

    Raises:
        TooManyPixels: nobody should decode it.
        InputError: it is no picture that we open.
    """
    picture = _opened(content)
    try:
        lies = picture.getexif().get(ORIENTATION) in LYING
    except Exception:  # what its camera wrote cannot be read; then it is as it stands
        lies = False
    width, height = picture.size
    return (height, width) if lies else (width, height)


def thumbnail(content: bytes) -> str:
    """The picture at up to 96 pixels a side, as a data: address.

    Raises:
        InputError: as `decoded`.
    """
    small = decoded(content, side=SHOWN_SIDE)
    small.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return _address(small)


def overlaid(pixels: np.ndarray, weights: np.ndarray) -> str:
    """Pixels that are dark where weights are low, as a data: address.

    Args:
        pixels: uint8 (height, width, 3).
        weights: float (any, any), from 0 on; stretched over the picture.
    """
    from PIL import Image

    share = weights / max(float(weights.max()), 1e-12)
    small = Image.fromarray(pixels).resize((SHOWN_SIDE, SHOWN_SIDE))
    light = Image.fromarray((share * 255).astype(np.uint8)).resize(small.size)
    shade = 0.25 + 0.75 * np.asarray(light, dtype=np.float32)[..., None] / 255
    return _address(Image.fromarray((np.asarray(small) * shade).astype(np.uint8)))


def _address(picture: "Image") -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def look(content: bytes) -> Look:
    """What is to be known of a picture before it is used. Everything of it is decoded.

    Raises:
        InputError: as `decoded`.
    """
    _verify(content)
    picture, facts = _upright(content, None)
    array = np.asarray(picture)
    small = picture.convert("L")
    small.thumbnail((JUDGED_SIDE, JUDGED_SIDE))
    grey = np.asarray(small, dtype=np.float32) / 255
    edge = max(min(grey.shape) // 50, 1)
    frame = np.concatenate([grey[:edge].ravel(), grey[-edge:].ravel(),
                            grey[:, :edge].ravel(), grey[:, -edge:].ravel()])
    digest = hashlib.sha256(f"{picture.width}x{picture.height}".encode() + array.tobytes())
    return Look(
        width=picture.width, height=picture.height, **facts,
        pixels=digest.hexdigest(), dhash=_dhash(picture), points=_points(picture),
        brightness=round(float(grey.mean()), 5), contrast=round(float(grey.std()), 5),
        sharpness=round(sharpness(grey), 7), border=round(float(frame.std()), 5),
    )


def _upright(content: bytes, side: int | None) -> tuple["Image", dict[str, Any]]:
    from PIL import Image, ImageOps

    picture = _opened(content)
    try:
        facts = {"format": picture.format or "", "mode": _stored(picture),
                 "frames": int(getattr(picture, "n_frames", 1))}
        if side is not None and picture.format == "JPEG":
            picture.draft(picture.mode, (side, side))
        picture.load()
        upright: Image.Image = ImageOps.exif_transpose(picture)
        return _in_color(upright), facts
    except InputError:
        raise
    except MemoryError as error:
        raise InputError("there is not enough memory to decode it") from error
    except Exception as error:  # each decoder fails in its own way
        raise InputError(f"it is damaged or cut short ({_why(error)})") from error


def _opened(content: bytes) -> "Image":
    """The picture with only its header read.

    Raises:
        InputError: it is empty, of no format that we open, or too large.
    """
    from PIL import Image

    if not content:
        raise InputError("the file is empty")
    if len(content) > MOST_BYTES:
        raise InputError(f"the file has {len(content):,} bytes; {MOST_BYTES:,} are the most")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its warnings are about what is measured here
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise TooManyPixels(f"it claims to be larger than any picture ({error})") from error
    except Exception as error:
        raise InputError(
            _no_picture_of(content)
            or "it is none of JPEG, PNG, WebP, BMP, GIF and TIFF, or is damaged or cut short"
        ) from error
    pixels = picture.width * picture.height
    if pixels > MOST_PIXELS or max(picture.size) > MOST_SIDE:
        raise TooManyPixels(
            f"it is {picture.width:,} x {picture.height:,} pixels; {MOST_PIXELS // 10**6} million "
            f"are the most, and {MOST_SIDE:,} a side"
        )
    if not pixels:
        raise InputError("it has no pixels")
    return picture


def _stored(picture: "Image") -> str:
    """The mode, with ;16 where a color has so many bits, and the number of bands that are not read.

    Bands beside the colors of a TIFF of which it does not say what they are, are not read.
    """
    tiles = getattr(picture, "tile", ())
    sixteen = "I" not in picture.mode and any(DEEP.search(str(tile[3])) for tile in tiles)
    extra = getattr(picture, "tag_v2", {}).get(EXTRA, ())
    bands = sum(one == 0 for one in extra) if isinstance(extra, tuple) else 0
    return f"{picture.mode}{';16' if sixteen else ''}{f'+{bands}' if bands else ''}"


def _no_picture_of(content: bytes) -> str:
    """Why a whole TIFF is none that Pillow opens; "" where it is no TIFF, or nothing is known."""
    from PIL import TiffImagePlugin

    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tags that nothing here hangs on
            head = stream.read(8)
            head += stream.read(8) if head[2] == 43 else b""  # a BigTIFF's is longer
            tags = TiffImagePlugin.ImageFileDirectory_v2(head)
            begin = stream.seek(tags.next)
            tags.load(stream)
            bits, kind = tags.get(BITS, (1,))[0], tags.get(KIND, (1,))[0]
            bands = int(tags.get(BANDS, 1))
    except Exception:  # no TIFF, or a torn one: each fails in its own way
        return ""
    if tags.next == begin or WIDTH not in tags:  # it was not read to its end
        return ""
    sort = {2: "signed numbers", 3: "fractions"}.get(kind, "whole numbers")
    return (
        f"it is a TIFF of {bands:,} band{'s' if bands != 1 else ''}, {sort} of {bits} bits, "
        "which Pillow, the library that decodes, does not open; write what matters of it as grey, "
        "or as red, green and blue, of 8 or 16 bits"
    )


def _verify(content: bytes) -> None:
    """A PNG's checksums: decoding alone passes over what is cut off behind the last row.

    Raises:
        InputError: they are wrong.
    """
    picture = _opened(content)
    try:
        picture.verify()
    except Exception as error:
        raise InputError(f"it is damaged or cut short ({_why(error)})") from error


def _in_color(picture: "Image") -> "Image":
    """RGB: 16-bit grey scaled to 8, transparent parts on white."""
    from PIL import Image

    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float64)
        low, high = values.min(), values.max()
        if low < 0 or high > SIXTEEN:
            raise InputError(
                f"its numbers go from {low:,.0f} to {high:,.0f}, and whole ones from 0 to "
                f"{SIXTEEN:,} can be read; bring them to that range and save it again"
            )
        picture = Image.fromarray((values / 257).round().astype(np.uint8))
    if picture.mode == "F":
        raise InputError("its pixels are fractions without a scale; save it with 8 or 16 bits")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, clear)
    return picture.convert("RGB")


def _dhash(picture: "Image") -> int:
    """64 bits that stay where a picture is scaled, saved anew or slightly changed.

    Source: Krawetz, "Kind of Like That", hackerfactor.com, 2013 (the difference hash).
    """
    from PIL import Image

    grey = np.asarray(picture.convert("L").resize((HASHED + 1, HASHED), Image.Resampling.BOX))
    bits = (grey[:, :-1] > grey[:, 1:]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def _points(picture: "Image") -> str:
    from PIL import Image

    grey = picture.convert("L").resize((POINTS, POINTS), Image.Resampling.BOX)
    return np.asarray(grey).tobytes().hex()


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian; 0.0 for what has no inside.

    Args:
        grey: float (height, width), from 0 (black) to 1 (white).
    """
    if min(grey.shape) < 3:
        return 0.0
    inside = (grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
              - 4 * grey[1:-1, 1:-1])
    return float(inside.var())


def _why(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
