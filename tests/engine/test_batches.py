import numpy as np
import pytest

from fettle.engine.batches import MOST_TIMES, bucketed, by_length, micro_batches, shuffled

SIZES = np.random.default_rng(0).integers(1, 60, size=997).tolist()


def flat(batches):
    return sorted(np.concatenate(batches).tolist())


def padded(rows):
    return max(SIZES[row] for row in rows) * len(rows)


@pytest.mark.parametrize("budget", [1, 60, 300, 10_000])
@pytest.mark.parametrize("most", [1, 7, 512])
def test_by_length_every_row_comes_once_and_no_batch_is_over_its_budget(budget, most):
    batches = by_length(SIZES, budget=budget, most=most)
    assert flat(batches) == list(range(997))
    for rows in batches:
        assert len(rows) <= most
        assert padded(rows) <= budget or len(rows) == 1


def test_by_length_by_hand():
    assert [list(rows) for rows in by_length([5, 1, 2, 9, 2], budget=6)] == [
        [1, 2, 4], [0], [3]
    ]  # fmt: skip
    assert by_length([], budget=6) == []


def test_by_length_fills_its_batches():
    assert len(by_length([3] * 100, budget=30)) == 10


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 997])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_bucketed_every_row_comes_once_and_no_batch_is_over_the_tokens_of_a_usual_one(rows, epoch):
    sizes = SIZES[:rows]
    budget = max(8 * np.mean(sizes) + 1, max(sizes))
    batches = bucketed(sizes, batch_rows=8, seed=1, epoch=epoch)
    assert flat(batches) == list(range(rows))
    assert all(padded(batch) <= budget for batch in batches)
    assert all(1 <= len(batch) <= 8 * MOST_TIMES for batch in batches)


def test_bucketed_holds_about_as_many_rows_as_asked_fewer_where_they_are_long():
    batches = bucketed(SIZES, batch_rows=8, seed=1, epoch=0)
    assert 6 < 997 / len(batches) < 9
    longest = max(batches, key=lambda rows: min(SIZES[row] for row in rows))
    shortest = min(batches, key=lambda rows: max(SIZES[row] for row in rows))
    assert len(longest) < 8 < len(shortest)


def test_bucketed_rows_of_one_length_come_in_batches_of_one_size():
    batches = bucketed([5] * 20, batch_rows=8, seed=1, epoch=0)
    assert sorted(map(len, batches)) == [4, 8, 8]


def test_bucketed_one_text_longer_than_a_usual_batch_still_fits_in_one():
    sizes = [1] * 30 + [100]
    batches = bucketed(sizes, batch_rows=4, seed=1, epoch=0)
    assert flat(batches) == list(range(31))


def test_bucketed_is_a_function_of_seed_and_epoch_alone():
    def said(seed, epoch):
        np.random.seed(seed * 7 + epoch)  # on which nothing may depend
        batches = bucketed(SIZES, batch_rows=8, seed=seed, epoch=epoch)
        return [rows.tolist() for rows in batches]

    first = said(3, 0)
    np.random.rand(5)
    assert said(3, 0) == first
    assert len({str(said(*one)) for one in ((3, 0), (3, 1), (4, 0), (0, 3))}) == 4


def test_bucketed_rows_of_like_length_share_a_batch_and_short_ones_do_not_come_first():
    batches = bucketed(SIZES, batch_rows=8, seed=1, epoch=0)
    spread = np.mean([np.ptp([SIZES[row] for row in rows]) for rows in batches])
    assert spread < 5  # of 59; rows at random give about 46
    means = np.array([np.mean([SIZES[row] for row in rows]) for rows in batches])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


@pytest.mark.parametrize("budget", [1, 60, 300, 10_000])
@pytest.mark.parametrize("least", [1, 2, 8, 100])
def test_parts_of_a_batch_hold_every_row_once_in_at_least_so_many(budget, least):
    rows = np.random.default_rng(2).choice(997, 20, replace=False)
    parts = micro_batches(rows, SIZES, budget=budget, least=least)
    assert flat(parts) == sorted(rows.tolist())
    assert len(parts) >= min(least, 20)
    assert all(len(part) for part in parts)
    assert all(padded(part) <= budget or len(part) == 1 for part in parts)


def test_parts_by_hand():
    sizes = [4, 1, 3, 2]
    rows = np.array([0, 1, 2, 3])

    def said(**asked):
        return [part.tolist() for part in micro_batches(rows, sizes, **asked)]

    assert said(budget=16) == [[1, 3, 2, 0]]  # 4 rows of at most 4 tokens
    assert said(budget=15) == [[1, 3], [2, 0]]
    assert said(budget=16, least=3) == [[1, 3], [2], [0]]
    assert micro_batches(rows[:0], sizes, budget=16) == []


def test_rows_that_are_compared_come_once_an_epoch_in_even_batches_and_in_any_company():
    found = shuffled(130, batch_rows=64, seed=1, epoch=0)
    assert [len(batch) for batch in found] == [44, 43, 43]
    assert sorted(np.concatenate(found)) == list(range(130))
    again = shuffled(130, batch_rows=64, seed=1, epoch=0)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))
    other = shuffled(130, batch_rows=64, seed=1, epoch=1)
    assert set(found[0]) != set(other[0])
    assert [len(batch) for batch in shuffled(9, batch_rows=64, seed=1, epoch=0)] == [9]
