"""Decoding: every kind of picture comes out upright in RGB, or is refused before it can harm."""

import io
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from fettle.core.errors import InputError
from fettle.store.decoding import TooManyPixels, decoded, look, sides
from pictures import drawn, encoded, png_that_claims, tiff

SHAPE = drawn("disc", seed=1, side=48)


def saved(picture, form="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def said(content):
    with pytest.raises(InputError) as raised:
        look(content)
    return str(raised.value)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_a_lossless_picture_comes_out_as_it_was(form):
    options = {"lossless": True} if form == "WEBP" else {}
    assert np.array_equal(np.asarray(decoded(encoded(SHAPE, form, **options))), SHAPE)


def test_a_jpeg_comes_out_nearly_as_it_was():
    found = np.asarray(decoded(encoded(SHAPE, "JPEG", quality=95))).astype(int)
    assert np.abs(found - SHAPE).mean() < 12


def test_grey_is_the_same_in_all_three_colors():
    found = np.asarray(decoded(encoded(SHAPE[..., 0])))
    assert np.array_equal(found, np.repeat(SHAPE[..., :1], 3, axis=2))


def test_sixteen_bits_become_eight():
    wide = SHAPE[..., 0].astype(np.uint16) * 257
    found = np.asarray(decoded(encoded(wide)))
    assert np.array_equal(found[..., 1], SHAPE[..., 0])


@pytest.mark.parametrize(("kind", "numbers"), [
    (np.int16, (-1000, 3071)), (np.int32, (0, 70_000)),
])
def test_numbers_that_sixteen_bits_cannot_hold_are_refused_and_not_cut_off(kind, numbers):
    """A scan in Hounsfield units begins at -1000: what is below 0 would all have become black."""
    scan = np.linspace(*numbers, 64).reshape(8, 8, 1).astype(kind)
    low, high = (f"{number:,}" for number in numbers)
    assert f"its numbers go from {low} to {high}, and whole ones from 0 to 65,535" in said(
        tiff(scan))
    found = np.asarray(decoded(tiff(np.clip(scan.astype(int), 0, 65_535).astype(kind))))
    assert found.max() == round(min(numbers[1], 65_535) / 257)


@pytest.mark.parametrize(("bands", "sort"), [
    (np.zeros((9, 9, 5), np.uint8), "5 bands, whole numbers of 8 bits"),
    (np.zeros((9, 9, 12), np.uint16), "12 bands, whole numbers of 16 bits"),
    (np.zeros((9, 9, 3), np.float32), "3 bands, fractions of 32 bits"),
])
def test_more_bands_than_a_picture_has_are_counted_and_refused(bands, sort):
    content = tiff(bands, extra=(0,) * (bands.shape[2] - 1))
    assert f"it is a TIFF of {sort}, which Pillow" in said(content)
    cut = [said(content[:end]) for end in range(1, len(content) - bands.nbytes)]
    assert all("none of JPEG" in one or sort in one for one in cut)
    assert "none of JPEG" in cut[20]


def test_bands_beside_the_colors_are_not_read_and_that_is_kept_in_mind():
    infrared = np.dstack([SHAPE, np.full(SHAPE.shape[:2], 200, np.uint8)])
    content = tiff(infrared, photometric=2, extra=(0,))
    assert np.array_equal(np.asarray(decoded(content)), SHAPE)
    assert look(content).mode == "RGB+1"
    assert look(tiff(infrared, photometric=2, extra=(2,))).mode == "RGBA"
    assert look(tiff(SHAPE, photometric=2)).mode == "RGB"
    deep = look(tiff(infrared.astype(np.uint16) * 257, photometric=2, extra=(0,)))
    assert (deep.mode, deep.colors, deep.pixels) == ("RGB;16+1", "RGB", look(content).pixels)


def test_see_through_parts_lie_on_white():
    clear = np.dstack([SHAPE, np.zeros(SHAPE.shape[:2], np.uint8)])
    assert np.asarray(decoded(encoded(clear))).min() == 255


def test_cmyk_is_read_as_rgb():
    content = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100)
    red, green, blue = np.asarray(decoded(content)).reshape(-1, 3).mean(axis=0)
    assert red > 200 > 60 > max(green, blue)


def test_a_palette_with_a_clear_color_lies_on_white():
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([0, 0, 0] * 256)
    assert np.asarray(decoded(saved(picture, "PNG", transparency=0))).min() == 255


def test_the_first_frame_of_an_animation_is_read_and_its_frames_counted():
    frames = [Image.fromarray(drawn(kind, seed=2)) for kind in ("bar", "disc", "ring")]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert look(content).frames == 3
    first = np.asarray(decoded(content)).astype(int)
    assert np.abs(first - np.asarray(frames[0])).mean() < 12


def test_a_camera_held_sideways_gives_an_upright_picture():
    wide = Image.fromarray(SHAPE[:20])  # 48 wide, 20 high
    exif = Image.Exif()
    exif[0x0112] = 6
    found = decoded(saved(wide, "JPEG", exif=exif, quality=95))
    assert found.size == (20, 48)
    seen = look(saved(wide, "JPEG", exif=exif, quality=95))
    assert (seen.width, seen.height) == (20, 48)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_a_picture_that_is_cut_short_is_refused(form):
    whole = encoded(drawn("ring", seed=3, side=64), form)
    assert "damaged or cut short" in said(whole[: len(whole) * 2 // 3])


def test_a_png_with_a_flipped_bit_is_refused():
    whole = bytearray(encoded(SHAPE))
    whole[len(whole) // 2] ^= 1
    assert "damaged" in said(bytes(whole))


def test_empty_and_foreign_files_are_refused():
    assert said(b"") == "the file is empty"
    assert "none of JPEG" in said(b"this is a text, whatever its name says")
    assert "none of JPEG" in said(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


def test_a_header_that_claims_144_megapixels_is_refused_before_decoding():
    assert "12,000 x 12,000" in said(png_that_claims(12_000, 12_000))
    assert "x" in said(png_that_claims(40_000, 2))


def test_a_large_jpeg_is_decoded_at_a_smaller_scale_and_looks_the_same():
    large = np.asarray(Image.fromarray(SHAPE).resize((960, 960), Image.Resampling.BICUBIC))
    content = encoded(large, "JPEG", quality=95)
    small = decoded(content, side=100)
    assert small.size == (120, 120)
    whole = decoded(content).resize((120, 120), Image.Resampling.BOX)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(whole)).mean() < 2


def test_pixels_hash_alike_whatever_the_format():
    one, other = look(encoded(SHAPE)), look(encoded(SHAPE, "BMP"))
    assert one.pixels == other.pixels
    changed = SHAPE.copy()
    changed[0, 0, 0] ^= 1
    assert look(encoded(changed)).pixels != one.pixels


def test_what_is_seen_of_a_picture_is_in_its_units():
    assert look(encoded(np.full((9, 9, 3), 255, np.uint8))).brightness == 1.0
    black = look(encoded(np.zeros((9, 9, 3), np.uint8)))
    assert (black.brightness, black.contrast, black.sharpness, black.border) == (0, 0, 0, 0)
    checked = np.indices((32, 32)).sum(axis=0) % 2 * 255
    assert look(encoded(checked.astype(np.uint8))).contrast == pytest.approx(0.5)


@pytest.mark.parametrize("form", ["GIF", "TIFF"])
def test_frames_that_are_cut_anywhere_are_read_or_refused(form):
    first, second = (Image.fromarray(drawn("ring", seed=at, side=8)) for at in (1, 2))
    whole = saved(first, form, save_all=True, append_images=[second])
    for end in range(len(whole)):
        with suppress(InputError):
            look(whole[:end])


def test_the_sides_are_those_of_the_upright_picture_by_its_header_alone():
    wide = SHAPE[:20]
    assert sides(encoded(wide)) == (48, 20)
    turned = Image.Exif()
    turned[0x0112] = 6
    assert sides(encoded(wide, "JPEG", exif=turned)) == (20, 48)
    with pytest.raises(TooManyPixels, match="12,000 x 12,000 pixels"):
        sides(png_that_claims(12_000, 12_000))
    with pytest.raises(InputError, match="none of JPEG"):
        sides(b"<svg/>")
