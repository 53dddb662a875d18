"""Several labels a row: every score against scikit-learn's, and by hand."""

import numpy as np
import pytest

from fettle.core.errors import ShapeError
from fettle.measures.label_intervals import paired_difference, tally_interval
from fettle.measures.label_judging import (
    called,
    calls,
    compare,
    label_scores,
    rows_to_tell,
    scores,
    smallest_gain,
    values,
    worse,
    wrong_and_sure,
)
from fettle.measures.label_sets import (
    hamming_loss,
    label_f1_of,
    label_precision_of,
    label_recall_of,
    macro_f1_of,
    micro_f1_of,
    mistaken,
    ranking_precision,
    row_f1,
    subset_accuracy,
    tallies,
    wrong_labels,
)


def bits(*lines: str) -> np.ndarray:
    """"101" is a row with the first and the last of three labels."""
    return np.array([[mark == "1" for mark in line] for line in lines], dtype=bool)


def drawn(rows: int, labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, outputs with ties, and what they call."""
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, labels)) < rng.uniform(0.05, 0.6, labels)
    outputs = np.round(rng.normal(size=(rows, labels)) + 1.5 * truth, 1)
    return truth, outputs, outputs > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_every_score_is_that_of_scikit_learn(seed):
    from sklearn import metrics

    truth, outputs, answers = drawn(80, 7, seed)
    counts = tallies(truth, answers)
    each = {"average": None, "zero_division": 0}
    np.testing.assert_allclose(
        label_precision_of(counts), metrics.precision_score(truth, answers, **each))
    np.testing.assert_allclose(
        label_recall_of(counts), metrics.recall_score(truth, answers, **each))
    np.testing.assert_allclose(label_f1_of(counts), metrics.f1_score(truth, answers, **each))
    assert micro_f1_of(counts) == pytest.approx(
        metrics.f1_score(truth, answers, average="micro", zero_division=0))
    assert macro_f1_of(counts) == pytest.approx(
        metrics.f1_score(truth, answers, average="macro", zero_division=0))
    assert row_f1(truth, answers).mean() == pytest.approx(
        metrics.f1_score(truth, answers, average="samples", zero_division=1))
    assert subset_accuracy(truth, answers) == pytest.approx(metrics.accuracy_score(truth, answers))
    assert hamming_loss(truth, answers) == pytest.approx(metrics.hamming_loss(truth, answers))
    assert ranking_precision(truth, outputs).mean() == pytest.approx(
        metrics.label_ranking_average_precision_score(truth, outputs))


def test_a_label_that_neither_occurs_nor_is_called_has_no_say_in_macro_f1():
    truth, answers = bits("100", "010"), bits("100", "100")
    # the first label: 1 found, 1 wrongly: 2/3; the second missed: 0; the third is not there
    assert macro_f1_of(tallies(truth, answers)) == pytest.approx((2 / 3 + 0) / 2)


def test_a_row_without_labels_is_right_where_none_is_called():
    truth, answers = bits("000", "000", "110"), bits("000", "010", "100")
    assert row_f1(truth, answers).tolist() == pytest.approx([1.0, 0.0, 2 / 3])
    assert subset_accuracy(truth, answers) == pytest.approx(1 / 3)
    assert wrong_labels(truth, answers).tolist() == [0, 1, 1]
    assert ranking_precision(truth, np.zeros((3, 3)))[0] == 1.0


def test_what_stands_in_for_what_is_counted_by_pairs():
    truth, answers = bits("110", "100", "001"), bits("101", "010", "001")
    assert mistaken(truth, answers).tolist() == [
        [1, 1, 0],  # found once; in the second row missed, and the second label called
        [0, 0, 1],  # in the first row missed, and the third called
        [0, 0, 1],
    ]


def test_arrays_that_do_not_fit_together_are_refused():
    with pytest.raises(ShapeError, match="same rows and labels"):
        tallies(bits("10"), bits("101"))


def test_the_interval_holds_the_score_and_narrows_with_rows():
    rng = np.random.default_rng(0)
    widths = []
    for rows in (50, 800):
        truth, _, answers = drawn(rows, 6)
        low, high = tally_interval(micro_f1_of, truth, answers, rng=rng)
        assert low < micro_f1_of(tallies(truth, answers)) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_a_label_of_three_rows_all_right_is_not_right_for_certain():
    truth = np.zeros((60, 2), dtype=bool)
    truth[:3, 0] = truth[:30, 1] = True
    low, high = tally_interval(macro_f1_of, truth, truth, rng=np.random.default_rng(0))
    assert high == 1.0
    assert low < 0.95


def test_a_paired_interval_is_narrower_than_two_apart_and_zero_for_equals():
    truth, _, first = drawn(300, 5)
    second = first.copy()
    second[:40] = truth[:40]
    rng = np.random.default_rng(0)
    gain, low, high, error = paired_difference(micro_f1_of, truth, first, second, rng=rng)
    counts = [tallies(truth, one) for one in (first, second)]
    assert gain == pytest.approx(micro_f1_of(counts[1]) - micro_f1_of(counts[0]))
    assert 0 < low < gain < high
    assert error == pytest.approx((high - low) / 3.92, rel=0.15)
    apart = tally_interval(micro_f1_of, truth, second, rng=rng)
    assert high - low < apart[1] - apart[0]
    same = paired_difference(micro_f1_of, truth, first, first, rng=rng)
    assert same == (0.0, 0.0, 0.0, 0.0)


def test_scores_come_with_intervals_and_ranks_only_where_there_are_some():
    truth, outputs, answers = drawn(120, 4)
    rng = np.random.default_rng(0)
    found = {one.name: one for one in scores(calls(answers, outputs), truth, rng=rng)}
    assert list(found) == ["micro_f1", "macro_f1", "row_f1", "subset_accuracy", "hamming_loss",
                           "ranking_precision"]
    assert all(one.low <= one.value <= one.high and one.rows == 120 for one in found.values())
    bare = [one.name for one in scores(calls(answers), truth, rng=rng)]
    assert bare == list(found)[:-1]


def test_each_label_has_its_precision_recall_and_f1_on_its_own_rows():
    truth, answers = bits("10", "10", "11", "01"), bits("10", "01", "11", "00")
    first, second = label_scores(truth, answers, ("a", "b"), rng=np.random.default_rng(0))
    assert (first.label, first.rows, first.precision.rows, first.recall.rows) == ("a", 3, 2, 3)
    assert first.precision.value == 1.0
    assert first.recall.value == pytest.approx(2 / 3)
    assert first.f1.value == pytest.approx(0.8)
    assert (second.precision.value, second.recall.value) == (0.5, 0.5)
    assert second.f1.low < 0.5 < second.f1.high


def test_a_label_without_an_output_is_never_called_and_counts_as_missed():
    said = calls(bits("10", "01"))
    truth = bits("101", "010")
    assert called(said, 3).tolist() == bits("100", "010").tolist()
    assert values(said, truth).tolist() == pytest.approx([2 / 3, 1.0])


def test_two_models_are_compared_by_the_f1_of_rows():
    first, second = np.array([0.0, 0.5, 1.0, 1.0] * 20), np.array([1.0, 1.0, 0.5, 1.0] * 20)
    found = compare("before", "after", first, second)
    assert (found.metric, found.wins, found.losses, found.rows) == ("row_f1", 40, 20, 80)
    assert found.difference == pytest.approx(0.25)
    assert found.verdict == "better"
    assert compare("after", "before", second, first).verdict == "worse"
    assert rows_to_tell(first, second) == 0
    assert rows_to_tell(first, first) is None
    assert smallest_gain(first, second) < 0.25
    assert smallest_gain(first, first) is None, "a model against itself shows nothing"


def test_a_slice_that_is_worse_is_found_by_ranks():
    poor, good = np.full(60, 0.2), np.full(200, 0.9)
    assert worse(poor, good) < 1e-6
    assert worse(good, poor) > 0.99
    assert worse(good, good) == 1.0


def test_the_surest_wrong_calls_come_first():
    truth = bits("10", "01", "10")
    sure = np.array([[0.9, 0.1], [0.97, 0.9], [0.4, 0.6]])
    found = wrong_and_sure(
        "wrong and sure", ("r1", "r2", "r3"), calls(sure > 0.5, sure), truth,
        lambda sets: ["".join("ab"[at] for at in np.flatnonzero(line)) for line in sets],
    )
    assert [(one.id, one.label, one.said) for one in found] == [("r2", "b", "ab"), ("r3", "a", "b")]
    assert found[0].confidence == pytest.approx(0.97)
