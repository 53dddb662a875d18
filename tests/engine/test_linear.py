import math

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fettle.core.progress import Note, Progress, finish
from fettle.engine import linear
from fettle.engine.linear import RIDGE, choose, solve_path
from fettle.tasks.classification import Classification
from fettle.tasks.regression import Regression

ROWS, WIDTH, CLASSES = 120, 6, 3
TASK = Classification("abc")


def given(*, seed=0, rows=ROWS):
    """Features of several scales and offsets, and targets that follow them, not always."""
    rng = np.random.default_rng(seed)
    plain = rng.normal(size=(rows, WIDTH))
    true = np.random.default_rng(99).normal(size=(WIDTH, CLASSES)) * 2
    targets = (plain @ true + rng.gumbel(size=(rows, CLASSES))).argmax(1)
    scaled = plain * np.array([1, 10, 0.1, 1, 3, 1]) + np.array([0, 5, 0, -1, 0, 2])
    return scaled.astype(np.float32), targets


def solved(features, targets, *l2):
    return list(solve_path(features, targets, classes=CLASSES, l2=l2))


def accuracy(outputs, targets):
    return float((outputs.argmax(1) == targets).mean())


@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_at_the_solution_the_gradient_is_zero(l2):
    features, targets = given()
    (head,) = solved(features, targets, l2)
    spread = features.std(0).astype(float)
    inputs = (features - features.mean(0)) / spread
    outputs = head.outputs(features).astype(float)
    wrong = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True) - np.eye(CLASSES)[targets]

    of_weights = wrong.T @ inputs / ROWS + l2 * head.weight * spread
    assert np.abs(of_weights).max() < 2e-4  # as near as sums in fp32 can tell
    assert np.abs(wrong.mean(0)).max() < 2e-4  # of the bias, which has no penalty


@pytest.mark.parametrize("l2", [1e-1, 1e-2, 1e-3])
def test_it_is_the_logistic_regression_of_scikit_learn_on_standardised_features(l2):
    from sklearn.linear_model import LogisticRegression

    features, targets = given()
    (head,) = solved(features, targets, l2)
    inputs = (features - features.mean(0)) / features.std(0)
    theirs = LogisticRegression(C=1 / (l2 * ROWS), tol=1e-8, max_iter=10_000).fit(inputs, targets)

    assert (head.outputs(features).argmax(1) == theirs.predict(inputs)).all()
    np.testing.assert_allclose(head.weight * features.std(0), theirs.coef_, atol=2e-3)


def test_the_path_goes_from_the_strongest_penalty_to_the_weakest():
    features, targets = given()
    path = solved(features, targets, 1e-3, 1.0, 1e-1)
    assert [head.l2 for head in path] == [1.0, 1e-1, 1e-3]
    norms = [np.square(head.weight * features.std(0)).sum() for head in path]
    assert norms == sorted(norms)
    losses = [TASK.plain_loss(head.outputs(features), targets) for head in path]
    assert losses == sorted(losses, reverse=True)
    assert all(head.iterations > 0 for head in path)


def test_a_start_from_the_head_before_ends_where_a_start_from_zero_does():
    features, targets = given()
    last, (alone,) = solved(features, targets, 1.0, 1e-2)[-1], solved(features, targets, 1e-2)
    np.testing.assert_allclose(last.outputs(features), alone.outputs(features), atol=2e-3)


def test_heads_of_a_path_do_not_share_their_weights():
    features, targets = given()
    first = next(path := solve_path(features, targets, classes=CLASSES, l2=(1.0, 1e-3)))
    kept = first.weight.copy(), first.bias.copy()
    next(path)
    assert np.array_equal(first.weight, kept[0])
    assert np.array_equal(first.bias, kept[1])


@pytest.mark.parametrize("constant", [0.0, 3.0, -0.25])
def test_a_feature_that_never_changes_says_nothing(constant):
    features, targets = given()
    more = np.column_stack([features, np.full(ROWS, constant, np.float32)])
    (with_it,), (without,) = solved(more, targets, 1e-2), solved(features, targets, 1e-2)
    assert (with_it.weight[:, -1] == 0).all()
    np.testing.assert_allclose(with_it.outputs(more), without.outputs(features), atol=1e-3)


def test_a_class_without_a_row_is_never_said():
    features, targets = given()
    (head,) = solved(features[targets != 2], targets[targets != 2], 1e-2)
    assert 2 not in head.outputs(features).argmax(1)
    assert np.isfinite(head.weight).all()


def test_one_row_and_one_class_are_solved_too():
    for rows, targets in ((1, [1]), (5, [0] * 5)):
        (head,) = solved(given()[0][:rows], np.array(targets), 1e-2)
        assert np.isfinite(head.outputs(given()[0])).all()


def chosen(vectors, targets, folds, l2=(1e-1, 1e-3)):
    return finish(
        choose(vectors, targets, task=TASK, folds=folds, l2=l2, score=accuracy)
    )


def halves(rows=ROWS):
    every = np.arange(rows)
    return [(every[::2], every[1::2])]


def test_the_best_on_held_out_rows_is_chosen():
    features, targets = given()
    noise = np.random.default_rng(5).normal(size=features.shape).astype(np.float32)
    found = chosen({"noise": noise, "real": features}, targets, halves(), l2=(1e-2, 30.0))
    ((teach, judge),) = halves()
    assert (found.pooling, found.l2) == ("real", 1e-2)
    (head,) = solved(features[teach], targets[teach], 1e-2)
    np.testing.assert_allclose(found.outputs, head.outputs(features[judge]), atol=2e-3)
    assert found.score == accuracy(found.outputs, targets[judge])
    tried = {(one["pooling"], one["l2"]) for one in found.trials}
    assert tried == {("noise", 30.0), ("real", 30.0), ("real", 1e-2)}  # noise at a first look only
    assert len(tried) == len(found.trials)
    assert found.score == max(one["score"] for one in found.trials)


def test_equal_scores_are_told_apart_by_loss():
    features, targets = given()
    found = finish(
        choose({"a": features}, targets, task=TASK, folds=halves(),
               l2=(1.0, 1e-2, 1e-6), score=lambda outputs, targets: 0.5)
    )  # fmt: skip
    losses = {one["l2"]: one["loss"] for one in found.trials}
    assert losses[found.l2] == min(losses.values())


def test_what_is_said_of_a_row_comes_from_a_head_that_did_not_see_it():
    features, targets = given()
    every = np.arange(ROWS)
    folds = [(every[every % 3 != fold], every[every % 3 == fold]) for fold in range(3)]
    found = chosen({"a": features}, targets, folds, l2=(1e-2,))
    assert found.outputs.shape == (ROWS, CLASSES)

    other = targets.copy()
    other[folds[0][1]] = (other[folds[0][1]] + 1) % CLASSES  # only the answers of fold 0
    again = chosen({"a": features}, other, folds, l2=(1e-2,))
    judged = len(folds[0][1])
    assert np.array_equal(found.outputs[:judged], again.outputs[:judged])
    assert not np.allclose(found.outputs[judged:], again.outputs[judged:])


def test_progress_ends_at_its_total():
    features, targets = given(rows=30)
    work = choose({"a": features, "b": features}, targets, task=TASK, folds=halves(30),
                  l2=(1.0,), score=accuracy)  # fmt: skip
    events = list(work)
    assert all(isinstance(event, Progress) for event in events)
    assert [event.done for event in events] == list(range(events[-1].total + 1))


def test_cross_entropy_by_hand():
    outputs = np.array([[0.0, math.log(3), -1e9], [1e4, 0.0, 0.0]])
    assert TASK.plain_loss(outputs, np.array([0, 0])) == pytest.approx(math.log(4) / 2)


def test_over_several_partitions_the_mean_chooses_and_the_outputs_are_of_the_first():
    features, targets = given()
    rng = np.random.default_rng(5)
    partitions = []
    for _ in range(3):
        fold = rng.integers(3, size=ROWS)
        partitions.append([(np.flatnonzero(fold != one), np.flatnonzero(fold == one))
                           for one in range(3)])

    def chosen(first, *others):
        return finish(choose({"a": features}, targets, folds=first, repeats=others,
                             task=TASK, l2=(1.0, 1e-2), score=accuracy))

    whole, alone = chosen(*partitions), [chosen(one) for one in partitions]
    for trial, *single in zip(whole.trials, *(one.trials for one in alone), strict=True):
        assert trial["score"] == pytest.approx(np.mean([one["score"] for one in single]))
        assert trial["loss"] == pytest.approx(np.mean([one["loss"] for one in single]))
    assert np.array_equal(whole.outputs, alone[0].outputs)


def faint(*, rows=240, width=60):
    """Numbers that features tell a little of: a weak penalty learns noise by heart.

    Each weight is 0.2, and the noise has a variance of 16: on 120 rows a penalty of
    16 / (120 * 0.04) = 3.3 a row is the best (Hoerl and Kennard, 1970).
    """
    rng = np.random.default_rng(3)
    features = rng.normal(size=(rows, width)).astype(np.float32)
    return features, (0.2 * features.sum(axis=1) + 4 * rng.normal(size=rows)).astype(np.float64)


def searched(features, targets, task, score, **given):
    work = choose({"a": features}, targets, task=task, folds=halves(len(targets)), score=score,
                  **given)
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            notes = [one.sentence for one in events if isinstance(one, Note)]
            steps = [one.done for one in events if isinstance(one, Progress)]
            assert steps == list(range(steps[-1] + 1))
            return end.value, notes


def test_a_grid_whose_end_is_the_best_goes_on_beyond_it():
    task = Regression({"mean": 0.0, "spread": 1.0})
    features, targets = faint()
    found, notes = searched(features, targets, task, task.score("r2"), l2=(0.3, 0.1), grows=True)
    tried = sorted(one["l2"] for one in found.trials)
    assert found.l2 > 1
    assert tried[0] < found.l2 < tried[-1], "it has neighbours on both sides"
    assert found.score == max(one["score"] for one in found.trials)
    assert notes == []
    assert 0.3 < searched(features, targets, task, task.score("r2"), l2=RIDGE)[0].l2 < 100


def test_a_grid_that_was_asked_for_does_not_grow_and_it_is_said_that_its_end_was_best():
    task = Regression({"mean": 0.0, "spread": 1.0})
    features, targets = faint()
    found, (note,) = searched(features, targets, task, task.score("r2"), l2=(0.3, 0.1))
    assert found.l2 == 0.3
    assert "The strongest penalty that was tried for the head, 0.3, is the best of 2" in note
    assert searched(features, targets, task, task.score("r2"), l2=(0.3,))[1] == []


def test_classes_have_a_grid_that_grows_where_the_strongest_penalty_is_best():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(90, 60)).astype(np.float32)
    targets = (features[:, 0] + 2 * rng.normal(size=90) > 0).astype(int)
    task = Classification("ab")
    found, _ = searched(features, targets, task, lambda said, truth: -task.plain_loss(said, truth),
                        l2=(1e-3, 1e-4), grows=True)
    tried = sorted(one["l2"] for one in found.trials)
    assert tried[0] < found.l2 < tried[-1]
    assert found.l2 > 1e-2


def test_only_a_weak_end_that_scores_better_than_its_neighbour_is_said():
    features, targets = given()
    said = [searched(features, targets, TASK, score, l2=(30.0, 1e-2))[1]
            for score in (accuracy, lambda outputs, truth: 0.5)]
    assert "The weakest penalty" in said[0][0]
    assert said[1] == [], "more certain of the same answers is not better"


@pytest.mark.parametrize(("loss", "kept"), [(0.02, "noise"), (0.021, "real")])
def test_the_encoder_s_own_pooling_is_left_only_for_one_that_is_surely_better(loss, kept):
    features, targets = given()
    noise = np.random.default_rng(5).normal(size=features.shape).astype(np.float32)
    compared = []

    def loses(best, other, truth):
        compared.append((accuracy(best, truth), accuracy(other, truth)))
        return loss, 0.02

    found = finish(choose({"noise": noise, "real": features}, targets, task=TASK, folds=halves(),
                          l2=(1e-2, 30.0), score=accuracy, own="noise", loses=loses))
    ((better, worse),) = compared
    assert better > worse
    assert found.pooling == kept
    assert {one["l2"] for one in found.trials if one["pooling"] == kept} == {1e-2, 30.0}


def test_poolings_of_numbers_are_compared_at_every_penalty():
    """At a weak penalty noise of few columns looks better than a faint signal among many."""
    task = Regression({"mean": 0.0, "spread": 1.0})
    features, targets = faint()
    noise = np.random.default_rng(9).normal(size=(len(targets), 2)).astype(np.float32)
    found = finish(choose({"noise": noise, "real": features}, targets, task=task,
                          folds=halves(len(targets)), l2=RIDGE, score=task.score("r2")))
    assert found.pooling == "real"
    by = {(one["pooling"], one["l2"]): one["score"] for one in found.trials}
    assert by["noise", 0.01] > by["real", 0.01]
    assert len(by) == 2 * len(RIDGE)


def test_while_a_head_is_solved_only_torch_has_threads(monkeypatch):
    def threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    real, seen = linear._mean_loss, []
    monkeypatch.setattr(linear, "_mean_loss", lambda *two: seen.append(threads()) or real(*two))
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        if 2 not in before:
            pytest.skip("no library here whose threads can be told from outside")
        solved(*given(), 1e-1)
        assert threads() == before
    assert {count for one in seen for count in one} == {1}
