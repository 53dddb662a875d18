"""Showing: the size follows the pictures, and mirroring is allowed only where it means nothing."""

from dataclasses import replace

import numpy as np
import pytest

from fettle.core.errors import SettingError
from fettle.core.parts import PictureInput
from fettle.modalities.showing import mirrored_share, require, shown
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


def shown_to(picture, mode="RGB"):
    made = replace(card_of(), picture=picture)
    seen = [replace(look(encoded(drawn("bar", seed=at))), mode=mode) for at in range(3)]
    return shown(seen, ["a"] * 3, made, seed=0)


def test_what_the_first_layer_is_given_of_other_channels_is_said():
    assert "grey" not in shown_to(PictureInput(side=224))[1][0]
    assert "3 of 3 pictures are grey" in shown_to(PictureInput(side=224), "L")[1][0]
    grey = PictureInput(side=224, channels=1)
    assert "reads one channel: the mean of red, green and blue" in shown_to(grey)[1][0]
    assert "reads 5 channels" in shown_to(PictureInput(side=224, channels=5))[1][0]
    assert "fed backwards" in shown_to(PictureInput(side=224, told="It is fed backwards."))[1][0]


def test_a_side_is_a_multiple_of_the_networks_patch():
    resized = PictureInput(side=518, step=14, resized=True)
    made, reasons = shown_to(resized)
    assert made.side == 98
    assert "vectors for places are resized" in reasons[0]
    card = replace(card_of(), picture=resized)
    with pytest.raises(SettingError, match="takes multiples of 14"):
        require(replace(made, side=96), card)


def asked(text, **changes):
    return shown(looks("left"), ["a"] * 60, card_of(**changes), seed=0, asked=text)


def test_the_usual_augmentation_is_light_and_keeps_no_views():
    found, (_, why) = asked(None)
    assert (found.augment, found.views, found.mixup, found.erasing) == ("light", 0, 0.0, 0.0)
    assert "see the middle alone" in why


def test_what_is_asked_for_stands_in_the_plan_with_what_it_excludes():
    found, (_, why) = asked("trivial,mixup=0.2,cutmix=1,erasing=0.25")
    assert (found.augment, found.mixup, found.cutmix, found.erasing) == ("trivial", 0.2, 1.0, 0.25)
    assert found.views == 4
    for words in ("TrivialAugment", "135 degrees", "mixup", "cutmix", "25%", "replayed"):
        assert words in why
    assert asked("rand,views=0")[0].views == 0
    assert asked("none")[0].augment == "none"


@pytest.mark.parametrize(("text", "says"), [
    ("erasing=1.5", "pictures.erasing is 1.5"), ("views=2.5", "whole number"),
    ("mixup=1e9", "pictures.mixup"), ("views=65", "pictures.views"),
])
def test_what_cannot_be_is_refused(text, says):
    from fettle.core.errors import SettingError

    with pytest.raises(SettingError, match=says):
        asked(text)
