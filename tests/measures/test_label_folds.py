"""Parts where a row has several labels: each label by its share, groups whole, none lost."""

import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures.label_folds import iterative_parts


def drawn(rows: int = 800, labels: int = 12, seed: int = 0) -> np.ndarray:
    """Labels from common to rare, some of which go together."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, labels)) < np.geomspace(0.4, 0.01, labels)
    truth[:, 3] |= truth[:, 2] & (rng.random(rows) < 0.7)
    return truth


def test_every_label_stands_in_the_parts_by_its_share():
    truth = drawn()
    parts = iterative_parts(truth, np.arange(800), (0.75, 0.25), np.random.default_rng(0))
    held = truth[parts == 1].sum(axis=0)
    assert abs((parts == 1).sum() - 200) <= 2
    assert np.abs(held - truth.sum(axis=0) / 4).max() <= 2


def test_it_spreads_rare_labels_better_than_chance():
    truth, rng = drawn(), np.random.default_rng(0)
    fifths = (0.2,) * 5

    def unevenness(parts: np.ndarray) -> float:
        held = np.stack([truth[parts == part].sum(axis=0) for part in range(5)])
        return float(np.abs(held - truth.sum(axis=0) / 5).sum())

    ours = unevenness(iterative_parts(truth, np.arange(800), fifths, rng))
    chance = np.mean([unevenness(rng.permutation(np.arange(800) % 5)) for _ in range(20)])
    assert ours < chance / 3


def test_rows_of_one_group_stand_on_one_side():
    truth = drawn(600)
    groups = np.random.default_rng(1).integers(0, 150, 600)
    parts = iterative_parts(truth, groups, (0.8, 0.2), np.random.default_rng(0))
    assert all(len(np.unique(parts[groups == one])) == 1 for one in np.unique(groups))
    assert 90 <= (parts == 1).sum() <= 150


def test_a_label_with_one_row_teaches_and_one_with_a_row_a_part_stands_in_each():
    truth = np.zeros((60, 3), dtype=bool)
    truth[:, 0] = True
    truth[7, 1] = True
    truth[[3, 9], 2] = True
    for seed in range(20):
        parts = iterative_parts(truth, np.arange(60), (0.875, 0.125), np.random.default_rng(seed))
        assert parts[7] == 0
        assert sorted(parts[[3, 9]].tolist()) == [0, 1]


def test_rows_without_a_label_are_spread_as_well():
    truth = np.zeros((100, 2), dtype=bool)
    truth[:20, 0] = True
    parts = iterative_parts(truth, np.arange(100), (0.75, 0.25), np.random.default_rng(0))
    assert (parts == 1).sum() == 25
    assert (parts[:20] == 1).sum() == 5


def test_the_same_seed_gives_the_same_parts_whatever_the_groups_are_called():
    truth = drawn(200)
    one = iterative_parts(truth, np.arange(200), (0.8, 0.2), np.random.default_rng(3))
    two = iterative_parts(truth, np.arange(200) * 7 + 5, (0.8, 0.2), np.random.default_rng(3))
    other = iterative_parts(truth, np.arange(200), (0.8, 0.2), np.random.default_rng(4))
    assert one.tolist() == two.tolist()
    assert one.tolist() != other.tolist()


def test_no_rows_make_no_parts_and_wrong_shapes_are_refused():
    rng = np.random.default_rng(0)
    assert len(iterative_parts(np.zeros((0, 2), dtype=bool), np.zeros(0), (0.5, 0.5), rng)) == 0
    with pytest.raises(ShapeError, match="one group"):
        iterative_parts(np.zeros((3, 2), dtype=bool), np.arange(2), (0.5, 0.5), rng)
    with pytest.raises(ShapeError, match="add up to 1"):
        iterative_parts(np.zeros((3, 2), dtype=bool), np.arange(3), (0.5, 0.4), rng)
