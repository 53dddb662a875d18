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


def test_an_input_that_often_agrees_is_a_warning_and_one_that_rarely_does_is_an_input():
    often = ["ham"] * 4 + LABELS[4:]  # 98 of 100
    rarely = ["ham", "ham", "spam", "spam"] * 25

    (finding,) = answer(evidence(LABELS, guess=often)).findings
    assert finding.severity is Severity.WARN
    assert finding.sentence == (
        "The input 'guess' contains the answer in 98 of 100 rows, and the answer of another row "
        "in 2."
    )
    assert answer(evidence(LABELS, guess=rarely)).findings == ()


def test_a_text_that_begins_with_its_answer_is_a_warning():
    labels = ["card lost", "top_up", "late payment"] * 20
    texts = [f"[{label.upper()}] message {row}" for row, label in enumerate(labels)]

    (finding,) = answer(evidence(labels, texts)).findings
    assert (finding.severity, finding.count) == (Severity.WARN, 60)


def test_a_word_that_all_classes_use_gives_nothing_away():
    texts = [f"is this message {row} spam or ham" for row in range(100)]

    assert answer(evidence(LABELS, texts)).findings == ()


def test_an_input_of_finer_codes_is_a_blocker():
    codes = [f"{label[0]}{row % 3}" for row, label in enumerate(LABELS)]

    (finding,) = answer(evidence(LABELS, code=codes)).findings
    assert finding.severity is Severity.BLOCKER
    assert "'code' has values that each belong to one class" in finding.sentence


def test_values_that_all_belong_to_one_class_because_nearly_every_row_does_are_no_code():
    labels = ["a"] * 199 + ["b"]
    codes = [f"v{row % 8}" for row in range(200)]

    assert answer(evidence(labels, code=codes)).findings == ()


def test_a_text_a_class_in_a_handful_of_rows_is_no_code():
    assert answer(evidence(["a", "b", "c"])).findings == ()
