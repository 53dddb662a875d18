"""What this rests on and what it cannot tell: counts, seeds, looks, hashes, versions, limits."""

from fettle.pages import words
from fettle.pages.blocks import Cell, Facts, Listing, Section, Story, Text

__all__ = ["EMBEDDED", "honesty", "standing"]

EMBEDDED = (
    "This page holds labels, numbers of the target, column names, values of columns that rows are "
    "judged apart by, file names and row ids (file and line), and no text of any row (of one that "
    "was decoded wrongly, the letters around the fault). It runs no script and loads nothing from "
    "anywhere."
)


def honesty(story: Story) -> Section:
    """The footer that a sceptic reads first."""
    told = Listing((*_looks(story), *_groups(story), *standing(story)))
    return Section("honesty", "What this rests on, and what it cannot tell", (
        told, _facts(story), Text(EMBEDDED + _pictures(story), "muted"),
    ))


def standing(story: Story) -> tuple[str, ...]:
    """What no number of this evaluation can say, one sentence each."""
    return (
        _seeds(story),
        "The test rows stand for rows like them: other customers, other months or another way of "
        "labelling may score lower, and nothing here measures that.",
        "Targets were taken as they are: where one is a slip, a right answer counts as an error."
        if story.has_numbers else
        "Labels were taken as they are: where they are wrong, a right answer counts as a mistake, "
        "and a mistake that was labelled alike counts as right.",
        *(words.clip(note, 600) for note in story.evaluation.notes),
    )


def _seeds(story: Story) -> str:
    """How far chance in training was looked at."""
    seed, spread = story.plan.seed, story.run.spread
    if spread is None or spread.deviation is None:
        return (
            f"It was trained with one seed ({seed}): intervals cover which rows happened to "
            "be tested, not how another seed would have turned out."
        )
    return (
        f"The version is of seed {seed}. On validation, {len(spread.repeats)} seeds lay "
        f"{words.number(spread.deviation)} apart (standard deviation); the test rows were asked "
        "about this one alone, so its intervals do not hold what another seed would have done."
    )


def _pictures(story: Story) -> str:
    """That rows are shown, where they are."""
    number = len(story.illustrations)
    return f" It shows small pictures of {words.count(number, 'row')}." if number else ""


def _groups(story: Story) -> tuple[str, ...]:
    """How rows that hang together were counted."""
    evaluation = story.evaluation
    if evaluation.groups is None:
        return ()
    column = story.dataset.schema.group
    why = f"the column {words.clip(column, 40)} and twins" if column else "twins"
    return (
        f"{words.count(evaluation.rows, 'test row')} hang together in "
        f"{words.count(evaluation.groups, 'group')} (by {why}): intervals of scores, classes, "
        "slices, differences, calibration, abstention and the curve of learning count groups "
        "whole; those on rows that were learned from or validated on (the fit, the choice of the "
        "rung) count rows.",
    )


def _looks(story: Story) -> tuple[str, str]:
    """What the number of test rows, and of looks at them, leaves open."""
    evaluation = story.evaluation
    looks = (
        "The test rows have been looked at once."
        if evaluation.openings == 1
        else f"The test rows have been looked at {words.times(evaluation.openings)}: what was "
        "changed between looks may fit them by chance, and fresh rows would show it."
    )
    gain = (
        "How small a gain these test rows could show was not computed."
        if evaluation.smallest_gain is None
        else f"A gain in {_measured(story)} below "
        f"{words.number(evaluation.smallest_gain, story.paired_by)} would be missed by "
        f"{words.count(evaluation.rows, 'test row')} in more than 1 of 5 cases."
    )
    return looks, gain


def _facts(story: Story) -> Facts:
    split, plan = story.split, story.plan
    sides = (
        f"{words.count(len(split.train))} train, {words.count(len(split.validation))} validation, "
        f"{words.count(len(split.vault.sealed))} test, of {words.count(story.dataset.rows)}"
    )
    hashes = {
        "plan": plan.id,
        "rows (dataset)": story.audit.dataset,
        "learning rows": split.learning,
        "test rows": story.evaluation.test,
        "pre-trained weights": plan.weights,
    }
    versions = ", ".join(
        f"{words.clip(name)} {words.clip(version)}" for name, version in story.versions.items()
    )
    return Facts((
        ("rows", Cell(sides)),
        ("test rows opened", Cell(words.times(story.evaluation.openings))),
        ("seed", Cell(str(plan.seed))),
        ("rungs compared", Cell(words.count(len(story.run.rungs)))),
        *((name, Cell(words.clip(value, 80), kind="code")) for name, value in hashes.items()),
        ("versions", Cell(versions or words.NONE)),
    ))


def _measured(story: Story) -> str:
    """What rows are compared by, in words."""
    if story.has_several:
        return "the mean F1 of rows"
    return "the mean absolute error" if story.has_numbers else "accuracy"
