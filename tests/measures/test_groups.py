"""Rows that hang together: worked by hand, by enumeration, and by simulation of known truth."""

from itertools import product

import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures import classification, intervals, judging
from fettle.measures.groups import effective_rows, patterns, sign_flip, together
from fettle.measures.paired import mcnemar, paired_interval

ALONE = np.arange(40)
RNG = np.random.default_rng


def pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every value twice, and the number of its pair."""
    return np.repeat(values, 2), np.repeat(np.arange(len(values)), 2)


def test_rows_that_are_alone_have_no_groups():
    assert together(np.array([7, 3, 9])) is None
    assert together(np.array([7, 3, 7])).tolist() == [1, 0, 1]


def test_a_row_that_is_alone_is_worth_a_row():
    assert effective_rows(ALONE % 3 == 0, ALONE) == 40


def test_of_a_part_in_which_every_row_is_alone_all_is_as_without_groups():
    """A slice, or the rows of one class, may hold one row of each group."""
    first, second = ALONE % 3 == 0, ALONE % 4 == 0
    here = 100 + 3 * ALONE
    assert intervals.share_interval(first, here) == intervals.share_interval(first, None)
    assert judging.compare("a", "b", first, second, here) == judging.compare(
        "a", "b", first, second)


def test_rows_of_one_group_alone_say_next_to_nothing():
    targets, one = np.arange(40) % 2, np.zeros(40, dtype=int)
    right, wrong = targets, 1 - targets
    assert paired_interval(classification.macro_f1_of, targets, wrong, right, rng=RNG(0),
                           groups=one) == (1.0, -1.0, 1.0)
    for score in judging.scores(targets, right, 2, rng=RNG(0), groups=one)[1:]:
        assert (score.low, score.high) == (0.0, 1.0)
    made = judging.compare("a", "b", wrong == targets, right == targets, one)
    assert made.verdict == "cannot tell"
    assert (made.p, made.groups) == (1.0, 1)


def test_a_pair_of_copies_is_worth_little_more_than_half_by_hand():
    """20 of 40 right, each twice: the effect is 40 / 39 x 2, and 39 groups leave t at 2.0227."""
    values, groups = pairs(np.arange(40) % 2)
    expected = 80 / (40 / 39 * 2) * (1.990450 / 2.022691) ** 2
    assert effective_rows(values, groups) == pytest.approx(expected, rel=1e-4)


def test_groups_that_are_all_right_are_as_many_rows_as_groups():
    assert effective_rows(np.ones(60), np.arange(60) // 6) == 10
    low, high = intervals.share_interval(np.ones(60, dtype=bool), np.arange(60) // 6)
    assert (low, high) == intervals.wilson(10, 10)
    assert effective_rows(np.array([1, 0, 1]), np.zeros(3, dtype=int)) == 1


def test_rows_without_groups_or_none_at_all_are_an_error():
    with pytest.raises(ShapeError):
        effective_rows(np.ones(3), np.zeros(2, dtype=int))
    with pytest.raises(ShapeError):
        effective_rows(np.ones(0), np.zeros(0, dtype=int))


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (9, 4), (40, 41), (3, 3)])
def test_the_signs_of_single_rows_are_mcnemars_exact_test(wins, losses):
    differences = np.array([1] * wins + [-1] * losses + [0] * 7)
    groups = np.arange(len(differences))
    assert sign_flip(differences, groups) == pytest.approx(mcnemar(wins, losses))


def test_the_signs_of_groups_are_what_enumeration_counts():
    sizes = [3, -1, 2, 2, -1, 4]
    differences = np.concatenate([np.full(abs(size), np.sign(size)) for size in sizes])
    groups = np.repeat(np.arange(len(sizes)), np.abs(sizes))
    sums = [abs(sum(sign * abs(size) for sign, size in zip(signs, sizes, strict=True)))
            for signs in product((-1, 1), repeat=len(sizes))]
    expected = np.mean([one >= abs(sum(sizes)) for one in sums])
    assert sign_flip(differences, groups) == pytest.approx(expected)


def test_drawing_patterns_by_their_shares_is_drawing_groups():
    counts, shares = patterns(np.array([0, 1, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 2, 3]))
    held = {tuple(line): share for line, share in zip(counts.tolist(), shares, strict=True)}
    assert held == {(1, 1, 0): 0.5, (0, 0, 1): 0.5}


def test_a_comparison_by_groups_says_how_many_and_is_less_sure():
    rng = RNG(0)
    right, groups = pairs(rng.random(100) < 0.9)
    before, _ = pairs(rng.random(100) < 0.8)
    alone, whole = (judging.compare("a", "b", before, right, of) for of in (None, groups))
    assert (whole.difference, whole.wins, whole.losses) == (
        alone.difference, alone.wins, alone.losses)
    assert whole.low < alone.low
    assert whole.high > alone.high
    assert whole.p > alone.p
    assert (alone.groups, whole.groups) == (None, 100)


def test_scores_by_groups_are_the_same_with_wider_intervals():
    rng = RNG(1)
    targets, groups = pairs(rng.integers(3, size=80))
    predicted = np.where(np.repeat(rng.random(80) < 0.8, 2), targets, (targets + 1) % 3)
    alone, whole = (
        judging.scores(targets, predicted, 3, rng=RNG(0), groups=of) for of in (None, groups)
    )
    for one, other in zip(alone, whole, strict=True):
        assert other.value == one.value
        assert other.high - other.low > 1.2 * (one.high - one.low)
    of_class = judging.class_scores(targets, predicted, ("a", "b", "c"), rng=RNG(0), groups=groups)
    by_row = judging.class_scores(targets, predicted, ("a", "b", "c"), rng=RNG(0))
    for one, other in zip(by_row, of_class, strict=True):
        for name in ("precision", "recall", "f1"):
            narrow, wide = getattr(one, name), getattr(other, name)
            assert wide.value == narrow.value
            assert wide.low < narrow.low


def test_a_paired_interval_by_groups_is_wider():
    rng = RNG(2)
    targets, groups = pairs(rng.integers(2, size=60))
    first, second = (
        np.where(np.repeat(rng.random(60) < share, 2), targets, 1 - targets)
        for share in (0.7, 0.85)
    )
    found = [
        paired_interval(classification.macro_f1_of, targets, first, second, rng=RNG(0), groups=of)
        for of in (None, groups)
    ]
    assert found[0][0] == found[1][0]
    assert found[1][2] - found[1][1] > 1.2 * (found[0][2] - found[0][1])


def test_by_groups_the_interval_holds_the_truth_where_by_rows_it_does_not():
    """25 customers of 8 rows, each of whom is easy (95%) or hard (55%): the truth is 75%."""
    rng = RNG(3)
    groups = np.repeat(np.arange(25), 8)
    held = {"rows": 0, "groups": 0}
    draws = 400
    for _ in range(draws):
        right = rng.random(200) < np.repeat(rng.choice([0.95, 0.55], 25), 8)
        for name, of in (("rows", None), ("groups", groups)):
            low, high = intervals.share_interval(right, of)
            held[name] += low <= 0.75 <= high
    assert held["rows"] / draws < 0.90
    assert held["groups"] / draws > 0.93
