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
    found = ANIMALS.judge(outputs, np.array([0, 2])).columns
    assert found["predicted"].tolist() == [0, 1]
    assert found["correct"].tolist() == [True, False]
    assert found["confidence"] == pytest.approx([0.5, 0.8])


def test_scores_are_of_the_rows_that_are_asked_for():
    predicted = np.array([0, 1, 1, 0])
    outcomes = ANIMALS.judge(np.eye(3)[predicted], np.array([0, 1, 0, 1]))
    of = {name: score(outcomes, np.arange(3)) for name, score in ANIMALS.scores.items()}
    # class 0: 1 of 1 called, 1 of 2 found; class 1: 1 of 2 called, 1 of 1 found
    assert of == pytest.approx(
        {"accuracy": 2 / 3, "macro_precision": 0.75, "macro_recall": 0.75, "macro_f1": 2 / 3}
    )
    assert ANIMALS.scores["accuracy"](outcomes, np.array([3, 3])) == 0.0


def test_softmax_by_hand_and_without_overflow():
    found = softmax(np.array([[0.0, math.log(3)], [1e4, 0.0], [-1e4, -1e4]]))
    assert found == pytest.approx(np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]]))
