"""Several labels watched: which share moved, by chance or not, and what probabilities promise."""

from itertools import combinations

import numpy as np
import pytest

from fettle.core.drift import Portrait
from fettle.core.errors import ShapeError
from fettle.core.labels import packed
from fettle.measures import label_watching, performance
from fettle.measures.label_sets import label_f1_of, micro_f1_of, tallies
from fettle.measures.sequential import always_valid


def drawn(rows, shares, *, seed=0):
    return np.random.default_rng(seed).random((rows, len(shares))) < np.array(shares)


def test_the_effect_is_the_largest_change_of_a_share():
    before = np.array([[1, 0], [1, 0], [0, 0], [0, 1]], dtype=bool)
    now = np.array([[1, 1], [1, 1], [1, 1], [1, 0]], dtype=bool)
    found = label_watching.moved(before, now, rng=np.random.default_rng(0))
    assert found.effect == pytest.approx(0.5)  # 2 of 4 and all; 1 of 4 and 3 of 4


def test_p_is_the_share_of_all_deals_with_as_large_a_change():
    """Worked out over the 20 ways of dealing six rows to two samples of three."""
    both = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0]], dtype=bool)
    before, now = both[:3], both[3:]
    gaps = []
    for at in combinations(range(6), 3):
        inside = np.isin(np.arange(6), at)
        gaps.append(np.abs(both[inside].mean(0) - both[~inside].mean(0)).max())
    exact = np.mean(np.array(gaps) >= gaps[0] - 1e-12)
    found = label_watching.moved(before, now, rng=np.random.default_rng(0), draws=20_000)
    assert found.p == pytest.approx(exact, abs=0.01)
    assert exact == pytest.approx(0.1)


def test_labels_that_did_not_move_raise_no_more_alarms_where_they_are_many():
    shares = np.linspace(0.02, 0.5, 60)
    found = [
        label_watching.moved(drawn(300, shares, seed=2 * at), drawn(200, shares, seed=2 * at + 1),
                             rng=np.random.default_rng(at), draws=199).p
        for at in range(60)
    ]
    assert np.mean(np.array(found) <= 0.1) <= 0.2  # 0.1 is what is asked for; 60 tries
    moved = label_watching.moved(drawn(300, shares), drawn(200, np.minimum(shares + 0.25, 1)),
                                 rng=np.random.default_rng(0))
    assert moved.p <= 1 / 1000


@pytest.mark.parametrize(("before", "now"), [((0, 2), (3, 2)), ((3, 2), (0, 2)), ((3, 2), (3, 3))])
def test_samples_that_cannot_be_compared_are_refused(before, now):
    with pytest.raises(ShapeError):
        label_watching.moved(np.zeros(before, bool), np.zeros(now, bool),
                             rng=np.random.default_rng(0))


def test_certainty_is_the_root_of_the_probability_that_all_calls_are_right():
    said = np.array([[0.9, 0.2], [0.5, 0.5]])
    found = label_watching.certainty(said, said >= 0.3)
    assert found == pytest.approx([(0.9 * 0.8) ** 0.5, 0.5])


def test_true_probabilities_promise_the_f1_that_comes():
    """Labels drawn from the probabilities; 20,000 rows, so that the real score is known well."""
    rng = np.random.default_rng(1)
    said = rng.beta(0.5, 1.5, size=(20_000, 3))
    truth = rng.random(said.shape) < said
    cuts = np.array([0.3, 0.5, 0.4])
    real = float(micro_f1_of(tallies(truth, said >= cuts)))
    some = said[:1000]
    found = label_watching.expected(some, some >= cuts, metric="micro_f1", rng=rng)
    assert found.low < real < found.high
    assert found.value == pytest.approx(real, abs=0.03)
    assert 0.005 < found.error < 0.03
    moved = label_watching.expected(some, some >= cuts, metric="micro_f1", rng=rng, shift=-0.1)
    assert moved.value == pytest.approx(found.value - 0.1, abs=0.005)


def portrait(said, truth, cuts):
    names = tuple(f"label {at}" for at in range(said.shape[1]))
    cells = tuple(packed(name for name, yes in zip(names, row, strict=True) if yes)
                  for row in truth)
    return Portrait({}, {}, names, said, labels=cells, thresholds=cuts)


def test_each_label_is_told_with_its_shares_and_f1_and_rare_ones_are_not_estimated():
    rng = np.random.default_rng(2)
    said = rng.beta(0.5, 1.5, size=(800, 3))
    said[:, 2] = 0.004  # hardly ever there
    truth = rng.random(said.shape) < said
    cuts = (0.3, 0.5, 0.5)
    before = portrait(said, truth, cuts)
    now = portrait(said[:200] ** 0.5, truth[:200], cuts)
    found = label_watching.by_label(before, now, rng=rng)
    assert [one.label for one in found] == list(before.classes)
    f1 = label_f1_of(tallies(truth, said >= np.array(cuts)))
    for at, one in enumerate(found):
        assert one.before == pytest.approx((said[:, at] >= cuts[at]).mean())
        assert one.now == pytest.approx((said[:200, at] ** 0.5 >= cuts[at]).mean())
        assert one.at_release.value == pytest.approx(f1[at])
    assert found[2].expected is None
    assert found[0].expected.rows == 200
    same = label_watching.by_label(before, before, rng=rng)
    assert same[0].expected.value == pytest.approx(f1[0], abs=0.02)
    assert not same[0].expected.fallen


def test_rows_are_judged_by_their_own_f1_and_a_label_nobody_knows_is_missed():
    made = Portrait({}, {}, ("a", "b"), np.array([[0.9, 0.9], [0.9, 0.1], [0.1, 0.1], [0.1, 0.1]]),
                    labels=('["a"]', '["a","new"]', "[]", None), thresholds=(0.5, 0.5))
    np.testing.assert_allclose(performance.values(made), [2 / 3, 2 / 3, 1.0, np.nan])
    assert performance.is_labelled(made).tolist() == [True, True, True, False]
    score = performance.score(performance.values(made), made)
    assert (score.name, score.rows) == ("row_f1", 3)


def test_an_interval_of_scores_between_0_and_1_holds_at_every_look():
    """F1 of rows, of mean 0.7: of 100 sequences looked at 15 times each, 5 at most are to leave it
    out ever; the interval is not so wide that it says nothing."""
    rng = np.random.default_rng(0)
    out = 0
    for _ in range(100):
        sums = np.cumsum(rng.choice([0.0, 2 / 3, 1.0], p=[0.1, 0.6, 0.3], size=450))
        ends = [always_valid(float(sums[rows - 1]), rows) for rows in range(30, 451, 30)]
        out += any(not low <= 0.7 <= high for low, high in ends)
    assert out <= 10
    assert 0.05 < ends[-1][1] - ends[-1][0] < 0.2
