import numpy as np
import pytest

from fettle.engine.batches import bucketed, by_length

SIZES = np.random.default_rng(0).integers(1, 60, size=997).tolist()


def flat(batches):
    return sorted(np.concatenate(batches).tolist())


@pytest.mark.parametrize("budget", [1, 60, 300, 10_000])
@pytest.mark.parametrize("most", [1, 7, 512])
def test_by_length_every_row_comes_once_and_no_batch_is_over_its_budget(budget, most):
    batches = by_length(SIZES, budget=budget, most=most)
    assert flat(batches) == list(range(997))
    for rows in batches:
        padded = max(SIZES[row] for row in rows) * len(rows)
        assert len(rows) <= most
        assert padded <= budget or len(rows) == 1


def test_by_length_by_hand():
    assert [list(rows) for rows in by_length([5, 1, 2, 9, 2], budget=6)] == [
        [1, 2, 4], [0], [3]
    ]  # fmt: skip
    assert by_length([], budget=6) == []


def test_by_length_fills_its_batches():
    assert len(by_length([3] * 100, budget=30)) == 10


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 997])
def test_bucketed_every_row_comes_once_in_batches_of_one_size(rows):
    batches = bucketed(SIZES[:rows], batch_rows=8, rng=np.random.default_rng(1))
    assert flat(batches) == list(range(rows))
    sizes = sorted(len(batch) for batch in batches)
    assert sizes[1:] == [8] * (len(sizes) - 1)
    assert len(batches) == -(-rows // 8)


def test_bucketed_is_a_function_of_its_generator_alone():
    def said(seed):
        batches = bucketed(SIZES, batch_rows=8, rng=np.random.default_rng(seed))
        return [rows.tolist() for rows in batches]

    assert said((3, 0)) == said((3, 0))
    assert said((3, 0)) != said((3, 1))


def test_bucketed_rows_of_like_length_share_a_batch_and_short_ones_do_not_come_first():
    batches = bucketed(SIZES, batch_rows=8, rng=np.random.default_rng(1))
    spread = np.mean([np.ptp([SIZES[row] for row in rows]) for rows in batches])
    assert spread < 5  # of 59; rows at random give about 46
    means = np.array([np.mean([SIZES[row] for row in rows]) for rows in batches])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3
