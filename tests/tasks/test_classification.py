import dataclasses
import math

import numpy as np
import pytest
import torch

from fettle.core.errors import InputError
from fettle.tasks.classification import Classification, softmax
from small import bert

ANIMALS = Classification(("ant", "bee", ""))


def test_targets_are_the_places_of_the_classes():
    assert ANIMALS.targets(["bee", "ant", "", "bee"]).tolist() == [1, 0, 2, 1]
    assert ANIMALS.targets([]).dtype == np.int64


@pytest.mark.parametrize("label", ["cow", None, "Ant", " ant"])
def test_a_label_that_is_no_class_is_an_error_unless_it_has_a_number(label):
    with pytest.raises(InputError, match=repr(label)):
        ANIMALS.targets(["ant", label])
    assert ANIMALS.targets(["ant", label], unseen=-1).tolist() == [0, -1]


def test_a_head_normalises_where_the_network_was_trained_so(tmp_path):
    card = bert(tmp_path)
    plain = ANIMALS.head(card, "cls", 0.2)
    assert plain == {
        "kind": "linear", "pooling": "cls", "normalise": False, "dropout": 0.2, "outputs": 3
    }  # fmt: skip
    sentences = dataclasses.replace(card, embeds_sentences=True)
    assert ANIMALS.head(sentences, "cls", 0.2) == {**plain, "normalise": True}


def test_the_loss_is_a_sum_over_rows_with_its_count():
    outputs = torch.tensor([[0.0, 0.0, 0.0], [math.log(2), 0.0, 0.0]])
    (part,) = ANIMALS.loss(outputs, {"target": torch.tensor([1, 0])}).values()
    # -log(1/3) and -log(2/4)
    assert part.sum.item() == pytest.approx(math.log(3) + math.log(2))
    assert (part.count, part.weight) == (2, 1.0)


def test_smoothing_spreads_a_share_of_the_answer_over_all_classes():
    outputs = torch.tensor([[math.log(2), 0.0, 0.0]])
    task = Classification(ANIMALS.classes, label_smoothing=0.3)
    (part,) = task.loss(outputs, {"target": torch.tensor([0])}).values()
    # 0.8 of -log(1/2), and 0.1 of -log(1/4) twice
    assert part.sum.item() == pytest.approx(0.8 * math.log(2) + 0.2 * math.log(4))


def test_outcomes_by_hand():
    outputs = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
    judge, truth = ANIMALS.judge, np.array([0, 2])
    assert judge.said(outputs).tolist() == [0, 1]
    assert judge.values(judge.said(outputs), truth).tolist() == [True, False]
    assert judge.named(truth) == ["ant", ""]
    (wrong,) = judge.look_at("why", ("a", "b"), outputs, truth)
    assert (wrong.id, wrong.label, wrong.said) == ("b", "", "bee")
    assert wrong.confidence == pytest.approx(0.8)


def test_an_unseen_label_has_a_place_and_is_never_right():
    judge = ANIMALS.judge
    truth = judge.truth(["ant", "cow", "bee"])
    assert truth.tolist() == [0, 3, 1]
    assert judge.values(truth, truth).tolist() == [True, False, True]
    assert judge.named(truth)[1] == "(a class unseen in training)"
    assert len(judge.remarks(truth)) == 1
    assert judge.remarks(truth[:1]) == ()


def test_scores_by_hand():
    outputs, targets = np.eye(3)[[0, 1, 1]], np.array([0, 1, 0])
    of = {name: ANIMALS.score(name)(outputs, targets) for name in ANIMALS.stops}
    # class 0: 1 of 1 called, 1 of 2 found; class 1: 1 of 2 called, 1 of 1 found
    assert of == pytest.approx(
        {"accuracy": 2 / 3, "macro_precision": 0.75, "macro_recall": 0.75, "macro_f1": 2 / 3}
    )


def test_softmax_by_hand_and_without_overflow():
    found = softmax(np.array([[0.0, math.log(3)], [1e4, 0.0], [-1e4, -1e4]]))
    assert found == pytest.approx(np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]]))


def summed(task, outputs, targets):
    (part,) = task.loss(torch.tensor(outputs), {"target": torch.tensor(targets)}).values()
    return float(part.sum) / part.count


def test_weighted_counts_a_row_as_much_as_its_class_is_rarer_than_the_mean():
    rows = np.array([0] * 6 + [1] * 3 + [2] * 3)
    task = ANIMALS.taught(rows, loss="weighted", label_smoothing=0.0)
    # n / (K n_c): 12 / (3 * 6) and 12 / (3 * 3)
    np.testing.assert_allclose(task.weights, [2 / 3, 4 / 3, 4 / 3])
    assert task.weights[rows].mean() == pytest.approx(1)
    found = summed(task, [[0.0, 0.0, 0.0]] * 2, [0, 1])
    assert found == pytest.approx((2 / 3 + 4 / 3) * math.log(3) / 2)


def test_adjusted_adds_the_log_of_the_shares_inside_the_loss_alone():
    rows = np.array([0] * 8 + [1] * 1 + [2] * 1)
    task = ANIMALS.taught(rows, loss="adjusted", label_smoothing=0.0)
    # outputs of 0 stand for the shares: -log 0.8 and -log 0.1
    assert summed(task, [[0.0, 0.0, 0.0]], [0]) == pytest.approx(-math.log(0.8))
    assert summed(task, [[0.0, 0.0, 0.0]], [1]) == pytest.approx(-math.log(0.1))
    said = np.array([[1.0, 1.1, 0.0]])
    assert task.judge.said(said).tolist() == [1]
    assert task.answers(said) == ANIMALS.answers(said)


def test_plain_is_the_loss_it_was_and_smoothing_is_handed_on():
    rows = np.array([0, 0, 1, 2])
    task = ANIMALS.taught(rows, loss="plain", label_smoothing=0.3)
    assert (task.weights, task.log_prior) == (None, None)
    assert task.label_smoothing == 0.3
    assert task.classes == ANIMALS.classes


def test_a_class_that_no_row_to_learn_from_has_does_not_break_the_loss():
    rows = np.array([0, 0, 1])
    for loss in ("weighted", "adjusted"):
        found = summed(ANIMALS.taught(rows, loss=loss, label_smoothing=0.0), [[0.0] * 3], [2])
        assert math.isfinite(found)
