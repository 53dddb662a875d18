from fettle.checks.leaks import leaks
from fettle.core.audit import Severity

from .given import evidence


def test_of_a_twin_in_two_parts_the_row_that_learns_is_left_out():
    texts = ["one", "two", "three", "One.", "three", "two", "four"]
    parts = ["train", "", "train", "test", "validation", "test", "test"]

    found = leaks(evidence(["a", "b"] * 3 + ["a"], texts, parts))

    assert [out.rows for out in found.left_out] == [(0, 1), (2,)]
    assert [finding.sentence for finding in found.findings] == [
        "2 training rows say the same as 2 test rows.",
        "1 training row says the same as 1 validation row.",
    ]
    assert all(finding.severity is Severity.WARN for finding in found.findings)


def test_of_a_twin_in_validation_and_test_the_validation_row_is_left_out():
    found = leaks(evidence(["a", "a"], ["x", "x"], ["validation", "test"]))

    assert [out.rows for out in found.left_out] == [(0,)]


def test_a_row_with_twins_in_validation_and_test_is_told_once():
    found = leaks(evidence(["a"] * 3, ["x"] * 3, ["train", "validation", "test"]))

    assert [out.rows for out in found.left_out] == [(0,), (1,)]


def test_blank_rows_do_not_leak():
    assert leaks(evidence(["a", "a"], ["", ""], ["train", "test"])).findings == ()
