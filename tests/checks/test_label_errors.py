from dataclasses import replace

import numpy as np

from fettle.checks.evidence import Doubts
from fettle.checks.label_errors import label_errors
from fettle.core.audit import Severity
from fettle.measures.label_noise import LabelNoise

from .given import evidence


def doubting(wrong, likely, *, low=0.05, rows=None, unjudged=()):
    """Evidence of 20 rows with these probabilities that labels are wrong."""
    wrong = np.array(wrong)
    noise = LabelNoise(
        rate=float(wrong.mean()), low=low, high=0.5, own=1 - wrong, wrong=wrong,
        likely=np.array(likely), loss=0.1,
    )
    rows = np.arange(len(wrong)) if rows is None else rows
    given = evidence(["a", "b"] * 10)
    return replace(given, doubts=Doubts(rows, ("a", "b"), noise, unjudged))


def test_suspects_are_listed_the_likeliest_first_with_how_many_are_right():
    wrong = [0.0] * 17 + [0.6, 0.9, 0.5]
    found = label_errors(doubting(wrong, [1, 0] * 10))

    (finding,) = found.findings
    assert finding.severity is Severity.WARN
    assert finding.rows == ("t.csv:20", "t.csv:19")
    assert finding.sentence.startswith("About 2 of 20 labels look wrong (1 to 10)")
    assert "Of the 2 likeliest rows, about 0 will turn out" in finding.sentence
    assert "t.csv:20 is 'a' and reads like 'b'" in finding.sentence


def test_only_what_is_likelier_wrong_than_right_is_proposed():
    wrong = [0.3] * 10 + [0.1] * 8 + [0.7, 0.8]
    found = label_errors(doubting(wrong, [1, 0] * 10))

    assert [(one.row, one.action, one.new) for one in found.proposals] == [
        (19, "relabel", "a"), (18, "relabel", "b")
    ]
    assert found.findings[0].count == 5


def test_row_numbers_are_those_of_the_dataset():
    found = label_errors(doubting([0.0] * 9 + [1.0], [0] * 10, rows=np.arange(10, 20)))

    assert found.findings[0].rows == ("t.csv:21",)
    assert found.proposals[0].row == 19


def test_where_the_labels_may_all_be_right_nothing_is_said():
    assert label_errors(doubting([0.0] * 10 + [0.9] * 10, [0] * 20, low=0.0)).findings == ()
    assert label_errors(evidence(["a", "b"])).findings == ()


def test_classes_that_were_not_judged_are_named():
    found = label_errors(doubting([0.9] * 20, [0] * 20, unjudged=("rare",)))
    assert "Not judged, for too few rows: 'rare'." in found.findings[0].sentence
