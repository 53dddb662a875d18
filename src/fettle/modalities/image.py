"""Pictures: cells to pixels, the same code in training and in serving.

A picture is decoded at the smallest scale that will do, its shorter side is brought to the length
that the model's card asks for, and the middle is cut out. Many pictures are decoded once: what
came of them lies in the cache and is mapped from there.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fettle.core.errors import InputError, StoreError
from fettle.core.parts import Card
from fettle.core.pictures import cell_of_bytes, hash_in
from fettle.core.plan import Pictures, Texts
from fettle.measures.traits import picture_traits
from fettle.modalities.altering import RECIPES, altered, mixed
from fettle.store import arrays, decoding, files, folders, pictures

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

__all__ = ["ImageEncoder"]

SETTINGS = "encoder.json"
UNIT = 16
"""A picture costs one for each square of so many pixels a side."""
CACHED = 64
"""Fewer pictures than this are decoded each time: a question is not kept."""
CACHE_BYTES = 20 << 30
CODE = "2"
"""Raised whenever a change here changes pixels."""
GREY = 127
LONGEST = 4
"""Times its shorter side that a picture is kept long."""
CROP_SCALE = (0.35, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
TRIES = 10


class ImageEncoder:
    """Pictures to uint8 pixels, (room, room, 3) a row; the network scales and normalises them."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.side = int(settings["side"])
        self.room = int(settings["room"])

    @classmethod
    def fit(
        cls, card: Card, material: str = "", *, fields: tuple[str, ...], max_tokens: int = 0,
        pictures: Pictures | None = None, texts: Texts | None = None,
    ) -> "ImageEncoder":
        """The encoder for this network, this column of pictures and this size.

        Args:
            card: of a network of pictures.
            material, max_tokens, texts: of texts; not used.
            fields: the one column of pictures.
            pictures: what the plan says of size and augmentation; None for the card's size and
                none.
        """
        assert card.picture is not None, "an encoder of pictures needs a card of one"
        if len(fields) != 1:
            raise InputError(f"A row is read as one picture, and {len(fields)} columns are named.")
        made = pictures or Pictures(side=card.picture.side)
        return cls({
            "fields": list(fields),
            "side": made.side,
            "room": max(round(made.side / card.picture.crop), made.side),
            "interpolation": card.picture.interpolation,
            "augment": made.augment,
            "flip": made.flip,
            "erasing": made.erasing,
            "mixup": made.mixup,
            "cutmix": made.cutmix,
            "fill": _unseen(card.picture.mean),
        })

    @classmethod
    def load(cls, paths: Mapping[str, Path]) -> "ImageEncoder":
        """The encoder that `save` wrote."""
        return cls(files.read_json(paths[SETTINGS]))

    @property
    def fields(self) -> tuple[str, ...]:
        """The one column of pictures."""
        return tuple(self.settings["fields"])

    def encode(self, rows: Sequence[tuple[str, ...]]) -> list[np.ndarray]:
        """Pixels of each row, uint8 (room, room, 3).

        Raises:
            InputError: a cell is no picture, or one that cannot be decoded.
            MissingFile: a picture is not where it was when the data was read.
        """
        cells = [row[0] for row in rows]
        if len(cells) < CACHED or any(hash_in(cell) is None for cell in cells):
            return self._decoded(cells)
        try:
            return list(self._kept(cells))
        except StoreError:  # no room to keep them: then they are held in memory
            return self._decoded(cells)

    def views(self, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The picture as training sees it this time, uint8 (side, side, 3)."""
        kind, erasing = self.settings["augment"], float(self.settings.get("erasing", 0.0))
        if kind == "none" and not erasing:
            return item
        seen = self._middle(item)
        if kind != "none":
            crop = _random_crop(item, rng)
            if self.settings["flip"] and rng.random() < 0.5:
                crop = crop[:, ::-1]
            seen = _resized(crop, self.side, self.side, self.settings["interpolation"])
        if kind in RECIPES or erasing:
            seen = altered(seen, kind=kind, erasing=erasing, fill=self.settings["fill"], rng=rng)
        return seen

    @property
    def mixes(self) -> bool:
        """Whether training mixes pictures of a batch with each other."""
        return bool(self.settings.get("mixup") or self.settings.get("cutmix"))

    def mix(
        self, batch: "dict[str, torch.Tensor]", other: "dict[str, torch.Tensor]",
        rng: np.random.Generator,
    ) -> "tuple[dict[str, torch.Tensor], float]":
        """A batch with another of the same size mixed into it, and the share of the first."""
        pixels, share = mixed(batch["pixels"], other["pixels"], mixup=self.settings["mixup"],
                              cutmix=self.settings["cutmix"], rng=rng)
        return {**batch, "pixels": pixels}, share

    def _middle(self, item: np.ndarray) -> np.ndarray:
        """What is seen of an item without any change, (side, side, 3)."""
        start = (item.shape[0] - self.side) // 2
        return item[start : start + self.side, start : start + self.side]

    def size(self, item: np.ndarray) -> int:
        """Squares of 16 by 16 pixels of what the network sees."""
        return max((self.side // UNIT) ** 2, 1)

    def collate(self, items: Sequence[np.ndarray]) -> "dict[str, torch.Tensor]":
        """pixels: uint8 (rows, side, side, 3), the middle of each."""
        import torch

        made = np.empty((len(items), self.side, self.side, 3), np.uint8)
        for row, item in enumerate(items):
            made[row] = self._middle(item)
        return {"pixels": torch.from_numpy(made)}

    def plain(self, rows: Sequence[tuple[str, ...]]) -> list[np.ndarray]:
        """16 by 16 pixels in color, laid out flat: (768,) each."""
        return [_small(item) for item in self.encode(rows)]

    def traits(
        self, rows: Sequence[tuple[str, ...]], items: Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Light and color of each picture, how sharp the network sees it, and its own size."""
        sides = [decoding.sides(pictures.content_of(row[0])) for row in rows]
        return picture_traits(
            [_small(item) for item in items], sides,
            [decoding.sharpness(item.mean(axis=2, dtype=np.float32) / 255) for item in items],
        )

    def portable(self, rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """The same rows with the pictures' own bytes in their cells."""
        return [(cell_of_bytes(pictures.content_of(row[0])),) for row in rows]

    def covered(self, item: np.ndarray, cells: int) -> list[np.ndarray]:
        """What the network sees of an item, then the same with each square of a grid in grey."""
        seen = np.ascontiguousarray(self._middle(item))
        edges = np.linspace(0, self.side, cells + 1).astype(int)
        made = [seen]
        for top, bottom in pairwise(edges):
            for left, right in pairwise(edges):
                copy = seen.copy()
                copy[top:bottom, left:right] = GREY
                made.append(copy)
        return made

    def samples(self) -> list[tuple[str, ...]]:
        """Four drawn pictures: a ramp, stripes, a disc, noise."""
        return [(cell_of_bytes(_png(pixels)),) for pixels in _drawn(self.side)]

    def save(self, folder: str) -> None:
        """The settings."""
        files.write_text(Path(folder) / SETTINGS, json.dumps(self.settings, indent=1))

    def _decoded(self, cells: Sequence[str]) -> list[np.ndarray]:
        if len(cells) < 2:
            return [self._one(cell) for cell in cells]
        with ThreadPoolExecutor(max_workers=cpu_count() or 1) as pool:
            return list(pool.map(self._one, cells))

    def _one(self, cell: str) -> np.ndarray:
        try:
            picture = decoding.decoded(pictures.content_of(cell), side=self.room)
        except InputError as error:
            raise InputError(f"A picture cannot be read: {error}.") from error
        picture = _shortened(picture)
        scale = self.room / min(picture.size)
        width, height = (max(round(length * scale), self.room) for length in picture.size)
        pixels = _resized(np.asarray(picture), width, height, self.settings["interpolation"])
        left, top = (width - self.room) // 2, (height - self.room) // 2
        return np.ascontiguousarray(pixels[top : top + self.room, left : left + self.room])

    def _kept(self, cells: Sequence[str]) -> np.ndarray:
        """All of them from one file of the cache, made now where there is none."""
        folder, name = folders.cache() / "decoded", self._key(cells)
        found = arrays.read(folder, name)
        if found is not None:
            return found[0]
        shape = (len(cells), self.room, self.room, 3)
        if not arrays.make_room(folder, int(np.prod(shape)), CACHE_BYTES):
            raise StoreError("The decoded pictures are too many for the cache.")
        filling = arrays.Filling(folder, name, shape, "uint8")
        try:
            for start in range(0, len(cells), CACHED):
                some = self._decoded(cells[start : start + CACHED])
                filling.values[start : start + len(some)] = some
            filling.finish({})
        finally:
            filling.drop()
        return filling.values

    def _key(self, cells: Sequence[str]) -> str:
        facts = (CODE, self.room, self.settings["interpolation"], *cells)
        return hashlib.sha256("|".join(map(str, facts)).encode()).hexdigest()[:24]


def _shortened(picture: "Image") -> "Image":
    """Without the ends of a very long one, which are cut off in any case.

    A line that is one pixel wide would be enlarged to gigabytes first.
    """
    width, height = (min(length, LONGEST * min(picture.size)) for length in picture.size)
    if (width, height) == picture.size:
        return picture
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _resized(pixels: np.ndarray, width: int, height: int, interpolation: str) -> np.ndarray:
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    kinds = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR,
             "lanczos": Image.Resampling.LANCZOS, "nearest": Image.Resampling.NEAREST}
    kind = kinds.get(interpolation, Image.Resampling.BICUBIC)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((width, height), kind))


def _small(item: np.ndarray) -> np.ndarray:
    """16 by 16 pixels in color, laid out flat."""
    return _resized(item, UNIT, UNIT, "bilinear").ravel()


def _unseen(mean: Sequence[float]) -> list[float]:
    """The color, from 0 to 255, that the network sees as nothing: its mean."""
    return [255 * one for one in (mean if len(mean) == 3 else [sum(mean) / len(mean)] * 3)]


def _random_crop(item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of 35% to 100% of the area, a little wider or higher than square.

    Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6; the lower
    bound is raised from 8%, as is usual for fine-tuning of a few epochs.
    """
    length = item.shape[0]
    for _ in range(TRIES):
        area = length**2 * rng.uniform(*CROP_SCALE)
        ratio = np.exp(rng.uniform(*np.log(CROP_RATIO)))
        width, height = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < width <= length and 0 < height <= length:
            left, top = rng.integers(length - width + 1), rng.integers(length - height + 1)
            return item[top : top + height, left : left + width]
    return item


def _drawn(side: int) -> list[np.ndarray]:
    ramp = np.linspace(0, 255, side)
    across, down = np.meshgrid(ramp, ramp)
    disc = 255.0 * (np.hypot(across - 127, down - 127) < 80)
    noise = np.random.default_rng(0).uniform(0, 255, (side, side))
    grey = (across, 255.0 * (np.arange(side) // 8 % 2) * np.ones((side, 1)), disc, noise)
    return [np.stack([one, one[::-1], one.T], axis=2).astype(np.uint8) for one in grey]


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
