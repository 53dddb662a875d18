"""Every schedule against its paper's formula, worked out by hand."""

import math

import pytest

from fettle.engine.schedules import RISING, SCHEDULES, ramp, share

ALL = sorted({*SCHEDULES, *RISING})


def shares(name, *, steps=10, warmup=0.2, cycles=3):
    return [share(name, step, steps=steps, warmup=warmup, cycles=cycles) for step in range(steps)]


def test_ten_steps_of_a_cosine_of_which_two_warm_up_by_hand():
    found = shares("cosine")
    assert found[:2] == [0.5, 1.0]
    assert found[2] == 1.0  # cos(0)
    assert found[6] == pytest.approx(0.5)  # half of the eight that fall
    assert found[8] == pytest.approx(0.1464466)  # (1 + cos(3/4 pi)) / 2
    assert found[2:] == sorted(found[2:], reverse=True)
    assert found[9] > 0


def test_a_constant_and_a_line_by_hand():
    assert shares("constant") == [0.5, *(1.0,) * 9]
    assert shares("linear") == pytest.approx(
        [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


def test_restarts_begin_anew_and_each_lasts_twice_as_long():
    # 1 step warms up; of the 14 that follow cycles begin at 0, 2 and 6 and last 2, 4 and 8
    found = shares("restarts", steps=15, warmup=1 / 15)
    half = 0.5 * (1 + math.cos(math.pi / 2))
    eighth = 0.5 * (1 + math.cos(math.pi / 8))
    assert found[1:4] == pytest.approx([1.0, half, 1.0])
    assert found[5] == pytest.approx(half)
    assert found[7:9] == pytest.approx([1.0, eighth])
    assert found[11] == pytest.approx(half)
    assert shares("restarts", cycles=1) == shares("cosine")


def test_triangles_go_down_to_a_fourth_and_up_again():
    # after 2 of 18 steps, 2 triangles of 8 steps
    found = shares("cyclical", steps=18, warmup=2 / 18, cycles=2)
    triangle = [1.0, 0.8125, 0.625, 0.4375, 0.25, 0.4375, 0.625, 0.8125]
    assert found[2:] == pytest.approx(triangle * 2)


def test_one_cycle_rises_from_a_25th_and_ends_at_almost_nothing():
    found = shares("one-cycle", steps=21, warmup=10 / 21)
    assert found[0] == pytest.approx(1 / 25)
    assert found[5] == pytest.approx((1 + 1 / 25) / 2)  # the middle of half a cosine
    assert found[10] == pytest.approx(1.0)
    assert found[15] == pytest.approx(0.5, abs=1e-4)
    assert found[20] == pytest.approx(1 / 1e5)


def test_the_slanted_triangle_is_equation_3_of_its_paper():
    steps, cut_frac, ratio = 40, 0.1, 32
    cut = math.floor(steps * cut_frac)
    expected = []
    for t in range(steps):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_frac - 1))
        expected.append((1 + p * (ratio - 1)) / ratio)
    assert shares("slanted", steps=steps, warmup=cut_frac) == pytest.approx(expected)


def test_a_ramp_multiplies_by_the_same_factor():
    found = [ramp(step, steps=4, low=1e-3, high=1.0) for step in range(4)]
    assert found == pytest.approx([1e-3, 1e-2, 1e-1, 1.0])


@pytest.mark.parametrize("name", ALL)
def test_no_step_is_wasted_on_a_rate_of_zero_and_none_is_above_one(name):
    for steps in (1, 2, 3, 7, 100):
        for warmup in (0.0, 0.1, 0.5, 1.0):
            found = shares(name, steps=steps, warmup=warmup)
            assert all(0 < share <= 1 for share in found), (steps, warmup)
            if name not in RISING:
                assert max(found) == 1.0


@pytest.mark.parametrize("name", ["cosine", "linear", "restarts"])
def test_after_the_end_it_stays_at_zero(name):
    for step in (10, 99):
        assert share(name, step, steps=10, warmup=0.2, cycles=3) == pytest.approx(0)
