from dataclasses import replace

import pytest

from fettle.pages.blocks import Story
from fettle.pages.verdict import headings, sentences
from nouns import bare, story


def with_gain(difference: float, *, against: str = "nearest_mean", **changes: object) -> Story:
    """The usual story, in which the kept model differs so much from one contender."""
    made = story()
    contenders = tuple(
        replace(one, versus_kept=replace(
            one.versus_kept, difference=difference, low=difference - 0.02, high=difference + 0.02,
            wins=31, losses=25, p=0.5044,
        )) if one.name == against else one
        for one in made.evaluation.contenders
    )
    return replace(made, evaluation=replace(made.evaluation, contenders=contenders, **changes))


@pytest.mark.parametrize(
    ("difference", "word", "opening"),
    [
        (0.05, "better than before", "That is better"),
        (-0.05, "worse than before", "That is worse"),
        (0.01, "cannot tell from before", "Whether that is better cannot be told"),
    ],
)
def test_a_verdict_says_better_only_when_the_interval_leaves_out_zero(difference, word, opening):
    made = with_gain(difference)
    assert headings(made)[0] == word
    assert sentences(made)[1].startswith(opening)


def test_the_change_is_told_with_interval_wins_losses_and_p():
    _, change, _ = sentences(with_gain(0.01))
    assert "+0.010" in change
    assert "−0.010 to +0.030, holds zero" in change
    assert "31 rows came right" in change
    assert "25 rows went wrong" in change
    assert "p = 0.504".replace(" ", "\u00a0") in change


def test_a_baseline_that_is_not_beaten_is_named_in_the_verdict():
    assert "baseline" not in sentences(story())[2]
    assert "it cannot be told from the cheap baseline TF-IDF" in sentences(
        with_gain(0.01, against="tfidf"))[2]
    assert "it is worse than the cheap baseline TF-IDF" in sentences(
        with_gain(-0.05, against="tfidf"))[2]


def test_every_look_after_the_first_is_told():
    assert "opened once, as they should be" in sentences(story())[2]
    assert "opened 3 times, and every look" in sentences(with_gain(0.1, openings=3))[2]


def test_without_a_before_nothing_is_compared():
    kept, change, doubt = sentences(bare())
    assert kept == (
        "Kept: features, which gets about 93 of 100 such rows right, with accuracy 0.928 (0.734 to "
        "0.984) on 20 test rows.")
    assert "no paired difference" in change
    assert "is not known" in doubt
    assert headings(bare()) == ("nothing to compare with", "muted")
