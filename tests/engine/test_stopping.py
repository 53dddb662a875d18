import dataclasses
import math

import numpy as np
import pytest

from fettle.core.run import Epoch
from fettle.engine.stopping import (
    Watch,
    best,
    chance,
    has_collapsed,
    out_of_patience,
    taught_chance,
)
from fettle.tasks import TASKS

TWO = TASKS["classification"](["a", "b"])


def epochs(*pairs, collapsed=()):
    return tuple(
        Epoch(number, 1.0, loss, score, 0.1, number in collapsed)
        for number, (score, loss) in enumerate(pairs, start=1)
    )


def test_the_best_epoch_is_the_one_of_the_best_score_then_of_the_lowest_loss():
    history = epochs((0.5, 0.9), (0.7, 0.8), (0.7, 0.6), (0.6, 0.1))
    assert best(history) == 3
    assert best(history, by_loss=True) == 4
    assert best(history, last=9) == 4
    assert best(epochs((None, None), (None, None))) == 2


def test_of_epochs_within_a_standard_error_of_the_best_score_the_last_one_is_the_best():
    history = epochs((0.5, 0.9), (0.83, 0.3), (0.80, 0.5), (0.79, 0.4), (0.74, 0.6))
    sure = [dataclasses.replace(one, deviation=0.045) for one in history]
    assert (best(history), best(sure)) == (2, 4)
    assert best([dataclasses.replace(one, deviation=0.02) for one in history]) == 2
    assert best(sure, by_loss=True) == 2
    assert best(sure[:1]) == 1
    assert out_of_patience(sure, 3)  # counted from the second
    assert not out_of_patience(sure, 4)


def test_a_watch_says_how_sure_the_score_is():
    outputs, targets = np.array([[2.0, 0.0]] * 3 + [[0.0, 2.0]]), np.array([0, 0, 1, 1])
    watch = Watch(TWO, lambda *_: 0.75, 1.0, 1.0, lambda said, truth: len(truth) / 100)
    assert watch(outputs, targets) == 0.75
    assert watch.seen(epochs((0.75, 0.5))[0]).deviation == 0.04
    plain = Watch(TWO, lambda *_: 0.75, 1.0, 1.0)
    plain(outputs, targets)
    assert plain.seen(epochs((0.75, 0.5))[0]).deviation == 0.0


def test_patience_counts_from_the_best_epoch_by_what_is_asked():
    history = epochs((0.9, 0.5), (0.8, 0.4), (0.7, 0.3))
    assert out_of_patience(history, 2)
    assert not out_of_patience(history, 3)
    assert not out_of_patience(history, 1, by_loss=True)
    assert not out_of_patience(epochs((None, None)), 1)
    assert not out_of_patience((), 1)


def test_a_training_has_collapsed_after_two_epochs_in_a_row_or_where_it_ends_so():
    four = [(0.5, 0.7)] * 4
    assert not has_collapsed(epochs(*four[:1], collapsed=(1,)), over=False)
    assert has_collapsed(epochs(*four[:1], collapsed=(1,)), over=True)
    assert has_collapsed(epochs(*four[:2], collapsed=(1, 2)), over=False)
    assert not has_collapsed(epochs(*four[:3], collapsed=(1, 3)), over=True)
    assert has_collapsed(epochs(*four, collapsed=(3, 4)), over=False)
    assert not has_collapsed((), over=True)


def test_chance_is_the_entropy_of_the_shares():
    learned = np.array([0, 0, 0, 1])
    expected = -(np.log(0.75) + np.log(0.25)) / 2
    assert chance(TWO, learned, np.array([0, 1])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("outputs", "train", "collapsed"),
    [
        ([[0.1, 0.0]] * 4, 0.69, True),  # one class, and hardly sure of it
        ([[9.0, 0.0]] * 4, 4.5, True),  # one class, sure of it, and wrong half of the time
        ([[0.1, 0.0]] * 3 + [[0.0, 0.1]], 0.69, False),  # two classes
        ([[1.5, 0.0]] * 2 + [[0.05, 0.0]] * 2, 0.69, False),  # it knows which is which
        ([[9.0, 0.0]] * 4, 0.3, False),  # it has learned, if not what was asked
    ],
)
def test_one_class_at_losses_no_better_than_chance_is_collapsed(outputs, train, collapsed):
    targets = np.array([0, 0, 1, 1])
    watch = Watch(TWO, lambda *_: 0.25, *(chance(TWO, targets, targets),) * 2)
    assert watch(np.array(outputs), targets) == 0.25
    assert watch.seen(Epoch(1, train, 0.7, 0.25, 0.1)).collapsed == collapsed


def test_rows_of_one_class_do_not_show_a_collapse():
    targets = np.zeros(4, dtype=int)
    watch = Watch(TWO, lambda *_: 1.0, 0.0, 0.0)
    watch(np.array([[0.0, 0.0]] * 4), targets)
    assert not watch.seen(Epoch(1, 1.0, 1.0, 1.0, 0.1)).collapsed


@pytest.mark.parametrize(("loss", "smoothing", "lowest"), [
    ("plain", 0.0, -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))),
    ("weighted", 0.0, math.log(2)),
    ("adjusted", 0.0, -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))),
])
def test_chance_is_told_in_the_loss_that_is_trained(loss, smoothing, lowest):
    targets = np.array([0] * 90 + [1] * 10)
    task = TWO.taught(targets, loss=loss, label_smoothing=smoothing)
    assert taught_chance(task, targets) == pytest.approx(lowest, rel=1e-4)
