"""Near pictures: copies of one another are found, pictures of like things are not."""

import numpy as np
from PIL import Image, ImageEnhance

from fettle.checks.near_pictures import near_pictures
from fettle.store.decoding import look
from pictures import CLASSES, drawn, encoded


def copies(pixels):
    picture = Image.fromarray(pixels)
    return {
        "smaller": encoded(np.asarray(picture.resize((48, 48), Image.Resampling.BICUBIC))),
        "worse": encoded(pixels, "JPEG", quality=60),
        "brighter": encoded(np.asarray(ImageEnhance.Brightness(picture).enhance(1.1))),
    }


def test_a_scaled_a_worse_and_a_brighter_copy_are_near_the_original():
    whole = drawn("ring", seed=4, side=96)
    seen = [look(encoded(whole)), *(look(one) for one in copies(whole).values())]
    found = {tuple(pair) for pair in near_pictures(seen).tolist()}
    assert {(0, 1), (0, 2), (0, 3)} <= found


def test_pictures_of_one_class_are_not_near():
    seen = [look(encoded(drawn(kind, seed=at, side=96))) for kind in CLASSES for at in range(20)]
    assert len(near_pictures(seen)) <= 2  # of 1,770 pairs


def test_flat_pictures_have_no_neighbours():
    flat = [look(encoded(np.full((32, 32, 3), value, np.uint8))) for value in (10, 10, 200)]
    assert len(near_pictures(flat)) == 0


def test_one_picture_has_no_pair():
    assert near_pictures([look(encoded(drawn("bar", seed=0)))]).shape == (0, 2)
