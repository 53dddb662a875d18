"""The page of two runs: what it says, and that nothing in it does anything."""

from dataclasses import replace

import pytest

from fettle.core.compared import Change, Compared, Turned
from fettle.core.score import Comparison, Score
from fettle.pages.compared import compared
from markup import Reader
from nouns import HOSTILE


def made(difference: float = 0.04, *, names=("plain", "tuned"), word="refund") -> Compared:
    change = Comparison(f"{names[0]}: features", f"{names[1]}: full", "accuracy", difference,
                        difference - 0.02, difference + 0.02, 60, 20, 0.0001, 1000)
    turned = [Turned(f"t.csv:{row}", word, word, "other") for row in range(20)]
    turned += [Turned(f"t.csv:{row}", word, "other", word) for row in range(20, 80)]
    turned += [Turned("t.csv:99", word, "one", "two")]
    scores = tuple(
        (Score(name, 0.86, 0.84, 0.88, 1000), Score(name, 0.90, 0.88, 0.92, 1000))
        for name in ("accuracy", "macro_f1")
    )
    return Compared(
        f"/home/anna/{names[0]}", f"/home/anna/{names[1]}",
        (Change("rungs.full.epochs", "", "6"), Change(word, word, word)), scores, change,
        replace(change, metric="macro_f1"),
        (replace(change, metric=word, wins=0, losses=3), replace(change, metric="x", wins=0,
                                                                 losses=0)),
        tuple(turned), len(turned), 3,
    )


@pytest.mark.parametrize(("difference", "heading", "verdict"), [
    (0.04, "the second is better", "The second run is better than the first"),
    (-0.04, "the second is worse", "The second run is worse than the first"),
    (0.0, "cannot tell them apart", "These rows cannot tell the two runs apart"),
])
def test_the_verdict_stands_over_the_page(difference, heading, verdict):
    seen = Reader(compared(made(difference))).text
    assert heading in seen
    assert any(one.startswith(f"{verdict}: of 100 rows like these, the first gets about 86 right "
                              "and the second about 90.") for one in seen)


def test_what_changed_what_came_of_it_and_which_rows_turned_are_on_it():
    seen = " ".join(Reader(compared(made())).text)
    assert "rungs.full.epochs" in seen
    assert "60 rows came right, 20 rows went wrong" in seen
    assert "919 rows of 1,000 got the same answer from both." in seen
    assert "Right in the first run, wrong in the second: 20" in seen
    assert "Wrong in both, in another way: 1" in seen
    assert "t.csv:99" in seen
    assert "1 class did not change." in seen
    assert "looked at 3 times" in seen
    assert "anna" not in seen


def test_rows_that_are_not_named_are_counted():
    whole = made()
    few = replace(whole, turned=whole.turned[:10])
    assert "wrong in the second: 10 of 20" in " ".join(Reader(compared(few)).text)


def test_runs_that_do_not_differ_say_so():
    whole = made(0.0)
    same = replace(whole, changes=(), turned=(), turned_rows=0)
    seen = " ".join(Reader(compared(same)).text)
    assert "Nothing: plan, data, split and kept rung are the same." in seen
    assert "Rows that changed" not in seen


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_name_does_nothing(word):
    html = compared(made(names=(word, word), word=word))
    read = Reader(html)
    assert read.open == []
    assert not read.tags & {"script", "img", "iframe", "object"}
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in read.values("content")
    assert len(html.encode()) < 1_000_000
