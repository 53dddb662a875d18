"""Both ends of an exported network of pictures: files or bytes in, pixels out; its outputs in,
answers out. It needs pillow and numpy, and nothing else; a copy of it lies beside the network.

    pixels = Pixels("folder")
    batch = pixels(["cat.jpg", "dog.png"])                 # uint8 (2, side, side, 3)
    print(pixels.answers(outputs))
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

__all__ = ["Pixels"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "MPO")
MOST_PIXELS = 50_000_000
SIXTEEN = 65_535
LONGEST = 4
"""Times its shorter side that a picture is kept long."""
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS,
}


class Pixels:
    """How pictures are shown, by the preprocessing.json of a folder."""

    def __init__(self, folder: str | Path) -> None:
        """Read it."""
        told = json.loads((Path(folder) / "preprocessing.json").read_text(encoding="utf-8"))
        self.told: dict[str, Any] = told
        self.classes: list[str] = told["classes"]
        self.side, self.room = int(told["side"]), int(told["room"])
        self.resampling = RESAMPLING.get(told["interpolation"], Image.Resampling.BICUBIC)

    def __call__(self, pictures: Sequence[str | Path | bytes]) -> np.ndarray:
        """uint8 (rows, side, side, 3): the middle of each picture, upright, RGB.

        Args:
            pictures: paths, or the bytes of files.
        """
        return np.stack([self._one(picture) for picture in pictures])

    def answers(self, outputs: Any) -> list[str] | list[float] | list[list[str]]:
        """What each row is: its likeliest class; all labels that reach their thresholds, in the
        order of `classes`; or a number.

        Args:
            outputs: (rows, classes), of the network; logits, where it gives probabilities too.
        """
        outputs = np.asarray(outputs, dtype=np.float64)
        if self.told["answers"] == "numbers":
            return outputs[:, 0].tolist()
        if self.told["answers"] == "labels":
            said = np.exp(-np.logaddexp(0.0, -outputs))
            called = said >= np.array(self.told["thresholds"])
            return [[self.classes[at] for at in np.flatnonzero(row)] for row in called]
        return [self.classes[best] for best in outputs.argmax(axis=1)]

    def _one(self, given: str | Path | bytes) -> np.ndarray:
        content = given if isinstance(given, bytes) else Path(given).read_bytes()
        picture: Any = Image.open(io.BytesIO(content), formats=FORMATS)
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"{picture.width} x {picture.height} pixels are too many.")
        if picture.format == "JPEG":  # decoded at the smallest eighth that has enough pixels
            picture.draft(picture.mode, (self.room, self.room))
        picture = _in_color(ImageOps.exif_transpose(picture))
        width, height = (min(length, LONGEST * min(picture.size)) for length in picture.size)
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        if (width, height) != picture.size:
            picture = picture.crop((left, top, left + width, top + height))
        scale = self.room / min(width, height)
        size = tuple(max(round(length * scale), self.room) for length in (width, height))
        if size != picture.size:
            picture = picture.resize(size, self.resampling)
        return self._middle(np.asarray(picture))

    def _middle(self, pixels: np.ndarray) -> np.ndarray:
        """Of what was resized its middle, `room` a side; of that the middle, `side` a side."""
        for length in (self.room, self.side):
            top, left = ((given - length) // 2 for given in pixels.shape[:2])
            pixels = pixels[top : top + length, left : left + length]
        return pixels


def _in_color(picture: Any) -> Any:
    """RGB: 16-bit grey scaled to 8, transparent parts on white."""
    if picture.mode == "F":
        raise ValueError("Its pixels are fractions without a scale; save it with 8 or 16 bits.")
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float64)
        low, high = values.min(), values.max()
        if low < 0 or high > SIXTEEN:
            raise ValueError(f"Its numbers go from {low:,.0f} to {high:,.0f}; whole ones from 0 "
                             f"to {SIXTEEN:,} can be read.")
        picture = Image.fromarray((values / 257).round().astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, clear)
    return picture.convert("RGB")
