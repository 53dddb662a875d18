from dataclasses import replace

import pytest

from fettle.core.run import Epoch
from fettle.core.score import Comparison, Score
from fettle.measures.fitting import ceiling, fitting, overfits_from, stopped_by
from fettle.measures.intervals import wilson


def history(train, validation):
    return [Epoch(number, a, b, None if b is None else 0.9, 1.0)
            for number, (a, b) in enumerate(zip(train, validation, strict=True), 1)]


def score(right, rows):
    return Score("accuracy", right / rows, *wilson(right, rows), rows)


def told(**changed):
    given = {"history": (), "train": score(960, 1000), "test": score(930, 1000), "baseline": None,
             "limit": None, "stopped": ""}
    return fitting(**{**given, **changed})


def test_overfitting_begins_after_the_best_validation_loss():
    assert overfits_from(history([1, 0.5, 0.2, 0.1], [0.9, 0.6, 0.7, 0.9])) == 3


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ([1, 0.5, 0.2], [0.9, 0.6, 0.5]),  # still falling
        ([1, 0.5, 0.2], [0.9, 0.600, 0.625]),  # hardly rising
        ([1, 0.5, 0.7], [0.9, 0.6, 0.9]),  # both rise: it diverged
        ([1, 0.5], [None, None]),  # nothing was judged
        ([1.0], [0.9]),
        ([], []),
    ],
)
def test_no_overfitting_where_validation_loss_does_not_rise_against_training(train, validation):
    assert overfits_from(history(train, validation)) is None


def test_the_ceiling_is_the_share_that_agrees_with_its_cluster():
    clusters = [["a", "a"]] * 18 + [["a", "b"]] * 2 + [["a", "b", "b", "b"]]
    found = ceiling(clusters)  # 36 + 2 + 3 of 44
    assert found.value == pytest.approx(41 / 44)
    assert found.rows == 44
    assert ceiling(clusters[:10]) is None


def test_what_stopped_it():
    epochs = history([1, 0.5, 0.2], [0.9, 0.6, 0.7])
    assert "after epoch 3 of 6" in stopped_by(epochs, planned=6, patience=2, chosen=2)
    assert "epoch 2" in stopped_by(epochs, planned=6, patience=2, chosen=2)
    assert "all 3 planned" in stopped_by(epochs, planned=3, patience=2, chosen=None)
    assert "solved" in stopped_by([], planned=0, patience=0, chosen=None)


def test_learned_by_heart():
    found = told(train=score(995, 1000), test=score(800, 1000),
                 history=history([1, 0.5, 0.1], [0.9, 0.6, 0.8]))
    assert found.verdict == "overfits"
    assert found.overfits_from == 3
    assert any("19.5 points" in one for one in found.sentences)


def test_a_small_gap_and_a_gap_that_chance_could_make_are_not():
    assert told().verdict == "neither"
    assert told(train=score(20, 20), test=score(17, 20)).verdict == "neither"


def test_learned_too_little():
    worse = Comparison("tfidf", "full", "accuracy", -0.1, -0.13, -0.07, 10, 110, 0.0, 1000)
    assert told(baseline=worse).verdict == "underfits"
    assert told(train=score(600, 1000), test=score(610, 1000)).verdict == "underfits"
    limit = Score("ceiling", 0.6, 0.5, 0.7, 60)
    assert told(train=score(600, 1000), test=score(610, 1000), limit=limit).verdict == "neither"


def test_of_several_labels_it_is_said_that_all_of_a_row_must_be_right():
    train, test = (replace(score(right, 100), name="subset_accuracy") for right in (90, 60))
    (sentence, *_) = told(train=train, test=test).sentences
    assert sentence.startswith("It is right in all labels, none besides, on 90.0% of the rows")
