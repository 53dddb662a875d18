import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures import agreement, selecting, sequential, unlabelled


def rng(seed=0):
    return np.random.default_rng(seed)


def sure(share, rows=400):
    return np.tile([share, 1 - share], (rows, 1))


def test_a_model_that_says_80_everywhere_is_expected_to_be_right_4_times_in_5():
    found = unlabelled.expected(sure(0.8), metric="accuracy", rng=rng())
    assert found.value == pytest.approx(0.8)
    assert found.error == pytest.approx(0.02)  # the root of 0.8 * 0.2 / 400
    assert (found.low, found.high) == pytest.approx((0.74, 0.86))


def test_the_expected_macro_f1_is_the_mean_over_labels_drawn_from_the_probabilities():
    """Half of the rows say a at 0.9, half b at 0.9: each class has an F1 of 0.9."""
    both = np.concatenate([sure(0.9), sure(0.1)])
    found = unlabelled.expected(both, metric="macro_f1", rng=rng())
    assert found.value == pytest.approx(0.9, abs=0.01)
    assert 0.005 < found.error < 0.02


def test_calibrated_probabilities_give_the_accuracy_and_a_flip_of_meaning_is_not_seen():
    draws = rng(1)
    first = draws.uniform(0.5, 1.0, 4000)
    p = np.stack([first, 1 - first], axis=1)
    right = draws.random(4000) < first
    assert abs(unlabelled.expected(p, metric="accuracy", rng=draws).value - right.mean()) < 0.03
    flipped = unlabelled.expected(p, metric="accuracy", rng=draws).value
    assert abs(flipped - (1 - right).mean()) > 0.3  # the blind spot, which BLIND tells
    assert "blind" in unlabelled.BLIND


def test_a_fall_counts_beyond_the_margin_and_beyond_chance():
    def told(share, rows=2000):
        return unlabelled.expected(sure(share, rows), metric="accuracy", rng=rng())

    assert unlabelled.fallen(told(0.9), told(0.8), margin=0.01)
    assert not unlabelled.fallen(told(0.9), told(0.895), margin=0.01)
    assert not unlabelled.fallen(told(0.9, 40), told(0.8, 40), margin=0.01)
    with pytest.raises(ShapeError):
        unlabelled.expected(np.empty((0, 2)), metric="accuracy", rng=rng())


def test_an_always_valid_interval_holds_at_every_look_where_the_plain_one_does_not():
    from fettle.measures.intervals import wilson

    draws = rng(2)
    missed = {"always": 0, "plain": 0}
    for _ in range(100):
        right = np.cumsum(draws.random(400) < 0.85)
        looks = range(20, 401, 20)
        bounds = {
            "always": [sequential.always_valid(int(right[n - 1]), n) for n in looks],
            "plain": [wilson(int(right[n - 1]), n) for n in looks],
        }
        for name, found in bounds.items():
            missed[name] += any(not low <= 0.85 <= high for low, high in found)
    assert missed["always"] <= 8
    assert missed["plain"] > 2 * missed["always"]


def test_an_always_valid_interval_narrows_and_knows_nothing_without_rows():
    assert sequential.always_valid(0, 0) == (0.0, 1.0)
    few, many = sequential.always_valid(45, 50), sequential.always_valid(900, 1000)
    assert few[0] < many[0] < 0.9 < many[1] < few[1]
    assert sequential.always_valid(30, 30)[1] == 1.0
    assert sequential.always_valid(0, 30)[0] == 0.0
    with pytest.raises(ShapeError):
        sequential.always_valid(3, 2)


def test_kappa_is_what_scikit_learn_says_and_its_interval_holds_the_worked_example():
    from sklearn.metrics import cohen_kappa_score

    first, second = ["a"] * 20 + ["b"] * 15 + ["a"] * 5 + ["b"] * 10, ["a"] * 25 + ["b"] * 25
    first = ["a"] * 20 + ["b"] * 5 + ["a"] * 10 + ["b"] * 15
    found = agreement.cohen_kappa(first, second)
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert found.kappa == pytest.approx(0.4)  # 0.7 agreed, 0.5 by chance
    assert found.low < 0.4 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.1272, abs=0.01)


def test_one_label_everywhere_has_no_kappa():
    assert np.isnan(agreement.cohen_kappa(["a"] * 3, ["a"] * 3).kappa)
    with pytest.raises(ShapeError):
        agreement.cohen_kappa(["a"], [])


def test_a_fifth_is_random_the_rest_half_unsure_and_half_far_from_all_that_is_known():
    draws = rng(3)
    vectors = draws.normal(size=(200, 6))
    first = draws.uniform(0.5, 1.0, 200)
    p = np.stack([first, 1 - first], axis=1)
    chosen = selecting.select(p, vectors, vectors[:50], among=range(50, 200), many=50, rng=draws)
    why = [one.why for one in chosen]
    assert [why.count(kind) for kind in ("random", "uncertain", "diverse")] == [10, 20, 20]
    rows = [one.row for one in chosen]
    assert len(set(rows)) == 50
    assert min(rows) >= 50
    unsure = [one.row for one in chosen if one.why == "uncertain"]
    left = sorted(set(range(50, 200)) - {one.row for one in chosen if one.why == "random"},
                  key=lambda row: first[row])
    assert sorted(unsure) == sorted(left[:20])


def test_the_diverse_rows_are_the_farthest_first():
    """On a circle, with 0 known: 180 degrees is farthest, then a quarter on either side."""
    angles = np.radians([0, 10, 90, 170, 180, 270])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    chosen = selecting.select(np.tile([0.9, 0.1], (6, 1)), vectors, vectors[:1],
                              among=[1, 2, 3, 4, 5], many=2, rng=rng())
    assert [one.row for one in chosen if one.why == "diverse"] == [4]


def test_fewer_rows_than_asked_for_are_all_given_once():
    chosen = selecting.select(sure(0.6, 3), rng().normal(size=(3, 2)), np.empty((0, 2)),
                              among=[0, 2], many=10, rng=rng())
    assert sorted(one.row for one in chosen) == [0, 2]


def test_rows_in_doubt_about_several_labels_are_asked_about_first():
    """One label at a half tells log 2; two at 0.3 tell 2 x 0.6109, worked out by hand."""
    p = np.array([[0.5, 0.0, 0.01], [0.3, 0.3, 0.01], [0.9, 0.99, 0.01]])
    found = selecting.entropies(p)
    assert found[0] == pytest.approx(np.log(2) + 0.0560, abs=1e-4)
    assert found[1] == pytest.approx(2 * 0.6109 + 0.0560, abs=1e-4)
    chosen = selecting.select(p, rng().normal(size=(3, 2)), np.empty((0, 2)), among=[0, 1, 2],
                              many=2, rng=rng(), doubts=found)
    assert [one.row for one in chosen if one.why == "uncertain"] == [1]
