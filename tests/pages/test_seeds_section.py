"""What the report and the console say of several seeds."""

from dataclasses import replace

from fettle import console
from fettle.core.run import Repeat, Spread
from fettle.pages.blocks import Listing, Table, Text
from fettle.pages.honesty import honesty
from fettle.pages.ladder import ladder
from nouns import score, story


def spread(*values, left_out=()):
    return Spread(tuple(
        Repeat("full", 13 + at, score("accuracy", value, 1210), 260.0, ("One note.",) * (at == 1))
        for at, value in enumerate(values)
    ), left_out)


def of_seeds(*values, **more):
    made = story()
    return replace(made, run=replace(made.run, spread=spread(*values, **more)))


def test_each_seed_is_a_line_and_that_of_the_version_stands_out():
    made = of_seeds(0.918, 0.901, 0.925, left_out=("full with seed 16 is left out: so.",))
    (table,) = [one for one in ladder(made).blocks
                if isinstance(one, Table) and one.label == "The kept rung with each seed"]
    assert [line[0].text for line in table.lines] == ["13", "14", "15"]
    assert [line[-1].text for line in table.lines] == [
        "the version", "shows the spread", "shows the spread"]
    assert table.lines[1][0].note == "One note."
    assert all("1,210" in line[1].note for line in table.lines)
    assert table.strong == 0
    told = " ".join(one.text for one in ladder(made).blocks if isinstance(one, Text))
    assert made.run.spread.sentence in told
    assert "seed 16 is left out" in told


def test_without_further_seeds_there_is_no_such_table():
    assert not [one for one in ladder(story()).blocks
                if isinstance(one, Table) and "seed" in one.label]


def test_the_footer_says_how_far_seeds_lay_apart_and_that_the_test_rows_saw_one():
    (told,) = [one for one in honesty(of_seeds(0.9, 0.92)).blocks if isinstance(one, Listing)]
    (said,) = [one for one in told.items if "seeds" in one]
    assert "The version is of seed" in said
    assert "2 seeds lay 0.014 apart" in said
    assert "another seed" in said
    (alone,) = [one for one in honesty(of_seeds(0.9)).blocks if isinstance(one, Listing)]
    assert any("trained with one seed" in one for one in alone.items)


def test_the_console_says_each_seed_and_then_the_spread():
    one = spread(0.9, 0.92)
    assert console._sentence(one.repeats[1]).startswith(
        "[bold]seed[/]  14, full: validation accuracy 0.92")
    kept = console._sentence(replace(story().run, spread=one))
    assert kept.endswith(console.escape(one.sentence))
