"""Splitting: a Dataset and its Audit in, a Split out.

Given parts are kept; the rest is spread by class, and rows that say the same stay on one side,
so that no test row is a training row in disguise. Nothing here opens a file, sees a model, or
draws from a global generator. Which rows learn does not depend on what given test rows say.
"""

from collections.abc import Sequence

import numpy as np

from fettle.core.audit import Audit, LeftOut
from fettle.core.dataset import Dataset
from fettle.core.errors import SplitError
from fettle.core.split import Split, Vault
from fettle.measures.folds import stratified_parts

__all__ = ["FEWEST_FOR_VALIDATION", "split"]

FEWEST_FOR_VALIDATION = 200
"""With fewer learning rows, no validation part is carved off: choices are made out of fold."""
_TEST_SHARE = 1 / 8
_VALIDATION_SHARE = 1 / 7
"""Of what the test leaves: 12.5 of 87.5 rows."""


def split(dataset: Dataset, audit: Audit, *, seed: int) -> Split:
    """Which rows teach, which tune, and which judge: 75 / 12.5 / 12.5 unless given.

    Rows left out by the audit stand on no side; given test rows all stay, except those without
    an answer, which cannot be scored and are listed as left out.

    Args:
        dataset: rows with a target; its parts say which side a row was given for.
        audit: of the same Dataset.
        seed: of the draw. The same seed and rows give the same sides.

    Raises:
        SplitError: the audit is of another Dataset, or no row is left to learn from or to judge.
    """
    fingerprint = dataset.fingerprint()
    if audit.dataset != fingerprint:
        raise SplitError("The audit is of another dataset. Audit this one before splitting it.")
    parts = np.asarray(dataset.parts, dtype=str)
    test, left_out = _given_test(dataset, audit, parts)
    group = _groups(dataset.rows, audit)
    used = np.ones(dataset.rows, dtype=bool)
    used[[row for out in left_out for row in out.rows]] = False
    left_out += _strays(parts, group, used)

    validation = np.flatnonzero(used & (parts == "validation"))
    learning = np.flatnonzero(used & ((parts == "") | (parts == "train")))
    notes = [_note_given("test", test, dataset)] if len(test) else []
    rng = np.random.default_rng(seed)
    if not len(test):
        learning, test = _carve(dataset, learning, group, _TEST_SHARE, rng)
        notes.append(_note_carved("test", len(test), len(learning) + len(test), seed))
    train, validation, note = _tuned(dataset, learning, validation, group, rng, seed)
    notes += [note, *_note_twins(audit)]
    _require_rows(train, test)

    sides = [tuple(int(row) for row in rows) for rows in (train, validation, test)]
    return Split(
        train=sides[0],
        validation=sides[1],
        vault=Vault(sides[2], dataset.fingerprint(sides[2])),
        dataset=fingerprint,
        learning=dataset.fingerprint(sides[0] + sides[1]),
        left_out=tuple(left_out),
        notes=tuple(notes),
    )


def _given_test(
    dataset: Dataset, audit: Audit, parts: np.ndarray
) -> tuple[np.ndarray, list[LeftOut]]:
    """The given test rows that can be scored, and all rows left out so far."""
    answered = np.array([bool(cell and cell.strip()) for cell in dataset.targets()], dtype=bool)
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


def _groups(rows: int, audit: Audit) -> np.ndarray:
    """A group for every row, (rows,): its own number, or the first of its cluster of twins."""
    group = np.arange(rows)
    for cluster in audit.twins:
        group[list(cluster)] = cluster[0]
    return group


def _strays(parts: np.ndarray, group: np.ndarray, used: np.ndarray) -> list[LeftOut]:
    """Take rows out of use that have a twin in a part which judges them.

    Exact twins have been left out by the audit; this catches clusters found in any other way.
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
            reason = f"a {judge} row says the same"
            left_out.append(LeftOut("leaks", reason, tuple(int(row) for row in rows)))
    return left_out


def _carve(
    dataset: Dataset,
    rows: np.ndarray,
    group: np.ndarray,
    share: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(the rest, the part carved off), stratified by target, twins together, both ascending."""
    if not len(rows):
        return rows, rows
    _, labels = np.unique(
        np.asarray(dataset.targets(rows.tolist()), dtype=str), return_inverse=True
    )
    part = stratified_parts(labels, _by_first_row(group[rows]), (1 - share, share), rng)
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
) -> tuple[np.ndarray, np.ndarray, str]:
    """(train, validation, a note on how they came about)."""
    if len(validation):
        return learning, validation, _note_given("validation", validation, dataset)
    if len(learning) < FEWEST_FOR_VALIDATION:
        note = (
            f"No validation part: {len(learning):,} learning rows are fewer than "
            f"{FEWEST_FOR_VALIDATION}, so choices are made out of fold, on all of them."
        )
        return learning, validation, note
    train, validation = _carve(dataset, learning, group, _VALIDATION_SHARE, rng)
    note = _note_carved("validation", len(validation), len(learning), seed)
    return train, validation, note


def _require_rows(train: Sequence[int] | np.ndarray, test: Sequence[int] | np.ndarray) -> None:
    for side, rows in (("learn from", train), ("judge by", test)):
        if not len(rows):
            raise SplitError(
                f"No row is left to {side}: every row is missing, left out or needed elsewhere. "
                "Read the audit, then give more rows."
            )


def _note_given(side: str, rows: np.ndarray, dataset: Dataset) -> str:
    return f"The {side} part is the {_rows(len(rows))} given for it in {dataset.name}."


def _note_carved(side: str, rows: int, whole: int, seed: int) -> str:
    return (
        f"The {side} part is {_rows(rows)} drawn from {whole:,} with seed {seed}, "
        "as many of each class as its share."
    )


def _note_twins(audit: Audit) -> list[str]:
    if not audit.twins:
        return []
    rows = sum(len(cluster) for cluster in audit.twins)
    clusters = "1 cluster" if len(audit.twins) == 1 else f"{len(audit.twins):,} clusters"
    return [f"{_rows(rows)} in {clusters} say the same; what is used of a cluster is on one side."]


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"
