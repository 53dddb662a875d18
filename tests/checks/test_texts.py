"""Characters, lengths, coverage and outliers."""

from dataclasses import replace

import numpy as np
import pytest

from fettle.checks.characters import characters
from fettle.checks.coverage import coverage
from fettle.checks.evidence import Sizes, look
from fettle.checks.lengths import lengths
from fettle.checks.outliers import outliers
from fettle.core.audit import Severity

from .given import dataset, evidence

WESTERN = [
    "caf\u00e9", "\u201cquoted\u201d", "gr\u00fc\u00dfe", "\u00a320", "it\u2019s", "\U0001f600",
]
OTHER = [
    "\u20ac20", "S\u00c3O PAULO", "\u6771\u4eac", "a\tb\nc\r\nd", "a\x1fb",
    "\u0915\u094d\u200d\u0937",  # a joiner of Hindi
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # and of Persian
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # and of a family
]


@pytest.mark.parametrize("text", WESTERN + OTHER)
def test_letters_of_any_language_are_letters(text):
    assert characters(evidence(["a", "b"], [text, "plain"])).findings == ()


@pytest.mark.parametrize("text", WESTERN)
def test_utf_8_read_as_windows_1252_is_a_warning(text):
    twice = text.encode().decode("cp1252", "replace").replace("\ufffd", "\x9d")

    (finding,) = [
        one for one in characters(evidence(["a", "b"], ["plain", twice])).findings
        if one.severity is Severity.WARN
    ]
    assert finding.rows == ("t.csv:3",)
    assert "decoded twice" in finding.sentence


def test_the_sign_for_a_lost_letter_is_a_warning():
    (finding,) = characters(evidence(["a"], ["caf\ufffd"])).findings
    assert finding.severity is Severity.WARN


def test_what_nobody_sees_is_a_note():
    texts = ["bell\x07", "zero\u200bwidth", "abc\u202etxt.exe"]
    found = characters(evidence(["a", "b", "a"], texts))

    assert [(one.count, one.severity) for one in found.findings] == [
        (1, Severity.NOTE), (2, Severity.NOTE)
    ]
    assert "U+0007 in t.csv:2" in found.findings[0].sentence


def sized(tokens, limit, *, estimated=False):
    given = evidence(["a"] * len(tokens))
    return replace(given, sizes=Sizes(np.array(tokens), limit, estimated))


def test_rows_beyond_the_limit_are_counted_with_what_is_lost():
    (finding,) = lengths(sized([10] * 95 + [150] * 5, 100)).findings

    assert finding.severity is Severity.NOTE
    assert finding.sentence == (
        "5 rows of 100 (5%) with more than the 100 tokens that the model reads; the longest has "
        "150. 15% of all tokens are cut off, from the ends."
    )
    assert lengths(sized([10] * 90 + [150] * 10, 100)).findings[0].severity is Severity.WARN
    assert lengths(sized([100] * 10, 100)).findings == ()


def test_an_estimate_says_that_it_is_one():
    sentence = lengths(sized([10] * 99 + [150], 100, estimated=True)).findings[0].sentence
    assert sentence.startswith("About 1 row of 100")
    assert sentence.endswith("Estimated from the letters.")


def test_a_text_of_ten_million_letters_is_found_and_shown_clipped():
    texts = [f"an ordinary text of a few words {row * 7919}" for row in range(150)]
    texts.append("x" * 10_000_000)

    (finding,) = lengths(evidence(["a"] * 151, texts)).findings

    assert finding.rows == ("t.csv:152",)
    assert "10,000,000" in finding.sentence
    assert len(finding.sentence) < 300


def test_lengths_that_only_vary_are_not_named():
    rng = np.random.default_rng(0)
    texts = ["x" * int(length) for length in rng.lognormal(4, 0.5, 300)]
    assert lengths(evidence(["a"] * 300, texts)).findings == ()


def test_a_class_without_a_test_row_is_a_note():
    labels = ["a", "b", "c", "a", "b", "a"]
    parts = ["train"] * 3 + ["test"] * 2 + ["validation"]

    found = coverage(evidence(labels, parts=parts))

    assert [finding.sentence for finding in found.findings] == [
        "1 class of 3 without a single test row: 'c'.",
        "2 classes of 3 without a single validation row: 'b', 'c'.",
    ]
    assert coverage(evidence(labels)).findings == ()


def test_rows_far_from_all_others_are_a_note_the_farthest_first():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(200, 4)) @ rng.normal(size=(4, 32))).astype(np.float32)
    features[[7, 100]] = rng.normal(size=(2, 32)) * 20

    found = outliers(look(dataset(["a"] * 200), features))

    assert set(found.findings[0].rows[:2]) == {"t.csv:9", "t.csv:102"}
    assert found.findings[0].count < 20
    assert outliers(evidence(["a"] * 200)).findings == ()


def test_no_text_of_a_row_is_in_what_is_said_of_outliers_and_lengths():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 8)).astype(np.float32)
    features[7] *= 50
    texts = [f"plain words of row {row}" for row in range(199)] + ["an odd one " * 300]
    given = look(dataset(["a"] * 200, texts), features)
    said = [one.sentence for check in (outliers, lengths) for one in check(given).findings]
    assert len(said) == 2
    assert not any("plain words" in one or "odd one" in one for one in said)
