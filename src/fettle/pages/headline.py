"""The headline numbers: every score of the kept model beside before and the best baseline."""

from fettle.core.evaluation import Contender
from fettle.pages import words
from fettle.pages.blocks import Cell, Section, Story, Table, Text, number_cell, score_cell

__all__ = ["headline"]


def headline(story: Story) -> Section:
    """One line a score, one column a model."""
    columns = (
        ("kept", story.kept), ("before", story.before), ("best baseline", story.best_baseline),
    )
    present = [(label, one) for label, one in columns if one is not None]
    table = Table(
        "Scores of the kept model, of the model before, and of the best baseline",
        ("score", *(f"{label}: {words.contender(one.name)}" for label, one in present)),
        tuple(
            (Cell(words.measure(score.name)), *(_cell(one, score.name) for _, one in present))
            for score in story.kept.scores
        ),
    )
    note = (
        f"Each score stands over its 95% interval and the number of test rows (n). {_what(story)} "
        "Models were chosen by "
        f"{words.measure(story.evaluation.metric)} on validation rows; test rows chose nothing."
    )
    return Section("headline", "Headline numbers", (table, Text(note, "muted")))


def _what(story: Story) -> str:
    """What the scores mean."""
    if story.has_numbers:
        return (
            "Errors are in the unit of the target, and less is better; R² is the share of the "
            "target's variance that is explained, 1 at best and 0 for the mean of the test rows."
        )
    return "Macro scores count every class alike, however few rows it has."


def _cell(one: Contender, name: str) -> Cell:
    found = next((score for score in one.scores if score.name == name), None)
    return number_cell(words.NONE) if found is None else score_cell(found)
