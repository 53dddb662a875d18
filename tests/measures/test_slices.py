import numpy as np
import pytest
from scipy.stats import fisher_exact

from fettle.core.errors import ShapeError
from fettle.measures.slices import judged


def part(rows, of):
    chosen = np.zeros(of, dtype=bool)
    chosen[rows] = True
    return chosen


def test_the_worst_lower_bound_stands_first_and_small_slices_do_not_stand():
    right = np.ones(400, dtype=bool)
    right[:60] = False
    right[100:140] = False
    slices = judged(
        [("c", "good", part(slice(200, 400), 400)), ("c", "bad", part(slice(0, 100), 400)),
         ("c", "middle", part(slice(100, 200), 400)), ("c", "few", part(slice(0, 49), 400)),
         ("c", "all", np.ones(400, dtype=bool))],
        right, None,
    )
    assert [one.value for one in slices] == ["bad", "middle", "good"]
    assert [one.score.value for one in slices] == [0.4, 0.6, 1.0]
    assert slices[0].change is None


def test_p_is_fishers_adjusted_after_benjamini_and_hochberg():
    right = np.ones(400, dtype=bool)
    right[:20] = False
    bad, good = part(slice(0, 100), 400), part(slice(100, 200), 400)
    slices = judged([("c", "bad", bad), ("c", "good", good)], right, None)
    p = fisher_exact([[80, 20], [300, 0]], alternative="less").pvalue

    assert slices[0].p_worse == pytest.approx(min(2 * p, 1))  # the smaller of two, times 2 / 1
    assert slices[1].p_worse == 1


def test_a_slice_that_lost_while_the_whole_gained_is_found():
    before = np.zeros(1000, dtype=bool)
    before[:100] = True  # the slice was right before
    right = ~before  # and is wrong now, while all else came right
    lost = part(slice(0, 100), 1000)
    slices = judged([("country", "small", lost), ("country", "large", ~lost)], right, before)

    assert {one.value: one.lost for one in slices} == {"small": True, "large": False}
    assert slices[0].change.losses == 100
    assert slices[0].change.verdict == "worse"


def test_where_the_whole_lost_no_slice_is_singled_out():
    before, right = np.ones(400, dtype=bool), np.zeros(400, dtype=bool)
    slices = judged([("c", "half", part(slice(0, 200), 400))], right, before)
    assert not slices[0].lost


def test_of_many_slices_of_chance_hardly_one_is_called_lost_or_worse():
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(40):
        before, right = rng.random(1000) < 0.8, rng.random(1000) < 0.82
        parts = [("c", str(at), rng.random(1000) < 0.2) for at in range(20)]
        slices = judged(parts, right, before)
        called += any(one.lost or one.p_worse <= 0.05 for one in slices)
    assert called <= 5  # at most one in twenty families each, in the long run


def test_rows_must_fit():
    with pytest.raises(ShapeError):
        judged([("c", "x", np.ones(3, dtype=bool))], np.ones(4, dtype=bool), None)


def test_a_slice_that_lost_by_chance_says_so_in_a_bool_that_json_can_hold():
    before, right = np.ones(200, dtype=bool), np.ones(200, dtype=bool)
    right[:2] = False
    (one,) = judged([("c", "v", part(slice(0, 100), 200))], right, before)
    assert one.lost is False
