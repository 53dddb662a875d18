"""Showing: the size follows the pictures, and mirroring is allowed only where it means nothing."""

import numpy as np
import pytest

from fettle.modalities.showing import mirrored_share, shown
from fettle.store.decoding import look
from pictures import drawn, encoded


def looks(kind, number=60):
    rng = np.random.default_rng(5)
    made = []
    for _ in range(number):
        pixels = rng.uniform(0, 120, (32, 32)).astype(np.uint8)
        if kind == "left":
            pixels[8:24, 4:10] = 230
        elif kind == "right":
            pixels[8:24, 22:28] = 230
        elif kind == "anywhere":
            at = int(rng.integers(2, 24))
            pixels[8:24, at : at + 6] = 230
        made.append(look(encoded(pixels)))
    return made


def test_sides_that_mean_something_are_seen_class_by_class():
    """Turn left and turn right: together they are symmetric, each for itself is not."""
    both = looks("left") + looks("right")
    share, rows = mirrored_share(both, ["left"] * 60 + ["right"] * 60, seed=0)
    assert (share, rows) == (1.0, 60)


def test_sides_that_mean_nothing_are_told_apart_as_a_coin_would():
    share, rows = mirrored_share(looks("anywhere", 400), ["a"] * 400, seed=0)
    assert rows == 200
    assert share == pytest.approx(0.5, abs=0.1)


def test_on_too_few_nothing_is_said():
    assert mirrored_share(looks("left", 39), ["a"] * 39, seed=0) is None


def card_of(side=224, fixed=False):
    from dataclasses import replace

    from fettle.core.parts import Card, PictureInput

    made = Card(name="n", folder=".", revision=None, sha256="", architecture="a", width=4, blocks=1,
                max_tokens=1, parameters=1, embeds_sentences=False, modality="image")
    return replace(made, picture=PictureInput(side=side, fixed=fixed))


@pytest.mark.parametrize(("short", "side"), [(32, 96), (64, 128), (100, 224), (1000, 224)])
def test_small_pictures_are_not_blown_up_to_the_networks_size(short, side):
    seen = [look(encoded(drawn("bar", seed=at, side=short))) for at in range(3)]
    found, reasons = shown(seen, ["a"] * 3, card_of(), seed=0)
    assert found.side == side
    assert str(side) in reasons[0]
    assert shown(seen, ["a"] * 3, card_of(fixed=True), seed=0)[0].side == 224


def test_the_plan_says_why_pictures_are_mirrored_or_not():
    left, reasons = shown(looks("left"), ["a"] * 60, card_of(), seed=0)
    assert not left.flip
    assert "100%" in reasons[1]
    free, reasons = shown(looks("anywhere", 400), ["a"] * 400, card_of(), seed=0)
    assert free.flip
    assert "mirrored at random" in reasons[1]
