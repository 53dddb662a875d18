"""Answers of an exported .keras file: pictures in, outputs out. It needs Keras 3 with any backend,
pillow and numpy, and nothing else; a copy of it lies beside the file that it asks.

    answers = Answers("folder")
    print(answers(["scan-17.png"]))
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageOps

__all__ = ["Answers"]

LONGEST = 4
"""Times its shorter side that a picture is kept long."""


class Answers:
    """The exported model in one folder."""

    def __init__(self, folder: str | Path) -> None:
        """Open it, in Keras's safe mode."""
        folder = Path(folder)
        self.told = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        self.classes: list[str] = self.told["classes"]
        self.model = keras.saving.load_model(
            folder / self.told["network"], compile=False, safe_mode=True
        )

    def __call__(self, files: Sequence[str | Path]) -> list[str]:
        """The likeliest class of each picture."""
        pixels = np.stack([self.pixels(one) for one in files])
        return [self.classes[best] for best in self.outputs(pixels).argmax(axis=1)]

    def outputs(self, pixels: np.ndarray) -> np.ndarray:
        """What goes into the softmax, (rows, classes), of RGB pixels (rows, side, side, 3)."""
        given = pixels.astype(np.float32)
        if self.told["channels"] != 3:
            given = given.mean(axis=3, keepdims=True).repeat(self.told["channels"], axis=3)
        return keras.ops.convert_to_numpy(self.model(given, training=False))

    def pixels(self, picture: str | Path | bytes) -> np.ndarray:
        """uint8 (side, side, 3): the middle of a picture, upright, RGB; of a path, or of bytes."""
        room = self.told["room"]
        content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
        opened: Any = Image.open(io.BytesIO(content))
        if opened.format == "JPEG":  # decoded at the smallest eighth that has enough pixels
            opened.draft(opened.mode, (room, room))
        made = _in_color(ImageOps.exif_transpose(opened))
        width, height = (min(length, LONGEST * min(made.size)) for length in made.size)
        left, top = (made.width - width) // 2, (made.height - height) // 2
        made = made.crop((left, top, left + width, top + height))
        scale = room / min(made.size)
        size = tuple(max(round(length * scale), room) for length in made.size)
        if size != made.size:
            kind = getattr(Image.Resampling, self.told["interpolation"].upper())
            made = made.resize(size, kind)
        pixels = np.asarray(made)
        for length in (room, self.told["side"]):
            top, left = ((one - length) // 2 for one in pixels.shape[:2])
            pixels = pixels[top : top + length, left : left + length]
        return pixels


def _in_color(picture: Any) -> Any:
    """RGB: 16-bit grey scaled to 8, transparent parts on white."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.float64)
        picture = Image.fromarray(np.clip(values / 257, 0, 255).round().astype(np.uint8))
    if "A" in picture.mode.upper() or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, clear)
    return picture.convert("RGB")
