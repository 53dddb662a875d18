import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from fettle.core.errors import ShapeError
from fettle.measures import shift

SIGNALS = 10


def drawn(seed=0):
    return np.random.default_rng(seed)


def test_a_number_that_moved_by_a_standard_deviation_has_that_effect():
    before = drawn().normal(size=4000)
    found = shift.numbers(before, before + before.std())
    assert found.effect == pytest.approx(1.0)
    assert found.p == pytest.approx(ks_2samp(before, before + before.std(), method="asymp").pvalue)


def test_a_constant_is_no_drift_until_it_is_no_constant():
    assert shift.numbers(np.ones(50), np.ones(60)) == shift.Shift(0.0, 1.0)
    moved = shift.numbers(np.ones(50), np.full(60, 2.0))
    assert moved.effect > 1
    assert moved.p < 1e-6


def test_a_constant_column_gives_no_p_that_is_not_a_number():
    one = shift.categories(["a"] * 30, ["a"] * 40, rng=drawn())
    assert (one.effect, one.p) == (0.0, 1.0)


def test_categories_are_judged_as_two_samples():
    before, now = ["a"] * 60 + ["b"] * 40, ["a"] * 30 + ["b"] * 70
    found = shift.categories(before, now, rng=drawn())
    assert found.effect == pytest.approx(0.3)
    expected = chi2_contingency([[60, 40], [30, 70]], correction=False).pvalue
    assert found.p == pytest.approx(expected)


def test_rare_categories_do_not_flag_more_often_than_they_should():
    rng = drawn(1)
    shares = 1 / np.arange(1, 78)
    shares /= shares.sum()
    p = [
        shift.categories(rng.choice(77, 500, p=shares), rng.choice(77, 100, p=shares), rng=rng).p
        for _ in range(60)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert np.mean(p) == pytest.approx(0.5, abs=0.15)


def test_a_category_that_was_never_seen_is_named_and_too_frequent_to_be_chance():
    rng = drawn(5)
    found, names = shift.newcomers(["a", "b"] * 100, ["c"] * 9 + ["a"] * 90 + ["d"], rng=rng)
    assert names == ("c", "d")
    assert found.effect == pytest.approx(0.1)
    assert found.p == 1 / (shift.DRAWS + 1)
    once, names = shift.newcomers(["a", "b"] * 100, ["a"] * 99 + ["c"], rng=rng)
    assert (names, once.p) == (("c",), pytest.approx(1 / 3, abs=0.05))  # in which half it fell
    assert shift.newcomers(["a"], ["a"], rng=rng) == (shift.Shift(0.0, 1.0), ())


def test_of_many_classes_and_few_rows_some_are_unseen_by_chance():
    """77 classes, 200 rows before and 400 now: a tenth of the classes is new, and means nothing."""
    rng = drawn(6)
    told = [
        shift.newcomers(*(rng.integers(77, size=rows).astype(str) for rows in (200, 400)), rng=rng)
        for _ in range(100)
    ]
    assert np.mean([len(names) for _, names in told]) > 3
    assert sum(found.p <= 0.01 for found, _ in told) <= 4
    assert 0.3 < np.mean([found.p <= 0.5 for found, _ in told]) < 0.75


def test_a_number_of_which_the_exact_count_overflows_is_compared_in_silence(recwarn):
    rng = drawn(17)
    for _ in range(400):
        before, now = (np.round(rng.normal(size=400), 0) for _ in range(2))
        shift.numbers(before, now)
    assert not [one for one in recwarn if "ks_2samp" in str(one.message)]


def test_vectors_that_moved_or_spread_are_told_apart_and_others_are_not():
    rng = drawn(2)
    before, same = rng.normal(size=(300, 20)), rng.normal(size=(200, 20))
    moved, wider = same + 0.7, 1.6 * same
    steady = shift.embeddings(before, same, rng=rng, draws=199)
    assert abs(steady.effect - 0.5) < 0.12
    assert steady.p > 0.01
    for other in (moved, wider):
        found = shift.embeddings(before, other, rng=rng, draws=199)
        assert found.effect > 0.8
        assert found.p == pytest.approx(1 / 200)


def test_vectors_of_equal_rows_are_not_told_apart_by_their_order():
    found = [
        shift.embeddings(np.ones((60, 4)), np.ones((40, 4)), rng=drawn(seed), draws=99).p
        for seed in range(8)
    ]
    assert min(found) > 0.01


def test_the_embedding_test_is_right_as_often_as_it_says():
    rng = drawn(3)
    p = [
        shift.embeddings(rng.normal(size=(120, 8)), rng.normal(size=(60, 8)), rng=rng, draws=99).p
        for _ in range(60)
    ]
    assert np.mean(np.array(p) <= 0.1) <= 0.25
    assert np.mean(p) == pytest.approx(0.5, abs=0.15)


def test_vectors_that_were_rounded_on_the_disk_are_not_told_from_fresh_ones():
    rng = drawn(6)
    wide = np.array([1.0, 1.0, 1e-4, 1e-5])
    before = (5 + rng.normal(size=(300, 4)) * wide).astype(np.float16).astype(np.float64)
    found = shift.embeddings(before, 5 + rng.normal(size=(200, 4)) * wide, rng=rng, draws=199)
    assert found.p > 0.02


@pytest.mark.parametrize(("one", "two"), [
    (np.ones((9, 3)), np.ones((9, 4))), (np.ones((3, 3)), np.ones((9, 3))),
    (np.full((9, 3), np.nan), np.ones((9, 3))),
])
def test_vectors_that_cannot_be_compared_are_refused(one, two):
    with pytest.raises(ShapeError):
        shift.embeddings(one, two, rng=drawn())


def test_numbers_that_are_none_are_refused():
    for sample in (np.array([]), np.array([1.0, np.nan])):
        with pytest.raises(ShapeError, match="finite"):
            shift.numbers(sample, np.ones(3))


def test_enough_rows_show_a_shift_of_six_tenths_of_a_deviation_four_times_in_five():
    """By simulation of what the rule says, at the level of one signal among ten."""
    rows = shift.rows_needed(500, signals=SIGNALS)
    assert 60 < rows < 120
    rng = drawn(4)
    seen = [
        shift.numbers(rng.normal(size=500), rng.normal(0.6, size=rows)).p <= shift.LEVEL / SIGNALS
        for _ in range(400)
    ]
    assert np.mean(seen) == pytest.approx(0.8, abs=0.08)
    assert shift.rows_needed(60, signals=SIGNALS) is None
    assert shift.effective_rows(500, rows) >= shift.effective_rows(2000, 71) - 1


def test_two_of_the_last_three_windows_confirm():
    assert not shift.confirmed([True])
    assert not shift.confirmed([True, False, False, True])
    assert shift.confirmed([True, False, True])
    assert shift.confirmed([True, None, None, True])
    assert not shift.confirmed([True, True, False, False, None])


def test_an_alarm_began_behind_the_last_two_quiet_windows():
    assert shift.since([False, True, False, True]) == 1
    assert shift.since([True, False, False, True, None, True]) == 3
    assert shift.since([False, None]) is None
    assert shift.since([True, False, False]) is None


def test_p_values_are_adjusted_as_benjamini_and_hochberg_have_it():
    assert shift.adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert shift.adjusted([]).shape == (0,)


def test_ten_signals_without_drift_raise_an_alarm_hardly_ever():
    """The promise of the whole rule: windows of 10 signals, sizes as they come."""
    rng = drawn(5)
    alarms = 0
    for _ in range(100):
        rows, current = rng.choice([300, 1000, 2000]), rng.choice([100, 200, 500])
        found = [
            shift.numbers(rng.normal(size=rows), rng.normal(size=current)) for _ in range(6)
        ] + [
            shift.categories(rng.integers(9, size=rows), rng.integers(9, size=current), rng=rng)
            for _ in range(4)
        ]
        p = shift.adjusted([one.p for one in found])
        floors = [shift.FLOORS["numbers"]] * 6 + [shift.FLOORS["categories"]] * 4
        alarms += any(
            value <= shift.LEVEL and one.effect >= floor
            for one, value, floor in zip(found, p, floors, strict=True)
        )
    assert alarms <= 4
