"""The faults that bench/audit.py plants are the ones that it says it plants."""

import numpy as np
import pytest

from fettle.checks.evidence import same_text
from planting import Rows, edited, flipped, misspelt, with_leaks, with_near_twins, with_variants

TEXT = "please send me a new card to my new address in the city"
ROWS = Rows(
    tuple(f"{TEXT} number {row}" for row in range(100)),
    tuple(["lost_card", "top_up"] * 50),
    tuple(["train"] * 80 + ["test"] * 20),
)


def test_the_share_of_labels_that_is_asked_for_is_wrong_and_no_other():
    labels = np.arange(1000) % 7
    wrong, rows = flipped(labels, 0.1, np.random.default_rng(0))

    assert len(rows) == 100
    assert (wrong != labels).nonzero()[0].tolist() == rows.tolist()
    assert (flipped(labels, 0.1, np.random.default_rng(0))[0] == wrong).all()


def test_labels_are_mistaken_for_what_they_are_mistaken_for():
    towards = np.array([[9.0, 1, 0], [0, 9, 1], [1, 0, 9]])
    labels = np.arange(300) % 3
    wrong, rows = flipped(labels, 0.2, np.random.default_rng(0), towards=towards)

    assert (wrong[rows] == (labels[rows] + 1) % 3).all()


@pytest.mark.parametrize("edits", [1, 3])
def test_an_edit_changes_the_text_a_little(edits):
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = edited(TEXT, rng, edits)
        assert abs(len(other) - len(TEXT)) <= 9 * edits
        assert len(set(other.split()) & set(TEXT.split())) >= 10 - 2 * edits


def test_a_spelling_is_another_spelling_of_the_same_label():
    rng = np.random.default_rng(0)
    for _ in range(100):
        spelling = misspelt("lost_card", rng)
        assert spelling != "lost_card"
        plain = spelling.lower().replace(" ", "").replace("_", "")
        assert sorted(plain) == sorted("lostcard")


def test_copies_stand_at_the_end_with_the_rows_that_they_are_of():
    near = with_near_twins(ROWS, 0.25, np.random.default_rng(0), edits=1)
    assert 15 <= len(near.planted) <= 20
    for row, partner in zip(near.planted, near.partners, strict=True):
        assert row >= 100
        assert near.texts[row] != near.texts[partner]
        assert near.labels[row] == near.labels[partner]
        assert (near.parts[row], near.parts[partner]) == ("train", "train")

    leaks = with_leaks(ROWS, 5, np.random.default_rng(0), edits=0)
    assert len(leaks.planted) == 5
    for row, partner in zip(leaks.planted, leaks.partners, strict=True):
        assert same_text(leaks.texts[row]) == same_text(leaks.texts[partner])
        assert (leaks.parts[row], leaks.parts[partner]) == ("train", "test")


def test_spellings_are_planted_in_learning_rows_only():
    rows = with_variants(ROWS, 6, np.random.default_rng(0))
    changed = [row for row in range(100) if rows.labels[row] != ROWS.labels[row]]
    assert tuple(changed) == rows.planted
    assert len(changed) == 6
    assert max(changed) < 80
