import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from fettle.core.errors import ShapeError
from fettle.measures.folds import joined, newest, stratified_folds, stratified_parts
from patience import calls

THREE = (0.75, 0.125, 0.125)


def parts_of(labels, groups, shares=THREE, seed=0):
    return stratified_parts(
        np.asarray(labels), np.asarray(groups), shares, np.random.default_rng(seed)
    )


rows_with_groups = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 25)), min_size=1, max_size=80
)


@given(rows_with_groups, st.integers(0, 3))
def test_groups_stay_together_and_every_label_learns(rows, seed):
    labels, groups = np.array(rows).T

    part = parts_of(labels, groups, seed=seed)

    for group in np.unique(groups):
        assert len(set(part[groups == group])) == 1
    assert set(labels[part == 0]) == set(labels)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 3))
def test_a_label_of_three_rows_or_more_stands_in_every_part(labels, seed):
    part = parts_of(labels, range(len(labels)), seed=seed)

    for label in set(labels):
        there = part[np.array(labels) == label]
        assert set(there) == {0, 1, 2} if len(there) >= 3 else 0 in there


def test_shares_are_kept_for_each_label_and_over_all():
    labels = np.repeat([0, 1, 2], [80, 800, 8])

    part = parts_of(labels, range(888))

    assert [np.bincount(part[labels == label]).tolist() for label in range(3)] == [
        [60, 10, 10],
        [600, 100, 100],
        [6, 1, 1],
    ]


def test_what_rounding_takes_from_one_label_it_gives_to_the_next():
    labels = np.repeat(np.arange(100), 12)  # an eighth of 12 is 1.5

    part = parts_of(labels, range(1200))

    assert np.bincount(part).tolist() == [900, 150, 150]


def test_labels_too_small_for_all_parts_learn_first():
    labels = [0] * 40 + [1, 2, 2]

    for seed in range(20):
        part = parts_of(labels, range(43), seed=seed)
        assert part[40] == 0
        assert 0 in part[41:]


def test_large_groups_are_counted_by_their_rows():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(1000), rng.integers(1, 20, size=1000))
    labels = groups % 3

    shares = np.bincount(parts_of(labels, groups)) / len(groups)

    assert shares == pytest.approx(THREE, abs=0.01)


def test_the_same_seed_gives_the_same_parts_and_another_seed_others():
    labels = np.arange(100) % 4

    first, again = (parts_of(labels, range(100), seed=5) for _ in range(2))
    other = parts_of(labels, range(100), seed=6)

    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_the_numbers_of_the_groups_do_not_matter_while_their_order_is_the_same():
    labels = np.arange(100) % 4

    assert parts_of(labels, np.arange(100)).tolist() == (
        parts_of(labels, np.arange(100) * 7 + 3).tolist()
    )


def test_shares_that_do_not_add_up_are_refused():
    with pytest.raises(ShapeError, match="add up to 1"):
        parts_of([0, 1], [0, 1], shares=(0.5, 0.4))
    with pytest.raises(ShapeError, match="one of each"):
        parts_of([0, 1], [0])


@given(rows_with_groups, st.integers(2, 5))
def test_folds_keep_groups_together_and_are_even_in_groups(rows, folds):
    labels, groups = np.array(rows).T

    fold = stratified_folds(labels, groups, folds, np.random.default_rng(0))

    held = {group: set(fold[groups == group]) for group in np.unique(groups)}
    assert all(len(folds_of) == 1 for folds_of in held.values())
    counts = np.bincount([min(folds_of) for folds_of in held.values()], minlength=folds)
    assert counts.max() - counts.min() <= 1


def test_every_label_is_held_out_in_every_fold():
    labels = np.repeat([0, 1, 2], [50, 7, 5])

    fold = stratified_folds(labels, np.arange(62), 5, np.random.default_rng(0))

    assert all(set(fold[labels == label]) == {0, 1, 2, 3, 4} for label in range(3))
    assert np.bincount(fold[labels == 0]).tolist() == [10] * 5


def test_ten_times_the_rows_take_no_more_than_ten_times_the_work():
    def work(rows):
        rng = np.random.default_rng(0)
        labels, groups = rng.integers(77, size=rows), rng.integers(rows, size=rows)
        return calls(lambda: (parts_of(labels, groups), stratified_folds(labels, groups, 5, rng)))

    assert work(100_000) < 15 * work(10_000)


def test_a_label_that_is_nowhere_the_commonest_of_its_group_learns_all_the_same():
    labels = [0] * 40 + [0, 0, 1]
    groups = [*range(40), 40, 40, 40]

    for seed in range(40):
        assert parts_of(labels, groups, seed=seed)[42] == 0


def test_rows_hang_together_over_any_chain():
    #            0  1  2  3  4  5
    first = np.array([7, 7, 1, 2, 3, 9])
    second = np.array([0, 1, 1, 5, 5, 8])  # 0-1 by first, 1-2 by second, 3-4 by second

    assert joined(first, second).tolist() == [0, 0, 0, 3, 3, 5]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30))
def test_joined_groups_are_the_connected_components(pairs):
    first, second = (np.array([pair[at] for pair in pairs], dtype=int) for at in (0, 1))
    edges = (first[:, None] == first) | (second[:, None] == second)
    _, component = connected_components(edges)
    found = joined(first, second)

    assert ((component[:, None] == component) == (found[:, None] == found)).all()


def test_the_newest_rows_are_as_many_as_equal_times_allow():
    when = np.array([5.0, 1, 2, 3, 4, 5, 0, 5])  # three rows at 5, one each at 4, 3, 2, 1, 0

    assert newest(when, 1 / 8).tolist() == (when == 5).tolist()
    assert newest(when, 4 / 8).tolist() == (when >= 4).tolist()
    assert not newest(np.ones(9), 0.5).any()
