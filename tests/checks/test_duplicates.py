import pytest

from fettle.checks.duplicates import duplicates
from fettle.checks.evidence import same_text
from fettle.core.audit import Severity

from .given import evidence


@pytest.mark.parametrize(
    "other",
    [
        "Where is  my CARD",
        "where is my card?",
        "\u201cWhere is my card!\u201d",
        "ｗhere is my card",
    ],
)
def test_case_spaces_form_and_final_stops_do_not_make_a_text_new(other):
    assert same_text(other) == same_text("where is my card")


@pytest.mark.parametrize(
    ("one", "other"), [("good :)", "good :("), ("-1", "1"), (".5", "5"), ("c++", "c#"), ("?", "!")]
)
def test_what_changes_the_meaning_is_kept(one, other):
    assert same_text(one) != same_text(other)


def test_repeats_are_counted_with_those_to_the_letter_and_clustered_over_all_parts():
    texts = ["Hi there", "hi there!", "Hi there", "other", "Other", "third"]
    given = evidence(["a", "b"] * 3, texts, ["", "", "", "", "test", ""])
    found = duplicates(given)

    (finding,) = found.findings
    assert finding.count == 2
    assert finding.rows == ("t.csv:3", "t.csv:4")
    assert finding.sentence == (
        "2 learning rows of 5 repeat an earlier one (1 to the letter), in 1 cluster."
    )
    assert given.alike.clusters == ((0, 1, 2), (3, 4))
    assert found.left_out == ()


def test_many_repeats_are_a_warning_and_few_a_note():
    few = [str(row) for row in range(99)] + ["98"]
    many = [str(row) for row in range(90)] + ["89"] * 10

    assert duplicates(evidence(["a"] * 100, few)).findings[0].severity is Severity.NOTE
    assert duplicates(evidence(["a"] * 100, many)).findings[0].severity is Severity.WARN


def test_blank_rows_are_not_twins():
    given = evidence(["a", "b", "a"], ["", " ", None])

    assert duplicates(given).findings == ()
    assert given.alike.clusters == ()


def test_the_same_word_in_another_column_is_another_text():
    given = evidence(["a", "b"], ["x", None], body=[None, "x"])

    assert given.alike.clusters == ()


def test_a_repeat_with_the_same_label_is_proposed_to_be_dropped_and_no_other():
    texts = ["Hi there", "hi there!", "Hi there", "x", "x"]
    found = duplicates(evidence(["a", "b", "a", "b", "b"], texts, ["", "", "", "test", "test"]))

    assert [(one.row, one.action, one.why) for one in found.proposals] == [
        (2, "drop", "it says the same as t.csv:2")
    ]
