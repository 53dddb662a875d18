from fettle.checks.missing import missing
from fettle.core.audit import Severity

from .given import evidence


def test_rows_without_an_answer_are_left_out_wherever_they_were_given():
    found = missing(evidence(["a", None, " ", "b", ""], parts=["", "", "", "test", "test"]))

    (finding,) = found.findings
    assert finding.severity is Severity.WARN
    assert finding.count == 3
    assert finding.rows == ("t.csv:3", "t.csv:4", "t.csv:6")
    assert "1 of them given for the test, which cannot be scored" in finding.sentence
    assert [out.rows for out in found.left_out] == [(1, 2, 4)]


def test_a_blank_row_is_not_fitted_on_but_a_blank_test_row_must_be_answered():
    found = missing(evidence(["a", "b", "a"], ["hello", " \t", ""], ["", "", "test"]))

    (finding,) = found.findings
    assert finding.count == 2
    assert "1 test row still to be answered" in finding.remedy
    assert [out.rows for out in found.left_out] == [(1,)]


def test_a_row_with_some_of_its_inputs_is_used_and_noted():
    found = missing(evidence(["a", "b"], ["x", "y"], title=[None, "z"]))

    (finding,) = found.findings
    assert finding.severity is Severity.NOTE
    assert finding.sentence == "1 row with nothing in 'title'."
    assert found.left_out == ()


def test_words_that_other_tools_read_as_missing_are_answers():
    assert missing(evidence(["NA", "null", "None", "nan"])).findings == ()
