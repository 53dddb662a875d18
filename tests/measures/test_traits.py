import numpy as np
import pytest

from fettle.measures import traits


def test_what_is_measured_of_a_text_is_worked_out_by_hand():
    """"Ab 1!" has 5 letters, 4 without the blank: one capital, one digit, one mark; two words."""
    found = {name: one[0] for name, one in traits.text_traits(["Ab 1!"]).items()}
    assert found == {
        "length": pytest.approx(np.log(6)), "word length": 2.0, "capitals": 0.25, "digits": 0.25,
        "punctuation": 0.25, "beyond ASCII": 0.0,
    }
    assert traits.text_traits(["äb"])["beyond ASCII"][0] == 0.5


def test_a_text_without_letters_has_a_length_and_nothing_else():
    found = traits.text_traits(["", "  \t"])
    assert found["length"].tolist() == pytest.approx([0.0, np.log(4)])
    assert np.isnan(found["capitals"]).all()
    assert traits.text_traits([])["length"].shape == (0,)


@pytest.mark.parametrize(("cells", "kind"), [
    ([str(n / 7) for n in range(100)], "number"), (["1.5", "x"] * 40, "category"),
    (["0", "1"] * 60, "category"), (["ann", "bob", "cat"] * 50, "category"),
    ([f"text {n}" for n in range(100)], "text"), ([None, ""], "text"),
    ([*map(str, range(96)), "n/a", "", None, "7"], "number"),
])
def test_the_kind_of_a_column_is_told_by_its_cells(cells, kind):
    assert traits.column_kind(cells) == kind


def test_cells_that_are_no_finite_numbers_are_none():
    found = traits.in_numbers(["1", " 2.5 ", "", None, "x", "inf", "nan"])
    assert found[:2].tolist() == [1.0, 2.5]
    assert np.isnan(found[2:]).all()


def test_a_token_that_was_often_learned_surprises_less():
    counts = np.array([6, 0, 0, 0])  # with one more of each: 7, 1, 1, 1 of 10
    found = traits.surprise([np.array([0]), np.array([1, 0]), np.array([], dtype=int)], counts)
    assert found[0] == pytest.approx(-np.log2(0.7))
    assert found[1] == pytest.approx((-np.log2(0.7) - np.log2(0.1)) / 2)
    assert np.isnan(found[2])


def test_a_picture_s_light_color_sharpness_and_size():
    """Half black, half white: mean 0.5, spread 0.5; red alone has all its color in one channel."""
    half = np.repeat([0, 255], 3 * 128).astype(np.uint8)
    red = np.tile([255, 0, 0], 256).astype(np.uint8)
    found = traits.picture_traits([half, red], [(200, 100), (64, 64)], [1e-3, 0.0])
    assert found["brightness"] == pytest.approx([0.5, 1 / 3])
    assert found["contrast"] == pytest.approx([0.5, 0.0])
    assert found["color"] == pytest.approx([0.0, 1.0])
    assert found["sharpness"] == pytest.approx([-3, -7], abs=1e-3)
    assert found["size"] == pytest.approx([np.log2(100), 6])
    assert found["shape"] == pytest.approx([1.0, 0.0])
