"""The smallest real pictures: drawn shapes in class folders, and narrow networks of timm's own."""

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fettle.core.parts import Card

CLASSES = ("bar", "disc", "ring")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own: what is kept there does not outlive it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def drawn(kind: str, *, seed: int, side: int = 40) -> np.ndarray:
    """One shape somewhere on a noisy ground: uint8 (side, side, 3)."""
    rng = np.random.default_rng((seed, CLASSES.index(kind)))
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    x, y = rng.uniform(side * 0.35, side * 0.65, 2)
    far = np.hypot(across - x, down - y)
    size = side * rng.uniform(0.2, 0.3)
    inside = {"disc": far < size, "ring": (far < size) & (far > size * 0.6),
              "bar": np.abs(across - x) < size * 0.3}[kind]
    ground = rng.uniform(20, 90, (side, side, 3))
    ink = rng.uniform(150, 250, 3)
    return np.where(inside[..., None], ink, ground).astype(np.uint8)


def encoded(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """The bytes of a file of this format."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def tiff(bands: np.ndarray, *, photometric: int = 1, extra: tuple[int, ...] = ()) -> bytes:
    """A TIFF without compression of (height, width, bands), as Pillow itself does not write it.

    photometric: 1 grey, 2 red, green and blue. extra: what each further band is; 0 is not said.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    height, width, number = bands.shape
    tags = ImageFileDirectory_v2(prefix=b"II")
    tags[256], tags[257], tags[259], tags[262] = width, height, 1, photometric
    tags[258] = (bands.itemsize * 8,) * number
    tags[273], tags[277], tags[278], tags[279] = (0,), number, height, (bands.nbytes,)
    if extra:
        tags[338] = extra
    tags[339] = ({"u": 1, "i": 2, "f": 3}[bands.dtype.kind],) * number
    stream = io.BytesIO()
    tags.save(stream)
    return stream.getvalue() + bands.tobytes()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of some bytes whose header speaks of so many pixels."""
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))


def class_folders(root: Path, number: int, *, seed: int = 0, side: int = 40) -> Path:
    """So many pictures of each class, as PNG in a folder of its name."""
    for kind in CLASSES:
        folder = root / kind
        folder.mkdir(parents=True, exist_ok=True)
        for at in range(number):
            content = encoded(drawn(kind, seed=seed + at, side=side))
            (folder / f"{at:03}.png").write_bytes(content)
    return root


def timm_folder(folder: Path, architecture: str = "test_resnet", *, side: int = 32,
                seed: int = 0, **arguments: Any) -> Path:
    """A random network of timm's on the disk, every weight moved so that none is idle."""
    timm = pytest.importorskip("timm")
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = timm.create_model(architecture, num_classes=5, **arguments)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.05)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: one.contiguous() for name, one in model.state_dict().items()},
              folder / "model.safetensors")
    config = {
        "architecture": architecture, "num_classes": 5, "model_args": arguments,
        "pretrained_cfg": {"input_size": [3, side, side], "crop_pct": 0.9, "mean": [0.5] * 3,
                           "std": [0.25] * 3, "interpolation": "bilinear"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def card(folder: Path, architecture: str = "test_resnet", **arguments: Any) -> Card:
    """The card of such a network."""
    from fettle.models.cards import card_of

    return card_of(str(timm_folder(folder, architecture, **arguments)))
