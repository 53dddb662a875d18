"""Pictures to pixels: size, middle, augmentation, the cache, and cells that hold no picture."""

import tracemalloc

import numpy as np
import pytest

from fettle.core.errors import InputError, MissingFile
from fettle.core.parts import Card, PictureInput
from fettle.core.pictures import cell_of_bytes, inline_bytes
from fettle.core.plan import Pictures
from fettle.modalities.image import ImageEncoder
from fettle.store import decoding, pictures
from pictures import drawn, encoded, own_cache

__all__ = ["own_cache"]


def encoder(side=32, **changes):
    card = Card(
        name="n", folder=".", revision=None, sha256="", architecture="a", width=4, blocks=1,
        max_tokens=1, parameters=1, embeds_sentences=False, modality="image",
        picture=PictureInput(side=side, crop=0.8, interpolation="bilinear"))
    return ImageEncoder.fit(card, fields=("picture",), pictures=Pictures(side, **changes))


def inline(pixels, form="PNG", **options):
    return (cell_of_bytes(encoded(pixels, form, **options)),)


def test_a_picture_becomes_a_square_with_room_around_what_is_seen():
    item, = encoder().encode([inline(drawn("disc", seed=1, side=80))])
    assert (item.shape, item.dtype) == ((40, 40, 3), np.uint8)  # 32 / 0.8
    batch = encoder().collate([item, item])
    assert tuple(batch["pixels"].shape) == (2, 32, 32, 3)
    assert np.array_equal(batch["pixels"][0].numpy(), item[4:36, 4:36])


@pytest.mark.parametrize("shape", [(90, 30), (30, 90), (40, 40), (8, 200)])
def test_the_middle_is_cut_out_whatever_the_shape(shape):
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[shape[0] // 2 - 1 : shape[0] // 2 + 1, shape[1] // 2 - 1 : shape[1] // 2 + 1] = 255
    item, = encoder().encode([inline(pixels)])
    assert item.shape == (40, 40, 3)
    bright = np.argwhere(item[..., 0] > item.max() * 0.5)
    assert np.abs(bright.mean(axis=0) - 19.5).max() < 1.5


def test_one_picture_and_many_are_decoded_alike(own_cache):
    cells = [(pictures.keep_bytes(encoded(drawn("ring", seed=at))),) for at in range(70)]
    many = encoder().encode(cells)
    assert list((own_cache / "fettle" / "decoded").glob("*.array")), "many are kept"
    again = encoder().encode(cells)
    for at in (0, 35, 69):
        alone, = encoder().encode([cells[at]])
        assert np.array_equal(alone, many[at])
        assert np.array_equal(alone, again[at])


def test_other_sizes_and_other_pictures_are_not_taken_from_the_cache():
    cells = [(pictures.keep_bytes(encoded(drawn("ring", seed=at))),) for at in range(70)]
    small = encoder(16).encode(cells)
    large = encoder(32).encode(cells)
    assert (small[0].shape, large[0].shape) == ((20, 20, 3), (40, 40, 3))
    assert np.array_equal(encoder(32).encode(cells[::-1])[0], large[69])


def test_views_differ_in_training_and_are_a_function_of_the_seed():
    item, = encoder().encode([inline(drawn("bar", seed=1))])
    light = encoder(augment="light")
    one, same, other = (light.views(item, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (32, 32, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert encoder().views(item, np.random.default_rng(1)) is item


def test_nothing_is_mirrored_unless_it_may_be():
    half = np.zeros((60, 60, 3), np.uint8)
    half[:, 30:] = 255  # the right is bright
    item, = encoder().encode([inline(half)])

    def bright_on_the_left(flip):
        made = encoder(augment="light", flip=flip)
        views = [made.views(item, np.random.default_rng(seed)).astype(float) for seed in range(40)]
        return sum(one[:, :8].mean() > one[:, -8:].mean() for one in views)

    assert bright_on_the_left(False) == 0
    assert 8 < bright_on_the_left(True) < 32


@pytest.mark.parametrize("cell", ["/etc/passwd", "", "sha256:12", "data:image/png;base64,!!!",
                                  "data:text/plain,hello", "http://x/y.png"])
def test_a_cell_is_never_a_path_or_an_address(cell):
    with pytest.raises(InputError):
        encoder().encode([(cell,)])


def test_a_picture_that_cannot_be_decoded_says_why():
    broken = cell_of_bytes(encoded(drawn("bar", seed=1))[:-40])
    with pytest.raises(InputError, match="damaged or cut short"):
        encoder().encode([(broken,)])


def test_a_picture_that_was_changed_since_it_was_read_is_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(drawn("bar", seed=1)))
    cell = pictures.keep_file(path, path.read_bytes())
    encoder().encode([(cell,)])
    path.write_bytes(encoded(drawn("disc", seed=1)))
    with pytest.raises(MissingFile, match="changed since"):
        encoder().encode([(cell,)])
    path.unlink()
    with pytest.raises(MissingFile, match=r"a\.png"):
        encoder().encode([(cell,)])


def test_portable_rows_hold_the_pictures_themselves(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(drawn("bar", seed=1)))
    cell = pictures.keep_file(path, path.read_bytes())
    (carried,), = encoder().portable([(cell,)])
    assert inline_bytes(carried) == path.read_bytes()
    assert np.array_equal(*(encoder().encode([(one,)])[0] for one in (cell, carried)))


def test_samples_are_pictures_of_nobodys():
    made = encoder()
    assert len({item.tobytes() for item in made.encode(made.samples())}) == 4


def test_what_is_saved_encodes_alike(tmp_path):
    encoder(flip=True, augment="light").save(str(tmp_path))
    again = ImageEncoder.load({"encoder.json": tmp_path / "encoder.json"})
    row = [inline(drawn("disc", seed=3, side=77))]
    assert np.array_equal(again.encode(row)[0], encoder().encode(row)[0])
    assert again.settings["flip"] is True


def test_a_large_jpeg_is_not_decoded_in_full(monkeypatch):
    sizes = []
    real = decoding.decoded
    monkeypatch.setattr(decoding, "decoded",
                        lambda content, side: sizes.append((made := real(content, side=side)).size)
                        or made)
    encoder().encode([inline(np.zeros((800, 640, 3), np.uint8), "JPEG")])
    assert sizes == [(80, 100)]


def test_a_line_of_one_pixel_s_width_takes_no_more_memory_than_others():
    item, = encoder().encode([inline(np.full((20_000, 1, 3), 200, np.uint8))])
    assert item.shape == (40, 40, 3)
    tracemalloc.start()
    encoder().encode([inline(np.full((20_000, 1, 3), 200, np.uint8))])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6


def test_each_square_of_a_grid_is_covered_once_and_nothing_else():
    item, = encoder().encode([inline(drawn("ring", seed=4))])
    seen, *covered = encoder().covered(item, 3)
    assert np.array_equal(seen, item[4:36, 4:36])
    assert len(covered) == 9
    changed = np.stack([(one != seen).any(axis=2) for one in covered])  # (squares, side, side)
    assert changed.sum(axis=0).max() == 1
    assert changed.any(axis=0).mean() > 0.95  # a pixel may have had the color that covers
