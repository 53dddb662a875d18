"""The page of two runs: what changed between them, what came of it, and which rows it turned."""

from fettle.core.compared import Compared, Turned
from fettle.core.score import Comparison
from fettle.pages import words
from fettle.pages.blocks import (
    Block,
    Cell,
    Fold,
    Listing,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
    difference_cell,
    number_cell,
    score_cell,
)
from fettle.pages.document import sheet

__all__ = ["compared"]

HEADINGS = {
    "better": ("the second is better", "good"), "worse": ("the second is worse", "bad"),
    "cannot tell": ("cannot tell them apart", "warn"),
}
KINDS = {
    "went wrong": "Right in the first run, wrong in the second",
    "came right": "Wrong in the first run, right in the second",
    "wrong in another way": "Wrong in both, in another way",
}
TONES = {"better": "good", "worse": "bad", "cannot tell": ""}


def compared(made: Compared) -> str:
    """One HTML page that opens offline; the same Compared gives the same bytes."""
    first, second = (words.public(one) for one in (made.first, made.second))
    sections = [_verdict(made), _changes(made, first, second), _scores(made, first, second),
                _classes(made), _rows(made), _limits(made)]
    return sheet(
        [one for one in sections if one is not None], name=f"{first} and {second}",
        subtitle=f"Two runs, judged on the same {words.count(made.comparison.rows, 'test row')}",
        heading=HEADINGS[made.comparison.verdict],
        kicker=("fettle compare", "test rows looked at", words.times(made.openings)),
    )


def _verdict(made: Compared) -> Section:
    change = made.comparison
    first, second = (
        next(one for one in side if one.name == change.metric)
        for side in zip(*made.scores, strict=True)
    )
    told = {
        "better": "The second run is better than the first",
        "worse": "The second run is worse than the first",
        "cannot tell": "These rows cannot tell the two runs apart",
    }[change.verdict]
    metric = words.measure(change.metric)
    hundred = (
        f": of 100 rows like these, the first gets about {100 * first.value:.0f} right and the "
        f"second about {100 * second.value:.0f}" if change.metric == "accuracy" else ""
    )
    right, wrong = ("came right", "went wrong") if hundred else ("came nearer", "went further off")
    same = () if not hundred else (Text(
        f"{words.count(change.rows - made.turned_rows, 'row')} of {words.count(change.rows)} got "
        "the same answer from both."
    ),)
    return Section("verdict", "Verdict", (
        Text(f"{told}{hundred}.", "lead"),
        Text(f"The difference of {metric} is {words.marginal(change)}, paired on "
             f"{words.count(change.rows, 'test row')}: {words.count(change.wins, 'row')} "
             f"{right}, {words.count(change.losses, 'row')} {wrong} ({words.tested(change)})."),
        *same,
        Tiles((
            Tile(f"{metric}, first run", words.valued(first), words.under(first),
                 words.clip(change.first, 60)),
            Tile(f"{metric}, second run", words.valued(second), words.under(second),
                 words.clip(change.second, 60),
                 "accent"),
            Tile("paired difference", words.gained(change), words.under_gain(change),
                 change.verdict,
                 TONES[change.verdict]),
        )),
    ))


def _changes(made: Compared, first: str, second: str) -> Section:
    if not made.changes:
        text = Text("Nothing: plan, data, split and kept rung are the same.")
        return Section("changes", "What changed between them", (text,))
    lines = tuple(
        (Cell(words.clip(one.what, 60)), Cell(words.clip(one.first or words.NONE, 160)),
         Cell(words.clip(one.second or words.NONE, 160)))
        for one in made.changes
    )
    return Section("changes", "What changed between them", (
        Table("What differs in plan, data, split and training", ("what", first, second), lines),
        Text("Only what differs is listed. Which of it made the difference, two runs cannot tell: "
             "change one thing at a time.", "muted"),
    ))


def _scores(made: Compared, first: str, second: str) -> Section:
    differences = {one.metric: one for one in (made.comparison, made.macro_f1) if one is not None}
    lines = tuple(
        (Cell(words.measure(one.name)), score_cell(one), score_cell(other),
         difference_cell(differences[one.name]) if one.name in differences
         else number_cell(words.NONE))
        for one, other in made.scores
    )
    return Section("scores", "Scores", (
        Table("Scores of both runs on the same test rows",
              ("score", first, second, "difference, paired"), lines),
        Text("Each score stands over its 95% interval and the number of test rows (n). Two "
             "intervals that overlap say little; the paired difference decides.", "muted"),
    ))


def _classes(made: Compared) -> Section | None:
    moved = [one for one in made.classes if one.wins or one.losses]
    if not moved:
        return None
    table = Table(
        "Recall of each class, the largest loss first",
        ("class", "difference of recall", "came right", "went wrong", "p, adjusted"),
        tuple(_class_line(one) for one in moved),
    )
    still = len(made.classes) - len(moved)
    note = "p is adjusted for the number of classes (Benjamini and Hochberg 1995)."
    if still:
        note += f" {words.count(still, 'class', 'classes')} did not change."
    return Section("classes", "Class by class", (table, Text(note, "muted")))


def _class_line(one: Comparison) -> tuple[Cell, ...]:
    return (
        Cell(words.clip(one.metric)), difference_cell(one), number_cell(words.count(one.wins)),
        number_cell(words.count(one.losses)), number_cell(words.p_value(one.p)),
    )


def _rows(made: Compared) -> Section | None:
    blocks: list[Block] = []
    for kind, title in KINDS.items():
        rows = [one for one in made.turned if one.how == kind]
        if rows:
            blocks.append(Fold(f"{title}: {_shown(made, kind, rows)}", (_table(title, rows),)))
    if not blocks:
        return None
    text = (
        "Read those that went wrong first: where they share something, the change cost more than "
        "the scores show."
    )
    return Section("rows", "Rows that changed", (Text(text), *blocks))


def _shown(made: Compared, kind: str, rows: list[Turned]) -> str:
    known = {"went wrong": made.comparison.losses, "came right": made.comparison.wins}
    total = known.get(kind, made.turned_rows - sum(known.values()))
    return words.count(total) if total == len(rows) else f"{len(rows):,} of {total:,}"


def _table(title: str, rows: list[Turned]) -> Table:
    return Table(title, ("row", "label", "the first says", "the second says"), tuple(
        (Cell(words.clip(one.id, 60), kind="code"), Cell(words.clip(one.label)),
         Cell(words.clip(one.first)), Cell(words.clip(one.second)))
        for one in rows
    ))


def _limits(made: Compared) -> Section:
    looks = (
        "The test rows have been looked at once." if made.openings == 1 else
        f"The test rows have been looked at {words.times(made.openings)}: whoever keeps the better "
        "of several runs by them flatters it, and fresh rows would show by how much."
    )
    groups = made.comparison.groups
    together = () if groups is None else (
        f"The rows hang together in {words.count(groups, 'group')}, which are counted whole.",
    )
    return Section("limits", "What this cannot tell", (Listing((
        looks, *together,
        "Each run is one training with one seed: another seed may have turned out otherwise.",
        "This page holds labels and row ids, and no text of any row.",
    )),))
