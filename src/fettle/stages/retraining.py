"""Retraining: what a watch found in, a Decision out; and the rows that a new version learns from.

Frozen test rows stay frozen. Of the new rows a share is drawn for a vault of its own before
anything looks at them; the rest is learned from. Nothing here trains, and nothing moves a pointer.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fettle.core.columns import numbers, strings
from fettle.core.dataset import row_key
from fettle.core.drift import Decision, Drift
from fettle.core.errors import InputError
from fettle.core.labelling import NO_NEW_LABELS, PERSON, NewLabels
from fettle.measures.folds import stratified_parts
from fettle.measures.sources import counted
from fettle.tasks import TASKS

__all__ = [
    "COOLDOWN_DAYS", "Standing", "assemble", "decide", "learned", "unlearned", "vault_rows",
]

COOLDOWN_DAYS = 7.0
"""A version that is younger is not replaced because inputs drifted: it has not been seen enough."""
NEW_LABELS = 200
"""Reviewed rows from which on their number alone may be a reason."""
MARGIN = 0.01
"""What more rows must promise to be that reason: accuracy, or a share of the error of numbers."""
FRESH, TUNING = 0.2, 0.12
"""Shares of the new rows that go to a vault of their own, and that tune beside the old ones."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the registry says of a name, as far as a decision needs it."""

    version: str
    age_days: float
    previous: str | None = None
    """The champion before this one, where this one took its place; None after a rollback: what
    was taken back is nothing to go back to."""
    challenger: str | None = None
    challenger_verdict: str | None = None
    """What the gates said of it against this very champion: promote, cannot tell or reject; None
    where they were not asked."""
    new_labels: NewLabels = NO_NEW_LABELS
    """Reviewed rows that no version learned from."""
    more_rows_gain: float | None = None
    """What the curve of learning promises of so many more rows, at least: points of accuracy; of
    numbers the share by which the mean absolute error falls."""
    has_numbers: bool = False


def decide(standing: Standing, drift: Drift | None = None) -> Decision:
    """What to do: keep, retrain, promote or roll back; with reasons.

    Args:
        standing: of the champion.
        drift: what the last watch found; None where nothing was watched.
    """
    name = standing.version.partition("@")[0]
    reasons: list[str] = []
    if drift is not None:
        reasons.append(drift.sentence)
    if standing.new_labels.sentence:
        reasons.append(standing.new_labels.sentence)
    if standing.challenger_verdict == "promote":
        reasons.append(f"{standing.challenger} passed every gate against {standing.version}.")
        return Decision("promote", tuple(reasons), f"fettle promote {standing.challenger}")
    if standing.challenger is not None:
        reasons.append(
            f"{standing.challenger} waits, and the gates were not asked about it yet: fettle "
            f"promote {standing.challenger} --dry-run." if standing.challenger_verdict is None else
            f"{standing.challenger} waits, and the gates said: {standing.challenger_verdict}."
        )
    if drift is not None and drift.has_fallen and not drift.drifted and standing.previous:
        reasons.append(
            "What it reads has not drifted, so the version itself is suspected; "
            f"{standing.previous} was champion before."
        )
        return Decision("roll back", tuple(reasons), f"fettle rollback {name}")
    wanted = _why_retrain(standing, drift)
    if not wanted:
        reasons.append("Nothing asks for more than to go on watching.")
        return Decision("keep", tuple(reasons))
    reasons += wanted
    if standing.age_days < COOLDOWN_DAYS and not (drift is not None and drift.has_fallen):
        reasons.append(
            f"But {standing.version} is {standing.age_days:.1f} days old; before "
            f"{COOLDOWN_DAYS:.0f} days only labels that show a fall are a reason."
        )
        return Decision("keep", tuple(reasons))
    return Decision("retrain", tuple(reasons), f"fettle retrain {name} DATA")


def _why_retrain(standing: Standing, drift: Drift | None) -> list[str]:
    """Every reason for a new version."""
    found = []
    if drift is not None and drift.has_fallen:
        found.append("Labels show that it does worse, so it is to learn from newer rows.")
    elif drift is not None and drift.drifted and drift.is_expected_to_have_fallen:
        found.append(
            "Inputs have drifted and its own probabilities promise less than they did. Label some "
            "rows first: fettle label suggest."
        )
    gain, unit = standing.more_rows_gain, "% less error" if standing.has_numbers else "points"
    if standing.new_labels.rows >= NEW_LABELS and gain is not None and gain >= MARGIN:
        found.append(
            f"{standing.new_labels.rows:,} reviewed rows wait, and the curve of learning promises "
            f"at least {100 * gain:.1f} {unit} of so many."
        )
    return found


def unlearned(
    tables: Sequence[pa.Table], fields: Sequence[Sequence[str]], labels: Sequence[str | None],
    inputs: Sequence[str], people: Sequence[str] = (),
) -> NewLabels:
    """How many of these rows have a label and stand in none of the tables, each counted once.

    Args:
        tables: the rows that versions keep.
        fields: what is read of each row.
        labels: of the rows; None or blank where there is none.
        inputs: the columns that are read.
        people: who alone labelled each row, "" of nobody or of several; nothing where no row says.
    """
    known = {
        row_key(row) for table in tables for row in _cells(table, inputs, range(table.num_rows))
    }
    said: dict[tuple[str, ...], set[str]] = {}
    for row, label, person in zip(fields, labels, people or [""] * len(fields), strict=True):
        if (label or "").strip() and (key := row_key(row)) not in known:
            said.setdefault(key, set()).add(person)
    return _heard([_one(persons) for persons in said.values()], seed=0)[1]


def _one(people: set[str]) -> str:
    """The one person of a row's labels; "" where somebody else labelled it, too."""
    return next(iter(people)) if len(people) == 1 else ""


def _heard(sources: Sequence[str], *, seed: int) -> tuple[np.ndarray, NewLabels]:
    """Whether each row counts, bool (rows,), so that no one source brings more than half."""
    counts, loudest = counted(sources, rng=np.random.default_rng(seed))
    given = sources.count(loudest) if loudest else 0
    return counts, NewLabels(int(counts.sum()), loudest, given, int((~counts).sum()))


def assemble(
    old: pa.Table, new: pa.Table, *, inputs: Sequence[str], target: str, seed: int,
    fresh: float = FRESH, task: str = "classification", people: Sequence[str] = (),
) -> tuple[pa.Table, tuple[str, ...]]:
    """The rows of the next version, in one table with a column `split`.

    Args:
        old: the rows of the version before, `id` and `side` last, as a version keeps them.
        new: reviewed rows: inputs, target, and `id` last.
        inputs: the columns that are read.
        target: the column that is predicted.
        seed: of the draw of fresh test rows.
        fresh: share of the new rows that judge.
        task: whose answers the target holds.
        people: who alone labelled each new row, "" of nobody or of several; nothing where no row
            says. Beside others, no one brings more than half of the new rows.

    Returns:
        Columns inputs, target, `row id`, `split` (train, validation, test): old rows as they stood,
        those that were left out aside, then the new ones. And what was done, one sentence each.

    Raises:
        InputError: no new row is left to learn from.
    """
    names, notes = [*inputs, target], []
    sides = old.column(old.num_columns - 1).to_pylist()
    kept = [row for row, side in enumerate(sides) if side in ("train", "validation", "test")]
    seen = {
        row_key(row): sides[at]
        for at, row in zip(kept, _cells(old, inputs, kept), strict=True)
    }
    labels = new.column(target).to_pylist()
    answered = np.flatnonzero(TASKS[task].answered(labels)).tolist()
    left = new.num_rows - len(answered)
    if left:
        notes.append(f"{left:,} new rows have no label and are left out.")
    keys = [row_key(row) for row in _cells(new, inputs, answered)]
    added, aside = _added(answered, keys, seen.keys(), people, seed)
    notes += aside
    if len(added) < 2:
        raise InputError(
            f"{len(added)} of {new.num_rows:,} new rows could be learned from. " + " ".join(notes)
        )
    parts = _drawn(TASKS[task].parted([labels[row].strip() for row in added]), seed,
                   fresh=fresh, tuning=TUNING if "validation" in sides else 0.0)
    notes.append(
        f"{len(added) - parts.count('test'):,} new rows are learned from, {parts.count('test'):,} "
        f"judge: a vault of their own beside the {sides.count('test'):,} frozen test rows."
    )
    before, after = old.take(kept), new.take(added)
    ids = [*before.column(old.num_columns - 2).to_pylist(),
           *after.column(new.num_columns - 1).to_pylist()]
    table = pa.concat_tables([before.select(names), after.select(names)])
    table = table.append_column("row id", strings(ids))
    return table.append_column("split", strings([*(sides[row] for row in kept), *parts])), \
        tuple(notes)


def _added(
    rows: Sequence[int], keys: Sequence[tuple[str, ...]], seen: Set[tuple[str, ...]],
    people: Sequence[str], seed: int,
) -> tuple[list[int], list[str]]:
    """The new rows that are taken, each once and none that was there; and of the others why not."""
    once: dict[tuple[str, ...], int] = {}
    said: dict[tuple[str, ...], set[str]] = {}
    for row, key in zip(rows, keys, strict=True):
        if key not in seen:
            once.setdefault(key, row)
            said.setdefault(key, set()).add(people[row] if people else "")
    counts, heard = _heard([_one(said[key]) for key in once], seed=seed)
    notes = []
    if len(rows) > len(once):
        notes.append(f"{len(rows) - len(once):,} new rows repeat another, or a row that the "
                     "version before has, and are left out.")
    if heard.sentence:
        notes.append(heard.sentence)
    if heard.aside:
        notes.append(f"Let others label some, too, or leave the column {PERSON!r} away and vouch "
                     "for all.")
    return sorted(row for row, does in zip(once.values(), counts, strict=True) if does), notes


def _drawn(strata: np.ndarray, seed: int, *, fresh: float, tuning: float) -> list[str]:
    """The part of each new row, every stratum in proportion."""
    shares = (1 - fresh - tuning, tuning, fresh) if tuning else (1 - fresh, fresh)
    names = ("train", "validation", "test") if tuning else ("train", "test")
    part = stratified_parts(
        strata, np.arange(len(strata)), shares, np.random.default_rng(seed)
    )
    return [names[one] for one in part]


def vault_rows(
    tables: Sequence[tuple[str, pa.Table]], inputs: Sequence[str], target: str,
    without: frozenset[tuple[str, ...]] = frozenset(),
) -> dict[str, tuple[list[tuple[str, ...]], list[str]]]:
    """The test rows that each version brought, the oldest version first.

    Args:
        tables: the rows of versions of one name, oldest first, `id` and `side` last.
        inputs: the columns that are read.
        target: the column that is predicted.
        without: what is read of rows that one of those to be judged has learned from (`learned`).

    Returns:
        By version, what is read of the test rows that no older one has, and their labels; none
        where a version brought none of its own.
    """
    seen: set[tuple[str, ...]] = set(without)
    found: dict[str, tuple[list[tuple[str, ...]], list[str]]] = {}
    for version, table in tables:
        sides = table.column(table.num_columns - 1).to_pylist()
        tests = [row for row, side in enumerate(sides) if side == "test"]
        labels = table.column(target).take(numbers(tests)).to_pylist()
        fields, own = [], []
        for cells, label in zip(_cells(table, inputs, tests), labels, strict=True):
            if row_key(cells) not in seen and (label or "").strip():
                fields.append(cells)
                own.append(label.strip())
            seen.add(row_key(cells))
        if fields:
            found[version] = fields, own
    return found


def learned(table: pa.Table, inputs: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """What is read of the rows that a version learned from or was chosen by.

    Args:
        table: the rows that it keeps, `id` and `side` last.
        inputs: the columns that are read.
    """
    sides = table.column(table.num_columns - 1).to_pylist()
    rows = [row for row, side in enumerate(sides) if side in ("train", "validation")]
    return frozenset(map(row_key, _cells(table, inputs, rows)))


def _cells(
    table: pa.Table, names: Sequence[str], rows: Sequence[int]
) -> list[tuple[str, ...]]:
    """What is read of these rows, "" where missing."""
    if not len(rows):
        return []
    columns = [
        [cell or "" for cell in table.column(name).take(numbers(list(rows))).to_pylist()]
        for name in names
    ]
    return list(zip(*columns, strict=True))
