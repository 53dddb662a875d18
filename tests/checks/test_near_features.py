"""Rows that only their features tie, once the sides are known."""

from dataclasses import replace

import numpy as np
import pytest

from fettle.checks.evidence import look_again
from fettle.checks.near_features import near_features, near_twins
from fettle.core.audit import Severity
from fettle.core.split import Split, Vault

from .given import dataset

TEXTS = [f"{row * 7919} {row * 104729} {row * 1299709}" for row in range(1, 41)]
"""Forty of which no two share their letters."""


def seen(labels=None, *, texts=None, equal=(), train=range(24), validation=range(24, 30),
         test=range(30, 40), twins=(), pairs=True):
    """40 rows on their sides, with a direction of their own, but for those that are equal."""
    given = dataset(labels or ["a", "b"] * 20, texts or TEXTS)
    split = Split(tuple(train), tuple(validation), Vault(tuple(test), ""), "", "")
    vectors = np.random.default_rng(0).normal(size=(40, 32)).astype(np.float32)
    for one, other in equal:
        vectors[other] = vectors[one]
    rows = list(split.learners + split.vault.sealed)
    return look_again(given, split, vectors[rows], twins, pairs=pairs)


def test_a_test_row_that_features_tie_to_a_learning_row_is_a_warning_that_names_both():
    (finding,) = near_features(seen(equal=[(3, 31), (4, 32)])).findings
    assert finding.severity is Severity.WARN  # two of ten test rows
    assert finding.rows == ("t.csv:33", "t.csv:34")
    assert finding.sentence == (
        "2 test rows of 10 nearly repeat a learning row by their features, not by letters: "
        "t.csv:33 is nearly t.csv:5."
    )
    (single,) = near_features(seen(equal=[(3, 31)])).findings
    assert single.severity is Severity.NOTE
    assert single.sentence.startswith("1 test row of 10 nearly repeats a learning row by its feat")


def test_learning_rows_that_features_tie_are_a_note():
    (finding,) = near_features(seen(equal=[(3, 25), (7, 9)])).findings
    assert finding.severity is Severity.NOTE
    assert finding.rows == ("t.csv:11", "t.csv:27")
    assert finding.sentence.startswith("2 learning rows of 30 nearly repeat an earlier one by ")


def test_what_letters_tie_is_not_told_again_and_rows_on_no_side_are_not_looked_at():
    assert near_features(seen(equal=[(3, 7)], twins=[(3, 7)])).findings == ()
    assert near_features(seen(equal=[(3, 23)], train=range(23))).findings == ()
    assert near_features(seen(equal=[(3, 31)], pairs=False)).findings == ()


def test_near_twins_stand_with_two_labels_first_then_those_across_sides():
    labels = ["a"] * 40
    labels[9] = "b"
    found = near_twins(seen(labels, equal=[(3, 31), (4, 5), (8, 9)], twins=[(10, 11)]))
    assert [one.ids for one in found] == [
        ("t.csv:10", "t.csv:11"), ("t.csv:5", "t.csv:33"), ("t.csv:6", "t.csv:7"),
        ("t.csv:12", "t.csv:13"),
    ]
    assert found[0].labels == ("a", "b")
    assert found[1].sides == ("train", "test")
    assert [one.likeness for one in found[:3]] == pytest.approx([1, 1, 1])
    assert found[3].likeness < 0.9  # tied by letters: the features do not say so


def test_numbers_do_not_contradict_each_other():
    given = seen([f"{row}.0" for row in range(40)], equal=[(3, 31), (8, 9)])
    schema = replace(given.dataset.schema, task="regression")
    found = near_twins(replace(given, dataset=replace(given.dataset, schema=schema)))
    assert found[0].sides == ("train", "test")
    labels = ["a", "b"] * 20
    assert near_twins(seen(labels, equal=[(3, 31), (8, 9)]))[0].sides == ("train", "train")


def test_rows_that_say_the_same_are_no_near_twins():
    texts = [*TEXTS[:39], TEXTS[0]]
    given = seen(texts=texts, equal=[(0, 39)], twins=[(0, 39)])
    assert near_twins(given) == ()
    assert given.alike.clusters == ((0, 39),)
