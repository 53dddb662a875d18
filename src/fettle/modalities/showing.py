"""Showing: the learning pictures and a network's card in, how its pictures are to be shown out.

The size follows from the pictures; whether they may be mirrored is measured on them, class by
class: digits, letters, left and right turns and the sides of a body give themselves away.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from fettle.core.errors import SettingError, unknown_name
from fettle.core.parts import Card
from fettle.core.pictures import Look
from fettle.core.plan import Pictures
from fettle.modalities.altering import RECIPES
from fettle.modalities.asked import asked_for

__all__ = ["mirrored_share", "require", "shown", "units"]

LEAST_SIDE, STEP = 96, 32
ENLARGED = 2
"""Times its shorter side that a small picture is enlarged to at most: more shows nothing more."""
TOLD_APART = 0.6
"""Share of mirrored pictures that may be known as such; half is chance."""
FEWEST = 20
"""Pictures of a class on each half, below which nothing is said of mirroring."""
UNIT = 16
GREY = frozenset(("1", "L", "LA", "I", "F"))
"""How Pillow calls pictures without color."""
RESIZED = " Its vectors for places are resized to that, bicubic, at each pass."
AUGMENTATIONS = ("none", "light", *RECIPES)
NUMBERS = ("mixup", "cutmix", "erasing", "views")
VIEWS = 4
"""Kept of each row where pictures are altered by more than a light augmentation."""
LAYOUTS = ("channels last", "channels first")
MOST_SHAPE, MOST_VIEWS = 32.0, 64
SMALLEST, LARGEST = 16, 2048


def units(side: int) -> int:
    """What a picture of this side costs: squares of 16 by 16 pixels."""
    return max((side // UNIT) ** 2, 1)


def shown(
    looks: Sequence[Look], labels: Sequence[str], card: Card, *, seed: int,
    asked: str | None = None,
) -> tuple[Pictures, tuple[str, ...]]:
    """How pictures like these are shown to this network, and why.

    Args:
        looks: of the learning rows.
        labels: of the same rows.
        card: of a network of pictures.
        seed: of the halves that mirroring is measured on.
        asked: `--augment`; None for a light augmentation.

    Raises:
        SettingError: it asks for what cannot be.
    """
    assert card.picture is not None, "a network of pictures says what it takes"
    side, why_side = _side(looks, card)
    flip, why_flip = _flip(looks, labels, seed)
    made = replace(_changed(asked), side=side, flip=flip)
    require(made, card)
    why = _why_augmented(made, asked)
    return made, (why_side, why if made.augment == "none" else f"{why} {why_flip}")


def _changed(asked: str | None) -> Pictures:
    """What training changes, of pictures of any size."""
    if asked is None:
        return Pictures(0, "light")
    name, numbers = asked_for(asked, names=AUGMENTATIONS, numbers=NUMBERS, kind="pictures")
    views = numbers.get("views")
    if views is not None and views != int(views):
        raise SettingError(f"--augment says views={views:g}; a whole number is what it takes.")
    made = Pictures(0, name or "light", mixup=numbers.get("mixup", 0.0),
                    cutmix=numbers.get("cutmix", 0.0), erasing=numbers.get("erasing", 0.0))
    is_more = made.augment in RECIPES or made.erasing > 0
    return replace(made, views=int(views if views is not None else VIEWS * is_more))


def _why_augmented(made: Pictures, asked: str | None) -> str:
    """What training changes in pictures, and why."""
    said = {
        "none": "No part of a picture is cut out at random and none is mirrored, as asked",
        "light": "Augmentation is light: a random part of 35% to 100% of each picture",
        "trivial": "Of each picture a random part of 35% to 100% is taken, and one operation at a "
        "random strength changes it (TrivialAugment, wide); among them are turns by up to 135 "
        "degrees, so where up and down mean something, light is better",
        "rand": "Of each picture a random part of 35% to 100% is taken, and two operations change "
        "it (RandAugment, 2 of strength 9 in 30); among them are turns by up to 9 degrees",
    }[made.augment]
    if made.erasing:
        said += f"; in {made.erasing:.0%} of them a rectangle is painted over (random erasing)"
    for name in ("mixup", "cutmix"):
        if shape := getattr(made, name):
            said += (f"; pictures of a batch are mixed by {name} (shapes {shape:g}), and answers "
                     "with them, but not where frozen blocks are replayed: what is kept is of one "
                     "picture")
    if asked is None:
        said += (", which suits runs of a few epochs; rungs that replay frozen blocks see the "
                 "middle alone (`--augment light,views=4` keeps views of each picture for them)")
    return f"{said}."


def require(given: Pictures, card: Card) -> None:
    """Return if pictures can be shown to this network so.

    Raises:
        SettingError: the size or the augmentation is none that can be.
    """
    assert card.picture is not None, "a network of pictures says what it takes"
    if given.augment not in AUGMENTATIONS:
        raise unknown_name("augmentation", given.augment, AUGMENTATIONS)
    for name, most in (("erasing", 1.0), ("mixup", MOST_SHAPE), ("cutmix", MOST_SHAPE),
                       ("views", MOST_VIEWS), ("live", np.inf)):
        if not 0 <= getattr(given, name) <= most:
            raise SettingError(
                f"pictures.{name} is {getattr(given, name)}; 0 to {most:g} is what it takes.")
    if given.layout not in LAYOUTS:
        raise unknown_name("layout", given.layout, LAYOUTS)
    if (given.augment in RECIPES or given.erasing) and find_spec("torchvision") is None:
        raise SettingError(
            f"{given.augment} and erasing are torchvision's, which is not installed here. Install "
            "it with pip install 'fettle[timm]', or take light."
        )
    usual = card.picture.side
    if card.picture.fixed and given.side != usual:
        raise SettingError(
            f"pictures.side is {given.side} in the plan; {card.name} takes {usual} alone."
        )
    if given.side % card.picture.step:
        raise SettingError(
            f"pictures.side is {given.side} in the plan; {card.name} takes multiples of "
            f"{card.picture.step}."
        )
    if not SMALLEST <= given.side <= LARGEST:
        raise SettingError(
            f"pictures.side is {given.side} in the plan; {SMALLEST} to {LARGEST} is what it takes."
        )


def _side(looks: Sequence[Look], card: Card) -> tuple[int, str]:
    assert card.picture is not None
    usual = card.picture.side
    short = int(np.median([min(one.width, one.height) for one in looks]))
    fed = _fed(looks, card)
    if card.picture.fixed:
        return usual, f"Pictures are shown at {usual} pixels a side, the only size it takes.{fed}"
    enlarged = -(-ENLARGED * short // STEP) * STEP
    side = min(usual, -(-max(LEAST_SIDE, enlarged) // card.picture.step) * card.picture.step)
    if side == usual:
        return side, f"Pictures are shown at {side} pixels a side, as {card.name} was trained.{fed}"
    return side, (
        f"Pictures are shown at {side} pixels a side, not at the {usual} that {card.name} was "
        f"trained on: half of them have at most {short} pixels on their shorter side, and "
        "enlarging them further costs time and shows nothing more."
        f"{RESIZED if card.picture.resized else ''}{fed}"
    )


def _fed(looks: Sequence[Look], card: Card) -> str:
    """What the network's first layer is given where it is not plain red, green and blue."""
    assert card.picture is not None
    said = [card.picture.told] if card.picture.told else []
    channels = card.picture.channels
    grey = sum(one.colors in GREY for one in looks)
    if channels == 1:
        said.append(f"{card.name} reads one channel: the mean of red, green and blue.")
    elif channels != 3:
        said.append(f"{card.name} reads {channels} channels: each is given the mean of red, green "
                    "and blue, because a picture here has no others.")
    elif grey:
        said.append(f"{grey:,} of {len(looks):,} pictures are grey: each of the three channels "
                    f"that {card.name} reads is given the same grey.")
    return "".join(f" {one}" for one in said)


def _flip(looks: Sequence[Look], labels: Sequence[str], seed: int) -> tuple[bool, str]:
    found = mirrored_share(looks, labels, seed=seed)
    if found is None:
        return False, (
            f"Pictures are not mirrored: with fewer than {2 * FEWEST} pictures in a class it "
            "cannot be measured whether left and right mean something."
        )
    share, rows = found
    if share <= TOLD_APART:
        return True, (
            f"Pictures are mirrored at random: of {rows:,} held-out ones a mirrored copy is told "
            f"from the original in {share:.0%} (50% is chance), so left and right mean little."
        )
    return False, (
        f"Pictures are not mirrored: of {rows:,} held-out ones a mirrored copy is told from the "
        f"original in {share:.0%} (50% is chance), so left and right mean something here."
    )


def mirrored_share(
    looks: Sequence[Look], labels: Sequence[str], *, seed: int
) -> tuple[float, int] | None:
    """How often a mirrored copy is told from its original, and on how many; None on too few.

    In each class, the mean of one half of its pictures says what is left and what right; of the
    other half, the original must look more like that mean than its mirror image does.
    """
    points = np.array([np.frombuffer(bytes.fromhex(one.points), np.uint8) for one in looks],
                      dtype=np.float32).reshape(len(looks), 16, 16)
    odd = points - points[:, :, ::-1]  # what changes its sign in the mirror, (rows, 16, 16)
    rng = np.random.default_rng(seed)
    names = np.asarray(labels)
    right, rows = 0.0, 0
    for name in np.unique(names):
        members = rng.permutation(np.flatnonzero(names == name))
        half = len(members) // 2
        if half < FEWEST:
            return None
        mean = odd[members[:half]].mean(axis=0)
        like = (odd[members[half:]] * mean).sum(axis=(1, 2))
        right += float((like > 0).sum() + 0.5 * (like == 0).sum())
        rows += len(like)
    return (right / rows, rows) if rows else None
