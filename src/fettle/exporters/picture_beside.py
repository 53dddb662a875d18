"""What lies beside exported weights of pictures: how a picture becomes pixels, in words and as a
file that does it, and a page that says how to open the network."""

from pathlib import Path
from typing import Any

import numpy as np

from fettle.core.parts import Exportable
from fettle.exporters import beside, pixels
from fettle.store import files, pictures

__all__ = ["pixels_of", "write"]

HOW = (
    "A row is one picture: upright as its EXIF says, RGB, 16-bit grey as 8, transparent parts on "
    "white; of an animation its first frame.",
    "A JPEG may be decoded at the smallest eighth of its size that has `room` pixels on the "
    "shorter side. Ends of a picture longer than 4 times its shorter side are cut off.",
    "Its shorter side is resized to `room` by `interpolation`, as pillow does it; the middle of "
    "`room`, and of that the middle of `side` pixels a side, is what the network sees.",
    "pixels: uint8 (rows, side, side, 3). pixels.py does all of this with pillow and numpy.",
)


def write(given: Exportable, folder: Path, network: str, form: str, how: str, **more: Any) -> None:
    """preprocessing.json, pixels.py and README.md.

    Args:
        given: the version.
        folder: to fill.
        network: the file that holds the network.
        form: what the folder is, in words.
        how: it is opened, for the page.
        more: that stands in preprocessing.json too.
    """
    assert given.card.picture is not None, "the card of a network of pictures says what it takes"
    picture = given.card.picture
    files.write_json(folder / "preprocessing.json", {
        "version": given.id, "network": network, "fields": list(given.encoder["fields"]),
        **{key: given.encoder[key] for key in ("side", "room", "interpolation")},
        "channels": picture.channels, "mean": list(picture.mean), "std": list(picture.std),
        "how": [*HOW, beside.SENTENCES[given.answers]], **beside.outputs(given), **more,
    })
    files.copy_file(Path(pixels.__file__), folder / "pixels.py")
    beside.write_readme(given, folder, form, how, becomes="pixels")


def pixels_of(folder: Path, rows: Any) -> np.ndarray:
    """The pixels of rows by the folder's preprocessing, uint8 (rows, side, side, 3)."""
    return pixels.Pixels(folder)([pictures.content_of(row[0]) for row in rows])
