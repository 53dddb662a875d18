import pytest

from fettle.checks.variants import variants
from fettle.core.audit import Severity
from patience import calls

from .given import evidence


def spellings(labels, parts=None):
    """From each label whose rows are left out to the reason."""
    given = evidence(labels, parts=parts)
    return {given.labels[row]: out.reason for out in variants(given).left_out for row in out.rows}


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ("card arrival", "Card_Arrival"),
        ("card_arrival", "card-arrival"),
        ("Spam", " spam "),
        ("refund", "refund."),
        ("refund", "ｒｅｆｕｎｄ"),
        ("top up", "top  up"),
    ],
)
def test_the_same_label_in_another_spelling_is_left_out_however_common(usual, other):
    left = spellings([usual] * 30 + [other] * 20 + ["else"] * 30)

    assert list(left) == [other]
    assert repr(usual) in left[other]


@pytest.mark.parametrize("other", ["card_arival", "crad_arrival", "card_arrivals", "card_arrivl"])
def test_a_rare_label_within_two_letters_of_a_common_one_is_left_out(other):
    assert list(spellings(["card_arrival"] * 40 + [other] * 4 + ["else"] * 40)) == [other]


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ("typical", "atypical"),
        ("normal", "abnormal"),
        ("severe hypertension", "severe hypotension"),
        ("increase", "decrease"),
        ("internal", "external"),
        ("likely", "unlikely"),
        ("class 1", "class 2"),
        ("icd10", "icd11"),
        ("cat", "car"),
        ("1", "-1"),
        ("A-", "A"),
        ("c", "c++"),
        ("?", "!"),
    ],
)
def test_labels_that_mean_something_else_are_not_spellings(usual, other):
    assert spellings([usual] * 60 + [other] * 4 + ["else"] * 60) == {}


def test_a_near_label_that_is_not_rare_is_a_class_of_its_own():
    assert spellings(["maligned"] * 100 + ["maligner"] * 5) == {}
    assert spellings(["maligned"] * 30 + ["maligner"] * 4) == {}


def test_the_finding_says_what_to_change_and_test_rows_are_only_reported():
    labels = ["refund"] * 20 + ["Refund"] * 3 + ["other"] * 20 + ["REFUND"] * 2
    found = variants(evidence(labels, parts=["train"] * 43 + ["test"] * 2))

    (finding,) = found.findings
    assert finding.severity is Severity.WARN
    assert finding.count == 5
    assert "'Refund' (3) for 'refund' (20)" in finding.sentence
    assert "3 rows left out of fitting, and 2 test rows left as given" in finding.remedy
    assert "change 'Refund' to 'refund', 'REFUND' to 'refund'" in finding.remedy
    assert [out.rows for out in found.left_out] == [(20, 21, 22)]


def test_test_rows_have_no_say_in_which_spelling_is_the_usual_one():
    labels = ["spam"] * 5 + ["Spam"] * 4 + ["ham"] * 9
    parts = ["train"] * 18

    alone = spellings(labels, parts)
    beside = spellings([*labels, *["Spam"] * 50], [*parts, *["test"] * 50])

    assert alone.keys() == beside.keys() == {"Spam"}


def test_a_typo_of_a_spelling_points_at_the_usual_label():
    left = spellings(["card_arrival"] * 50 + ["Card Arival"] * 2 + ["card arival"] + ["x"] * 9)

    assert set(left) == {"Card Arival", "card arival"}
    assert all("of 'card_arrival'" in reason for reason in left.values())


def test_twice_the_values_of_a_column_are_about_twice_the_work():
    def work(rows):
        given = evidence([f"value {chr(97 + row % 26)}{chr(97 + row % 25)} {row}"
                          for row in range(rows)])  # fmt: skip
        return calls(lambda: variants(given))

    assert work(20_000) < 2.5 * work(10_000)
