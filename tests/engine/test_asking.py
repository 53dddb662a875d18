import math

import numpy as np
import pytest

from fettle.engine import asking
from small import encoder, network, texts


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("card_arrival", "card arrival"), ("CardArrival", "card arrival"),
        ("top-up.fee", "top up fee"),
        ("größe_Ändern", "größe ändern"), ("__a__", "a"), ("42", "42"), ("", ""),
    ],
)  # fmt: skip
def test_a_label_is_said_as_words(label, words):
    assert asking.as_words(label) == words


def test_labels_have_words_where_every_one_has_three_letters_in_a_row():
    assert asking.have_words(["card_arrival", "fee"])
    assert asking.have_words(["été", "größe"])
    assert not asking.have_words(["card_arrival", "12"])
    assert not asking.have_words(["a1b", "no"])


def test_the_nearest_name_is_by_angle_and_not_by_length():
    names = np.array([[10.0, 0.0], [0.0, 0.1]])
    vectors = np.array([[1.0, 0.9], [0.9, 1.0], [-1.0, 0.1], [0.0, 0.0]])
    assert asking.zero_shot(names, vectors).tolist() == [0, 1, 1, 0]


def test_the_nearest_mean_is_of_vectors_of_length_one():
    learned = np.array([[100.0, 0.0], [0.0, 1.0], [0.0, 1.0], [-5.0, 0.0]])
    targets = np.array([0, 0, 0, 1])
    # the mean of class 0 points up and right, at (1, 2); of their lengths it would be (100, 2)
    vectors = np.array([[1.0, 2.0], [-1.0, 0.1], [-0.1, 1.0]])
    assert asking.nearest_mean(learned, targets, vectors, 2).tolist() == [0, 1, 0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_latency_is_measured_at_both_batch_sizes(tmp_path, monkeypatch, precision):
    monkeypatch.setattr(asking, "REPEATS", {1: 6, 32: 4})
    monkeypatch.setattr(asking, "SECONDS", math.inf)  # no busy moment ends it early
    small = network(tmp_path)
    rows = []
    small.register_forward_hook(lambda _, given, __: rows.append(len(given[0]["input_ids"])))
    read = encoder(small.card)
    found = asking.latency(small, read, texts(5), precision=precision)
    assert [(one.batch, one.repeats) for one in found] == [(1, 6), (32, 4)]
    assert all(0 < one.p50_seconds <= one.p95_seconds for one in found)
    if precision == "fp32":
        assert rows == [1] * 9 + [32] * 7
