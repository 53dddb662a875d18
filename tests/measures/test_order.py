import numpy as np
import pytest

from fettle.measures.order import explained, explained_by_chance, runs, slices


def test_runs_of_all_orders_have_the_mean_and_spread_of_the_formula():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [20, 30, 10])
    drawn = [runs(rng.permutation(labels)) for _ in range(4000)]

    found = np.array([one.found for one in drawn])
    assert found.mean() == pytest.approx(drawn[0].expected, abs=0.15)
    assert np.std([one.z for one in drawn]) == pytest.approx(1.0, abs=0.05)


def test_runs_worked_by_hand():
    # Two of each: of the 6 orders, 2 have 2 runs, 2 have 3 and 2 have 4.
    assert runs(np.array([0, 0, 1, 1])).found == 2
    assert runs(np.array([0, 0, 1, 1])).expected == pytest.approx(3.0)
    assert runs(np.array([0, 0, 1, 1])).z == pytest.approx(-1 / (2 / 3) ** 0.5)
    assert runs(np.array([0, 0, 0])).z == 0.0
    assert runs(np.array([], dtype=int)).found == 0


def test_slices_are_of_equal_size_and_keep_equal_values_together():
    assert slices(np.array([5.0, 1, 3, 2, 4, 6]), 3).tolist() == [2, 0, 1, 0, 1, 2]
    assert len(set(slices(np.array([1.0, 1, 1, 2]), 4)[:3].tolist())) == 1


def test_what_is_a_copy_explains_all_and_what_is_independent_nothing():
    labels = np.array([0, 1] * 50)
    assert explained(labels, labels) == pytest.approx(1.0)
    assert explained(np.repeat([0, 1], 50), labels) == pytest.approx(0.0)
    assert explained(labels, np.zeros(100, dtype=int)) == 0.0


def test_what_chance_explains_is_known():
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(10, size=500), rng.integers(3, size=500)

    chance = explained_by_chance(codes, labels, rng=rng)

    # Twice rows times nats is about chi-squared with 9 times 2 degrees of freedom.
    assert chance.mean() == pytest.approx(18 / (2 * 500 * np.log(3)), rel=0.2)
    assert chance.min() < explained(codes, labels) < 2 * chance.max()
