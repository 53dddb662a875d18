"""Splitting: a Dataset and its Audit in, a Split out.

Given parts are kept; the rest is spread by class, or the newest rows judge where a time is named.
Rows that say the same, or are of one named group, stay on one side: no test row is a training row
in disguise. Nothing here opens a file, sees a model, or draws from a global generator. Which rows
learn does not depend on what given test rows say.
"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from fettle.core.audit import Audit, LeftOut
from fettle.core.dataset import Dataset
from fettle.core.errors import SettingError, SplitError
from fettle.core.labels import names_in
from fettle.core.split import Split, Vault
from fettle.formats.kinship import hints
from fettle.formats.moments import EXAMPLES, seconds
from fettle.measures.folds import joined, newest, stratified_parts
from fettle.tasks import TASKS

__all__ = ["FEWEST_FOR_VALIDATION", "split"]

FEWEST_FOR_VALIDATION = 600
"""With fewer learning rows, choices are made out of fold: a seventh of them tells too little."""
FEWEST_NEWEST = 200
"""The same, where the newest rows would tune: folds do not say how the old foretell the new."""
_TEST_SHARE = 1 / 8
_VALIDATION_SHARE = 1 / 7
"""Of what the test leaves: 12.5 of 87.5 rows."""
_NAMED = 5


def split(dataset: Dataset, audit: Audit, *, seed: int) -> Split:
    """Which rows teach, which tune, and which judge: 75 / 12.5 / 12.5 unless given.

    Rows left out by the audit stand on no side; given test rows all stay, except those without
    an answer, which cannot be scored and are listed as left out. With a time column, the newest
    rows judge and the newest of the rest tune; an older row of a cluster or group that crosses
    such a border, or that of given parts, is left out of fitting and listed.

    Args:
        dataset: rows with a target; its parts say which side a row was given for, its schema may
            name a column of groups and a column of times.
        audit: of the same Dataset.
        seed: of the draw. The same seed and rows give the same sides.

    Raises:
        SplitError: the audit is of another Dataset; a time cannot be read; the groups allow no
            split; or no row is left to learn from or to judge.
        SettingError: the column of groups is the target, or the column of times has nothing to
            decide.
    """
    fingerprint = dataset.fingerprint()
    if audit.dataset != fingerprint:
        raise SplitError("The audit is of another dataset. Audit this one before splitting it.")
    parts = np.asarray(dataset.parts, dtype="<U10")
    test, left_out = _given_test(dataset, audit, parts)
    notes = [_note_given("test", test, dataset)] if len(test) else []
    used = np.ones(dataset.rows, dtype=bool)
    used[[row for out in left_out for row in out.rows]] = False
    twins = _twins(dataset.rows, audit)
    group = joined(twins, _named_groups(dataset))
    if dataset.schema.time is not None:
        notes += _set_parts_by_time(dataset, parts, used)
        test = np.flatnonzero(used & (parts == "test"))
    left_out += _strays(parts, twins, used, "leaks", "says the same")
    left_out += _strays(parts, group, used, "group", f"has the same {dataset.schema.group!r}")

    validation = np.flatnonzero(used & (parts == "validation"))
    learning = np.flatnonzero(used & ((parts == "") | (parts == "train")))
    _require_groups(dataset, group, learning, wanted=2 - bool(len(test)))
    rng = np.random.default_rng(seed)
    if not len(test):
        whole = learning
        learning, test = _carve(dataset, whole, group, _TEST_SHARE, rng)
        notes.append(_note_carved(dataset, "test", len(test), len(whole), seed))
        notes += _note_uneven(dataset, whole, group, test, _TEST_SHARE)
    train, validation, note = _tuned(dataset, learning, validation, group, rng, seed)
    _require_rows(dataset, train, test)
    notes += [*note, *_note_twins(audit), *_note_groups(dataset, used), *hints(dataset),
              *_note_classes(dataset, train, validation, test)]
    sides = [tuple(int(row) for row in rows) for rows in (train, validation, test)]
    return Split(
        train=sides[0],
        validation=sides[1],
        vault=Vault(sides[2], dataset.fingerprint(sides[2])),
        dataset=fingerprint,
        learning=_sided(dataset, sides[0], sides[1], tied := _tied(group, used)),
        left_out=tuple(left_out),
        notes=tuple(notes),
        tied=tied,
    )


def _sided(
    dataset: Dataset, train: tuple[int, ...], validation: tuple[int, ...],
    tied: Sequence[Sequence[int]],
) -> str:
    """A hash of the learning rows, of where validation begins, and, for folds, of what is tied."""
    place = {row: at for at, row in enumerate(train)}
    ties = [[place[row] for row in one if row in place] for one in tied if not validation]
    whole = [dataset.fingerprint(train + validation), len(train), sorted(filter(None, ties))]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _given_test(
    dataset: Dataset, audit: Audit, parts: np.ndarray
) -> tuple[np.ndarray, list[LeftOut]]:
    """The given test rows that can be scored, and all rows left out so far."""
    answered = TASKS[dataset.schema.task].answered(dataset.targets())
    test = np.flatnonzero((parts == "test") & answered)
    sealed = set(test.tolist())
    left_out = [
        LeftOut(out.check, out.reason, tuple(row for row in out.rows if row not in sealed))
        for out in audit.left_out
    ]
    told = {row for out in left_out for row in out.rows}
    unanswered = tuple(row for row in np.flatnonzero(~answered).tolist() if row not in told)
    left_out.append(LeftOut("missing", "it has no answer", unanswered))
    return test, [out for out in left_out if out.rows]


def _twins(rows: int, audit: Audit) -> np.ndarray:
    """A group for every row, (rows,): its own number, or the first of its twins."""
    group = np.arange(rows)
    for cluster in audit.twins:
        group[list(cluster)] = cluster[0]
    return group


def _named_groups(dataset: Dataset) -> np.ndarray:
    """A group for every row, (rows,), by the named column; a row without a cell is its own."""
    name = dataset.schema.group
    if name is None:
        return np.arange(dataset.rows)
    if name == dataset.schema.target:
        raise SettingError(
            f"--group names {name!r}, which is the column to predict: every class would stand on "
            "one side. Name the column of what rows belong to, such as a customer."
        )
    first: dict[str, int] = {}
    return np.array([
        row if not (cell or "").strip() else first.setdefault((cell or "").strip(), row)
        for row, cell in enumerate(dataset.column(name))
    ])


def _set_parts_by_time(dataset: Dataset, parts: np.ndarray, used: np.ndarray) -> list[str]:
    """Mark the newest rows as test and the newest of the rest as validation, where not given."""
    name = str(dataset.schema.time)
    has_test, has_validation = (parts == "test").any(), (parts == "validation").any()
    if has_test and has_validation:
        raise SettingError(
            f"--time {name} has nothing to decide: test and validation rows were given. Leave it "
            "away, or leave one of the files away."
        )
    rows = np.flatnonzero(used & ((parts == "") | (parts == "train")))
    when = _times(dataset, name, rows)
    notes = []
    for side, share in (("test", _TEST_SHARE), ("validation", _VALIDATION_SHARE)):
        is_few = side == "validation" and len(rows) < FEWEST_NEWEST
        if (parts == side).any() or is_few or not len(rows):
            continue
        late = newest(when, share)
        if not late.any():
            raise SplitError(
                f"All {len(rows):,} rows left for training and {side} have the same time in column "
                f"{name!r}, so none is newer. Name another column, or leave --time away."
            )
        first = dataset.column(name, [int(rows[late][when[late].argmin()])])[0]
        parts[rows[late]] = side
        notes.append(
            f"The {side} part is the {_rows(int(late.sum()))} that are newest by {name!r}, "
            f"from {first} on."
        )
        rows, when = rows[~late], when[~late]
    return notes


def _times(dataset: Dataset, name: str, rows: np.ndarray) -> np.ndarray:
    """Seconds since 1970 of these rows, (rows,)."""
    cells = dataset.column(name, rows.tolist())
    when, is_ambiguous = seconds(cells)
    unread = np.flatnonzero(~np.isfinite(when))
    if len(unread):
        shown = "; ".join(
            f"{dataset.ids[rows[at]]} says {cells[at]!r}" if (cells[at] or "").strip()
            else f"{dataset.ids[rows[at]]} is empty"
            for at in unread[:_NAMED]
        )
        more = ", and more" if len(unread) > _NAMED else ""
        raise SplitError(
            f"{len(unread):,} of {len(rows):,} cells of column {name!r} cannot be read as a time: "
            f"{shown}{more}. Write them as {EXAMPLES}, all alike, or take those rows out."
        )
    if is_ambiguous:
        raise SplitError(
            f"Column {name!r} says {cells[0]!r}, and no cell shows whether the day or the month "
            "comes first. Write the dates as 2024-03-31."
        )
    return when


def _strays(
    parts: np.ndarray, group: np.ndarray, used: np.ndarray, check: str, how: str
) -> list[LeftOut]:
    """Take rows out of use that have kin in a part which judges them.

    Exact twins of given test rows have been left out by the audit; this catches all others.
    """
    left_out = []
    learns = (parts == "") | (parts == "train")
    for judge, learners in (
        ("test", learns | (parts == "validation")),
        ("validation", learns),
    ):
        judged = np.isin(group, group[used & (parts == judge)])
        rows = np.flatnonzero(used & learners & judged)
        if len(rows):
            used[rows] = False
            reason = f"a {judge} row {how}"
            left_out.append(LeftOut(check, reason, tuple(int(row) for row in rows)))
    return left_out


def _carve(
    dataset: Dataset,
    rows: np.ndarray,
    group: np.ndarray,
    share: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(the rest, the part carved off), stratified by target, kin together, both ascending."""
    if not len(rows):
        return rows, rows
    strata = TASKS[dataset.schema.task].parted(dataset.targets(rows.tolist()))
    part = stratified_parts(strata, _by_first_row(group[rows]), (1 - share, share), rng)
    return rows[part == 0], rows[part == 1]


def _by_first_row(groups: np.ndarray) -> np.ndarray:
    """Groups numbered by where they first appear here: rows elsewhere have no say in it."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return first[inverse]


def _tuned(
    dataset: Dataset,
    learning: np.ndarray,
    validation: np.ndarray,
    group: np.ndarray,
    rng: np.random.Generator,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(train, validation, notes on how they came about)."""
    if len(validation):
        is_given = "validation" in dataset.parts
        return learning, validation, (
            [_note_given("validation", validation, dataset)] if is_given else []
        )
    is_few = len(learning) < FEWEST_FOR_VALIDATION
    if not is_few or dataset.schema.group is not None:
        _require_groups(dataset, group, learning, wanted=2)
    if is_few:
        return learning, validation, [
            f"No validation part: {len(learning):,} learning rows are fewer than "
            f"{FEWEST_FOR_VALIDATION}, so choices are made out of fold, on all of them."
        ]
    train, validation = _carve(dataset, learning, group, _VALIDATION_SHARE, rng)
    notes = [_note_carved(dataset, "validation", len(validation), len(learning), seed)]
    notes += _note_uneven(dataset, learning, group, validation, _VALIDATION_SHARE)
    return train, validation, notes


def _require_groups(
    dataset: Dataset, group: np.ndarray, rows: np.ndarray, *, wanted: int
) -> None:
    """Enough groups for one on each side that is still to be made.

    Raises:
        SplitError: says which column ties the rows together, and what to do.
    """
    if not len(rows) or len(np.unique(group[rows])) >= wanted:
        return
    name = dataset.schema.group
    if name is None:
        raise SplitError(
            f"All {len(rows):,} rows left to split say the same, so none of them can judge what "
            "another teaches. Give rows that differ."
        )
    raise SplitError(
        f"All {len(rows):,} rows left to split hang together by {name!r} (and by rows that say the "
        f"same): at least {wanted} separate groups are needed, one to learn from and one to judge "
        "by. Name a column with more values, give the test rows in a file of their own (--test), "
        "or leave --group away."
    )


def _require_rows(dataset: Dataset, train: np.ndarray, test: np.ndarray) -> None:
    name = dataset.schema.group
    if len(train) and not len(test) and name is not None:
        raise SplitError(
            f"No group of {name!r} can be kept for the test: each class has all its rows in one "
            "group, which has to teach it. Give the test rows in a file of their own (--test), or "
            "leave --group away."
        )
    for side, rows in (("learn from", train), ("judge by", test)):
        if not len(rows):
            raise SplitError(
                f"No row is left to {side}: every row is missing, left out or needed elsewhere. "
                "Read the audit, then give more rows."
            )


def _tied(group: np.ndarray, used: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """The used rows that hang together, cluster by cluster, both ascending."""
    rows = np.flatnonzero(used)
    order = rows[np.argsort(group[rows], kind="stable")]
    clusters = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return tuple(sorted(tuple(map(int, cluster)) for cluster in clusters if len(cluster) > 1))


def _note_given(side: str, rows: np.ndarray, dataset: Dataset) -> str:
    return f"The {side} part is the {_rows(len(rows))} given for it in {dataset.name}."


def _note_carved(dataset: Dataset, side: str, rows: int, whole: int, seed: int) -> str:
    return (
        f"The {side} part is {_rows(rows)} drawn from {whole:,} with seed {seed}, "
        f"{TASKS[dataset.schema.task].evenly}."
    )


def _note_uneven(
    dataset: Dataset, whole: np.ndarray, group: np.ndarray, part: np.ndarray, share: float
) -> list[str]:
    """Said where whole groups made a part much smaller or larger than it should be."""
    wanted = share * len(whole)
    if dataset.schema.group is None or 0.5 * wanted <= len(part) <= 1.5 * wanted:
        return []
    largest = int(np.bincount(_by_first_row(group[whole])).max())
    return [
        f"Whole groups of {dataset.schema.group!r} made that part {_rows(len(part))}, where "
        f"{wanted:.0f} were wanted: the largest group that hangs together has {_rows(largest)}."
    ]


def _note_groups(dataset: Dataset, used: np.ndarray) -> list[str]:
    name = dataset.schema.group
    if name is None:
        return []
    cells = [(cell or "").strip() for cell in dataset.column(name, np.flatnonzero(used).tolist())]
    alone = cells.count("")
    note = (
        f"Rows with the same {name!r} are on one side: {len(set(cells) - {''}):,} groups in "
        f"{_rows(len(cells) - alone)}."
    )
    return [note + (f" {_rows(alone)} without one stand alone." if alone else "")]


def _note_twins(audit: Audit) -> list[str]:
    if not audit.twins:
        return []
    rows = sum(len(cluster) for cluster in audit.twins)
    clusters = "1 cluster" if len(audit.twins) == 1 else f"{len(audit.twins):,} clusters"
    return [f"{_rows(rows)} in {clusters} say the same; what is used of a cluster is on one side."]


def _note_classes(
    dataset: Dataset, train: np.ndarray, validation: np.ndarray, test: np.ndarray
) -> list[str]:
    """Classes that times or groups, which a split must obey, keep from one of the sides."""
    if dataset.schema.time is None and dataset.schema.group is None:
        return []
    if not TASKS[dataset.schema.task].named:
        return []
    several = dataset.schema.several is not None
    taught = names_in(dataset.targets([*train.tolist(), *validation.tolist()]), several=several)
    judged = names_in(dataset.targets(test.tolist()), several=several)
    return [
        f"{_classes(missing)} {what}: {', '.join(map(repr, missing[:_NAMED]))}"
        f"{', ...' if len(missing) > _NAMED else ''}."
        for missing, what in (
            (sorted(judged - taught), "only in the test part; their rows cannot come right"),
            (sorted(taught - judged), "without a test row; nothing is measured of them"),
        )
        if missing
    ]


def _classes(names: Sequence[str]) -> str:
    return "1 class is" if len(names) == 1 else f"{len(names):,} classes are"


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"
