import pytest

from fettle import console
from fettle.core.score import Comparison, Score
from fettle.pages import words
from fettle.pages.blocks import difference_cell, score_cell


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4216, "0.42 s"), (9.96, "10.0 s"), (12.34, "12.3 s"), (59.97, "1 min 00 s"),
     (245.2, "4 min 05 s"), (3599.7, "1 h 00 min"), (7640, "2 h 07 min"), (float("nan"), "–")],
)
def test_seconds_read_as_a_person_says_them(seconds, said):
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.1376, "+0.138"), (-0.0104, "−0.010"), (-0.0004, "0.000"), (0.0, "0.000"),
     (float("inf"), "–")],
)
def test_a_difference_carries_its_sign_unless_it_is_none(value, said):
    assert words.signed(value) == said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("accuracy", 0.9314, "0.931"), ("mae", 0.0000123, "1.23e-05"), ("mae", 12345.6, "12,346"),
     ("r2", -0.00004, "0.000"), ("mae", 3.2e18, "3.2e+18")],
)
def test_a_number_reads_the_same_in_the_console_the_report_and_the_card(name, value, said):
    score = Score(name, value, value, value, 9)
    gained = Comparison("a", "b", name, value, value, value, 1, 0, 0.1, 9)
    sign = "" if said == "0.000" else "+"
    assert str(score) == f"{name} {said} [{said}, {said}] on 9 rows"
    assert words.scored(score) == f"{said} ({said} to {said})"
    assert score_cell(score).text == said
    assert words.under(score) == f"{said} to {said} · n\u00a09"
    assert words.gained(gained) == difference_cell(gained).text == f"{sign}{said}"
    assert console._gained(gained) == f"{sign}{said} [{sign}{said}, {sign}{said}]"


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "–"), (912_000, "912 kB"), (812_400_000, "812 MB"), (1_236_000_000, "1.24 GB")],
)
def test_bytes_read_in_decimal_units(amount, said):
    assert words.size(amount) == said


@pytest.mark.parametrize(
    ("p", "said"), [(0.0009, "p < 0.001"), (0.001, "p = 0.001"), (1.0, "p = 1.000")]
)
def test_a_p_value_is_never_zero(p, said):
    assert words.p_value(p) == said.replace(" ", "\u00a0")


def test_a_count_names_one_thing_or_many():
    assert words.count(1240) == "1,240"
    assert words.count(1, "row") == "1 row"
    assert words.count(0, "class", "classes") == "0 classes"
    assert [words.times(n) for n in (1, 2, 3)] == ["once", "twice", "3 times"]


def test_latency_keeps_three_figures_that_mean_something():
    assert [words.milliseconds(s) for s in (0.004213, 0.03848, 1.2404)] == ["4.21", "38.5", "1,240"]


@pytest.mark.parametrize(
    ("flops", "said"),
    [(4.2e9, "4.2 GFLOP/s"), (5.123e11, "512 GFLOP/s"), (1.236e12, "1.24 TFLOP/s"),
     (float("nan"), "–")],
)
def test_a_speed_keeps_three_figures(flops, said):
    assert words.speed(flops) == said


def test_ratios_and_shares_read_as_a_person_says_them():
    assert [words.ratio(v) for v in (0.876, 1.5, 9.999, 1234.5)] == [
        "0.88×", "1.50×", "10×", "1,234×"]
    assert [words.share(v) for v in (0.554, 1.2)] == ["55%", "120%"]
    assert words.ratio(float("inf")) == words.share(float("nan")) == "–"


def test_text_that_cannot_be_shown_or_turns_its_neighbours_is_replaced_in_sight():
    assert words.clean("a\x00b\ud800c\ufffed") == "a�b�c�d"
    assert words.clean("\u202egnp.exe") == "�gnp.exe"
    assert words.clean(" two\n\n lines\t") == "two lines"


def test_a_text_from_right_to_left_is_fenced_off_from_what_follows():
    assert words.clip("עברית") == "\u2068עברית\u2069"
    assert words.clip("plain") == "plain"


def test_a_long_text_is_cut_in_sight_and_an_empty_one_is_named():
    assert words.clip("x" * 300, 10) == "x" * 9 + "…"
    assert len(words.clip("x" * 300, 10)) == 10
    assert words.clip("👩\u200d👩👩", 3) == "👩…"
    assert words.clip(" \n ") == "(empty)"


@pytest.mark.parametrize(
    ("place", "said"),
    [("/home/anna/models/mini", "mini"), ("~/mini/", "mini"), ("../mini", "mini"),
     (r"C:\Users\anna\mini", "mini"), ("org/mini@abc", "org/mini@abc"), ("/", "/")],
)
def test_a_folder_is_named_by_its_last_part_only(place, said):
    assert words.public(place) == said


def test_settings_stand_on_one_line():
    values = {"pooling": "mean", "l2": 0.0316228, "warm_start": True}
    assert words.settings(values) == "pooling mean · l2 0.03162 · warm start yes"
    assert words.settings({}) == "–"
