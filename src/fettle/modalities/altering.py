"""Altering: a picture's pixels in, the same altered as by a published recipe out.

The recipes are torchvision's own. What they draw comes from torch's generator, which is set from
the caller's for the time of one picture and put back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["RECIPES", "altered", "mixed"]

RECIPES = ("trivial", "rand")
OPERATIONS, MAGNITUDE = 2, 9
"""Of RandAugment, as torchvision has them: N and M of the paper's search, out of 30."""
SEEDS = 2**62


def altered(
    pixels: np.ndarray, *, kind: str, erasing: float, fill: Sequence[float],
    rng: np.random.Generator,
) -> np.ndarray:
    """uint8 (side, side, 3), altered.

    Args:
        pixels: uint8 (side, side, 3).
        kind: trivial, rand, or another, which alters nothing before the erasing.
        erasing: probability that a rectangle is painted over.
        fill: the color that it is painted in, from 0 to 255: that which the network sees as 0.
        rng: of all that is drawn.

    Source: Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data
    Augmentation", ICCV 2021, section 3 (the wide space); Cubuk et al., "RandAugment: Practical
    Automated Data Augmentation with a Reduced Search Space", NeurIPS 2020, section 3; Zhong et
    al., "Random Erasing Data Augmentation", AAAI 2020, algorithm 1.
    """
    from PIL import Image

    steps = ([_recipe(kind)] if kind in RECIPES else []) + (
        [_erasing(erasing, tuple(fill))] if erasing else [])
    picture: Any = Image.fromarray(np.ascontiguousarray(pixels))
    with _drawing_from(rng):
        for step in steps:
            picture = step(picture)
    return np.asarray(picture)


def mixed(
    pixels: "torch.Tensor", other: "torch.Tensor", *, mixup: float, cutmix: float,
    rng: np.random.Generator,
) -> "tuple[torch.Tensor, float]":
    """Pixels with others mixed into them, and the share of the first.

    Where both are asked for, a coin decides which. The share is drawn once for all rows.

    Args:
        pixels, other: uint8 (rows, side, side, 3).
        mixup, cutmix: both shapes of the beta distribution of the share; 0 where it is not done.
        rng: of all that is drawn.

    Returns:
        float (rows, side, side, 3) of mixup, uint8 of cutmix.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, equation 2; Yun et
    al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
    ICCV 2019, equations 1 and 2.
    """
    cuts = cutmix > 0 and not (mixup > 0 and rng.random() < 0.5)
    share = float(rng.beta(*(cutmix if cuts else mixup,) * 2))
    if not cuts:
        return share * pixels.float() + (1 - share) * other.float(), share
    top, bottom, left, right = _box(pixels.shape[1], pixels.shape[2], share, rng)
    made = pixels.clone()
    made[:, top:bottom, left:right] = other[:, top:bottom, left:right]
    covered = (bottom - top) * (right - left) / (pixels.shape[1] * pixels.shape[2])
    return made, 1 - covered


def _box(
    height: int, width: int, share: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A rectangle of 1 - share of the area around a place anywhere, cut off at the edges."""
    part = (1 - share) ** 0.5
    down, across = int(rng.integers(height)), int(rng.integers(width))
    high, wide = int(height * part) // 2, int(width * part) // 2
    return (max(down - high, 0), min(down + high, height),
            max(across - wide, 0), min(across + wide, width))


@cache
def _recipe(kind: str) -> Any:
    from torchvision.transforms import v2

    return v2.TrivialAugmentWide() if kind == "trivial" else v2.RandAugment(OPERATIONS, MAGNITUDE)


@cache
def _erasing(share: float, fill: tuple[float, ...]) -> Any:
    from torchvision.transforms import v2

    return v2.RandomErasing(share, value=fill)


@contextmanager
def _drawing_from(rng: np.random.Generator) -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(SEEDS)))
        yield
