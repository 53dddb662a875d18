"""The checks that count classes: one_class, small_classes, balance, unseen."""

from fettle.checks.balance import balance
from fettle.checks.one_class import one_class
from fettle.checks.small_classes import small_classes
from fettle.checks.unseen import unseen
from fettle.core.audit import Severity

from .given import evidence


def test_one_class_is_a_blocker():
    (finding,) = one_class(evidence(["a"] * 3 + ["b"], parts=["", "", "", "test"])).findings

    assert finding.severity is Severity.BLOCKER
    assert finding.sentence == "All 3 learning rows have the same answer in 'label': 'a'."


def test_no_answer_at_all_is_a_blocker_too():
    (finding,) = one_class(evidence([None, ""])).findings

    assert finding.severity is Severity.BLOCKER


def test_two_classes_are_enough():
    assert one_class(evidence(["a", "b"])).findings == ()


def test_small_classes_are_told_by_how_small_they_are():
    labels = ["one"] + ["few"] * 9 + ["some"] * 49 + ["many"] * 50 + ["two"] * 2

    blocker, warning, note = small_classes(evidence(labels)).findings

    assert blocker.severity is Severity.BLOCKER
    assert blocker.rows == ("t.csv:2",)
    assert blocker.sentence == "1 class with one learning row: 'one'."
    assert warning.sentence == "2 classes with fewer than 10 learning rows: 'two' (2), 'few' (9)."
    assert note.sentence == "1 class with fewer than 50 learning rows: 'some' (49)."
    # an eighth of 49 is 6; Wilson for 5 of 6 is 0.436 to 0.970
    assert "5 right of the 6 test rows of 'some'" in note.remedy
    assert "from 44% to 97%" in note.remedy


def test_test_rows_do_not_make_a_class_larger():
    (finding,) = small_classes(
        evidence(["a"] * 50 + ["b"] * 50, parts=[""] * 51 + ["test"] * 49)
    ).findings

    assert finding.severity is Severity.BLOCKER


def test_balance_is_a_note_with_the_counts():
    (finding,) = balance(evidence(["ham"] * 65 + ["spam"] * 10)).findings

    assert finding.severity is Severity.NOTE
    assert finding.sentence == (
        "2 classes: the largest, 'ham', has 65 learning rows and the rarest, 'spam', 10 (6.5 to 1)."
    )


def test_a_class_under_a_tenth_of_the_largest_is_a_warning():
    at_a_tenth = balance(evidence(["a"] * 100 + ["b"] * 10)).findings[0]
    under = balance(evidence(["a"] * 100 + ["b"] * 9 + ["c"] * 50)).findings[0]

    assert at_a_tenth.severity is Severity.NOTE
    assert under.severity is Severity.WARN
    assert under.count == 1
    assert "1 class has under a tenth of the largest: 'b'." in under.sentence


def test_a_test_class_that_nothing_teaches_is_a_blocker():
    found = unseen(evidence(["a", "b", "c", "c"], parts=["", "", "test", "test"]))

    (finding,) = found.findings
    assert finding.severity is Severity.BLOCKER
    assert finding.count == 2
    assert "in 2 test rows: 'c' (2)" in finding.sentence
    assert found.left_out == ()


def test_a_validation_class_that_nothing_teaches_is_left_out():
    found = unseen(evidence(["a", "b", "c"], parts=["", "", "validation"]))

    (finding,) = found.findings
    assert finding.severity is Severity.WARN
    assert [out.rows for out in found.left_out] == [(2,)]


def test_known_classes_are_nothing_to_tell():
    assert unseen(evidence(["a", "b", "b"], parts=["", "", "test"])).findings == ()
