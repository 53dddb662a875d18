from fettle.checks.conflicts import conflicts
from fettle.core.audit import Severity

from .given import evidence


def test_one_text_with_two_labels_is_a_warning_and_both_rows_are_used():
    found = conflicts(evidence(["a", "b", "a", "a"], ["Hello.", "hello", "bye", "bye"]))

    (finding,) = found.findings
    assert finding.severity is Severity.WARN
    assert finding.count == 2
    assert finding.sentence == "1 text with more than one label, in 2 rows: 'a' and 'b' (1)."
    assert found.left_out == ()


def test_test_rows_are_not_looked_at():
    assert conflicts(evidence(["a", "b"], ["x", "x"], ["", "test"])).findings == ()
