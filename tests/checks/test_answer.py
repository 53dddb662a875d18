from fettle.checks.answer import answer
from fettle.core.audit import Severity

from .given import evidence

LABELS = ["ham", "spam"] * 50


def test_an_input_that_is_the_target_is_a_blocker():
    found = answer(evidence(LABELS, kind=[label.upper() for label in LABELS]))

    (finding,) = found.findings
    assert finding.severity is Severity.BLOCKER
    assert finding.sentence == (
        "The input 'kind' equals the target in 100 of 100 rows: it is the answer."
    )
    assert finding.remedy == "Leave it out: --inputs text."


def test_an_input_that_is_a_code_for_the_target_is_a_blocker():
    codes = ["0" if label == "ham" else "1" for label in LABELS]

    (finding,) = answer(evidence(LABELS, code=codes)).findings

    assert "'code' has one value for each class" in finding.sentence


def test_an_input_that_only_often_agrees_is_an_input():
    guesses = ["ham"] * 4 + LABELS[4:]  # 98 of 100

    assert answer(evidence(LABELS, guess=guesses)).findings == ()


def test_a_text_a_class_in_a_handful_of_rows_is_no_code():
    assert answer(evidence(["a", "b", "c"])).findings == ()
