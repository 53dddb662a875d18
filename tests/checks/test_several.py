"""The checks where a row may have several labels: labels are counted, not sets of them."""

from dataclasses import replace

import numpy as np
import pytest

from fettle.checks import CHECKS_OF, NOT_FOR
from fettle.checks.company import _together, company
from fettle.checks.conflicts import conflicts
from fettle.checks.coverage import coverage
from fettle.checks.evidence import look
from fettle.checks.one_class import one_class
from fettle.checks.small_classes import small_classes
from fettle.checks.unseen import unseen
from fettle.checks.variants import variants
from fettle.core.audit import Severity
from fettle.core.labels import packed, unpacked

from .given import dataset


def evidence(labels, texts=None, parts=None):
    cells = [None if one is None else packed(one.split()) for one in labels]
    given = dataset(cells, texts, parts)
    schema = replace(given.schema, task="multi-label", several="|")
    return look(replace(given, schema=schema))


def test_labels_are_counted_each_by_itself():
    seen = evidence(["a b", "b", "", None])
    assert dict(seen.class_counts(range(4))) == {"a": 1, "b": 2}
    assert [seen.labels_of(row) for row in range(4)] == [("a", "b"), ("b",), (), ()]


def test_one_row_of_a_label_warns_and_stops_nothing():
    found = small_classes(evidence(["a b"] * 60 + ["a rare"])).findings
    assert [(one.severity, one.count) for one in found] == [(Severity.WARN, 1)]
    assert found[0].rows == ("t.csv:62",)


def test_company_tells_how_many_labels_and_which_stand_together():
    note, = company(evidence(["a b", "a b", "b c", "", "c"] * 4)).findings
    assert note.severity is Severity.NOTE
    assert "3 labels, 1.40 a learning row: 4 rows without one, at most 2 in one row" in (
        note.sentence)
    assert "'b' with 'a' (8)" in note.sentence or "'a' with 'b' (8)" in note.sentence


def test_pairs_of_labels_are_counted_as_a_product_of_all_labels_would():
    rng = np.random.default_rng(0)
    truth = rng.random((200, 30)) < 0.15
    counts = truth.T.astype(int) @ truth.astype(int)
    assert np.array_equal(_together(truth), np.triu(counts, 1))
    assert not _together(truth[:, :1]).any()
    assert _together(np.zeros((3, 4), dtype=bool)).shape == (4, 4)


def test_labels_that_never_part_are_warned_of():
    found = company(evidence(["a b", "a b c", "c"] * 8)).findings
    assert [one.severity for one in found] == [Severity.NOTE, Severity.WARN]
    assert "'a' and 'b' (16)" in found[1].sentence or "'b' and 'a' (16)" in found[1].sentence


def test_labels_that_never_meet_are_better_asked_for_as_classes():
    found = company(evidence(["a", "b", "c"] * 8)).findings
    assert "none of 24 learning rows has more than one" in found[1].sentence
    assert "--task classification" in found[1].remedy


def test_company_is_silent_where_a_row_has_one_label():
    assert company(look(dataset(["a", "b"] * 5))).findings == ()


def test_a_label_of_test_rows_that_no_learning_row_has_is_a_blocker():
    seen = evidence(["a", "b", "a b", "a new"], parts=["", "", "", "test"])
    finding, = unseen(seen).findings
    assert finding.severity is Severity.BLOCKER
    assert "'new' (1)" in finding.sentence
    assert "'a'" not in finding.sentence


def test_a_validation_row_with_a_new_label_is_used_for_its_others():
    found = unseen(evidence(["a", "b", "a b", "a new"], parts=["", "", "", "validation"]))
    assert [one.severity for one in found.findings] == [Severity.WARN]
    assert found.left_out == ()


def test_labels_without_a_test_row_are_named():
    finding, = coverage(evidence(["a b", "c", "a"], parts=["", "", "test"])).findings
    assert finding.count == 2
    assert "'b'" in finding.sentence
    assert "'c'" in finding.sentence


def test_another_spelling_is_proposed_within_the_set():
    found = variants(evidence(["Late fee", "Late", "Late", "late fee", "fee"] * 3))
    assert [unpacked(one.new) for one in found.proposals] == [("Late", "fee")] * 3
    assert len(found.left_out[0].rows) == 3


def test_one_label_alone_is_no_choice():
    finding, = one_class(evidence(["a", "", "a"])).findings
    assert finding.severity is Severity.BLOCKER
    assert "only 'a'" in finding.sentence


def test_one_text_under_two_sets_is_a_conflict():
    finding, = conflicts(evidence(["a b", "a", "c"], texts=["same", "same", "other"])).findings
    assert finding.rows == ("t.csv:2", "t.csv:3")


@pytest.mark.parametrize("modality", ["text", "image"])
def test_company_is_looked_for_in_texts_and_pictures(modality):
    assert "company" in CHECKS_OF[modality]
    assert "company" not in NOT_FOR["multi-label"]
