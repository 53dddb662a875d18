import numpy as np

from fettle.checks.conflicts import conflicts
from fettle.checks.evidence import look
from fettle.checks.leaks import leaks
from fettle.checks.near import near
from fettle.core.audit import Severity

from .given import dataset, evidence

ONE = "please send me a new card to my new address in the city"
TYPO = "please send me a new card to my new adress in the city"
OTHER = "how long does it take until my salary has arrived here"


def vectors(rows, *equal):
    """A direction of its own for every row, but for the pairs that are to be equal."""
    made = np.random.default_rng(0).normal(size=(rows, 32)).astype(np.float32)
    for one, other in equal:
        made[other] = made[one]
    return made


def test_a_row_that_nearly_repeats_an_earlier_one_is_a_note_that_shows_both():
    filler = [f"{row * 7919} {row * 104729} {row * 1299709}" for row in range(1, 21)]
    found = near(evidence(["a", "b", "a"] + ["b"] * 20, [ONE, OTHER, TYPO, *filler]))

    (finding,) = found.findings
    assert finding.severity is Severity.NOTE
    assert finding.rows == ("t.csv:4",)
    assert finding.sentence.startswith("1 learning row of 23 nearly repeats an earlier one: ")
    assert finding.sentence.endswith("t.csv:4 is nearly t.csv:2.")  # and no text of a row
    assert found.proposals[0].row == 2
    assert found.proposals[0].action == "drop"


def test_short_texts_that_differ_by_a_letter_are_different():
    assert near(evidence(["a", "b"], ["model number 12", "model number 120"])).findings == ()


def test_exact_repeats_are_none_of_its_business():
    found = near(evidence(["a", "b", "a"], [ONE, OTHER, ONE]))

    assert found.findings == ()


def test_a_near_repeat_under_another_label_is_not_proposed_to_be_dropped():
    found = near(evidence(["a", "b"], [ONE, TYPO]))

    assert found.findings[0].count == 1
    assert found.proposals == ()


def test_features_find_what_letters_do_not():
    given = look(dataset(["a"] * 40, [f"{row} other words {row * 7919}" for row in range(40)]),
                 vectors(40, (3, 30)))

    (finding,) = near(given).findings
    assert finding.rows == ("t.csv:32",)
    assert "(1 by features alone)" in finding.sentence
    assert given.alike.clusters == ((3, 30),)
    assert given.alike.near_clusters == ((3, 30),)


def test_long_texts_are_compared_by_words_and_meet_those_on_the_other_side_of_the_line():
    long = [f"w{number * number}" for number in range(130)]
    for words in (95, 99, 101, 124, 130):
        one, other = " ".join(long[:words]), " ".join(long[: words - 3])
        assert near(evidence(["a", "a"], [one, other])).findings, words


def test_a_pattern_with_many_rows_is_named_and_not_held_together():
    texts = [
        f"your parcel with the number {row * 7919:07d} is on its way to you and will arrive in the "
        "course of the coming week, if nobody stops it"
        for row in range(200)
    ]
    given = evidence(["a", "b"] * 100, texts)

    findings = near(given).findings

    assert [finding.severity for finding in findings] == [Severity.WARN]
    assert "200 rows (100%) follow one pattern" in findings[0].sentence
    assert given.alike.clusters == ()
    assert leaks(evidence(["a", "b"] * 100, texts, ["train", "test"] * 100)).left_out == ()


def test_a_training_row_that_nearly_says_what_a_test_row_says_is_left_out():
    found = leaks(evidence(["a", "b", "a"], [ONE, OTHER, TYPO], ["train", "train", "test"]))

    assert [finding.sentence for finding in found.findings] == [
        "1 training row says nearly the same as 1 test row."
    ]
    assert [out.rows for out in found.left_out] == [(0,)]
    assert [(one.row, one.action) for one in found.proposals] == [(0, "move-out-of-training")]


def test_exact_and_near_leaks_are_told_apart_and_no_row_is_told_twice():
    found = leaks(evidence(["a"] * 4, [ONE, TYPO, ONE, OTHER], ["train", "train", "test", "test"]))

    assert [finding.sentence for finding in found.findings] == [
        "1 training row says the same as 1 test row.",
        "1 training row says nearly the same as 1 test row.",
    ]
    assert [out.rows for out in found.left_out] == [(0,), (1,)]


def test_near_twins_with_two_labels_are_a_note():
    (finding,) = conflicts(evidence(["a", "b", "a"], [ONE, TYPO, OTHER])).findings

    assert finding.severity is Severity.NOTE
    assert finding.sentence.endswith("in 2 rows: t.csv:2 is 'a' and t.csv:3 is 'b'.")


def test_a_text_with_one_label_against_many_is_proposed_to_be_relabelled():
    found = conflicts(evidence(["a", "a", "b", "a", "b"], [ONE, ONE, ONE, OTHER, OTHER]))

    assert [(one.row, one.action, one.new) for one in found.proposals] == [(2, "relabel", "a")]
