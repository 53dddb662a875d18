"""Arriving: rows of a file, or answers of a journal, as what is watched of them, in their order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fettle.core.dataset import Dataset
from fettle.core.drift import PREDICTION, Arrived, Portrait
from fettle.core.errors import InputError, unknown_name
from fettle.core.labels import packed
from fettle.formats import moments
from fettle.measures.traits import in_numbers

if TYPE_CHECKING:
    from fettle.core.journal import Answered, Answers, Labels

__all__ = ["DAYS", "from_journal", "from_rows", "in_time"]

DAYS, FEWEST = 12.0, 2400
"""Of a journal, that are watched: a window a day; and answers at least: no window is too small."""
Paint = Callable[[Sequence[tuple[str, ...]], Sequence[str | None]], Portrait]


def in_time(rows: Dataset, time: str | None) -> np.ndarray:
    """The numbers of the rows in the order in which they arrived: that of the file, or of a column.

    Raises:
        UnknownName: there is no such column.
        InputError: a cell of it says no time.
    """
    if time is None:
        return np.arange(rows.rows)
    if time not in rows.table.column_names:
        raise unknown_name("column", time, rows.table.column_names, place=rows.name)
    when, _ = moments.seconds(rows.column(time))
    if not np.isfinite(when).all():
        row = int(np.flatnonzero(~np.isfinite(when))[0])
        raise InputError(
            f"{rows.ids[row]} says {rows.column(time, [row])[0]!r} in {time!r}, and no time can be "
            f"read there. Ways of writing that are read: {moments.EXAMPLES}."
        )
    return np.argsort(when, kind="stable")


def from_rows(rows: Dataset, paint: Paint, *, time: str | None = None) -> Arrived:
    """The rows of a file, with the answers that it holds.

    Args:
        rows: that the version reads; their target, where they have one.
        paint: makes what is watched of them.
        time: the column that says when; the order of the file where not given.
    """
    order = in_time(rows, time).tolist()
    labels: Sequence[str | None] = rows.targets(order) if rows.schema.target is not None else ()
    notes = []
    if rows.schema.several is not None and labels and set(labels) <= {None, packed(())}:
        labels = ()
        notes.append(f"No cell of {rows.schema.target!r} in {rows.name} holds a label: the rows "
                     "are taken to have none yet, and nothing is judged by them.")
    if rows.refused:
        notes.append(f"{len(rows.refused):,} records of {rows.name} cannot be read and are left "
                     f"out, {rows.refused[0].place} first.")
    return Arrived(
        name=rows.name, portrait=paint(rows.fields(order), labels),
        ids=tuple(rows.ids[row] for row in order),
        at=tuple(cell or "" for cell in rows.column(time, order)) if time else (),
        notes=tuple(notes),
    )


def from_journal(
    name: str, answers: "Answers", labels: "Labels", classes: tuple[str, ...],
    reference: Portrait, paint: Callable[[Sequence[tuple[str, ...]]], Portrait] | None = None,
    *, days: float = DAYS,
) -> Arrived:
    """The answers that one version gave, oldest first, with the labels that came later.

    Args:
        name: of the journal.
        answers: of one version.
        labels: of any; contradicted ones are counted and not used.
        classes: of the version, in the order of its probabilities.
        reference: whose width the vectors must have.
        paint: makes what is watched of inputs; used where every answer has kept them.
        days: before the newest answer, that are watched; more where answers are few.

    Raises:
        InputError: the journal holds no answer of this version.
    """
    found = sorted(
        (one for one in answers.answers if len(one.probabilities) == len(classes)),
        key=lambda one: one.at,  # several servers write files of their own
    )
    if not found:
        raise InputError(
            f"{name} holds no answer of this version yet. `fettle serve` writes them; a file of "
            "rows can be watched too: fettle watch NAME DATA."
        )
    audited, all_told = labels.settled("audit"), labels.settled()
    vectors = [one.embedding for one in found]
    width = None if reference.embedding is None else reference.embedding.shape[1]
    whole = [one for one in vectors if one is not None and len(one) == width]
    portrait = Portrait(
        kinds={}, classes=classes, traits={},
        probabilities=np.stack([one.probabilities for one in found]),
        embedding=np.stack(whole) if len(whole) == len(found) else None,
        labels=tuple(audited.get(one.id, all_told.get(one.id)) for one in found),
        thresholds=reference.thresholds,
    )
    told = [name for name in reference.traits if all(name in one.traits for one in found)]
    traits = {name: np.array([one.traits[name] for one in found]) for name in told}
    if not classes:
        traits[PREDICTION] = in_numbers([one.value for one in found])
    portrait = replace(portrait, traits=traits)
    names = list(reference.kinds)
    if paint is not None and all(one.inputs is not None for one in found):
        fields = [tuple((one.inputs or {}).get(name, "") for name in names) for one in found]
        portrait = replace(portrait, traits={**paint(fields).traits, **portrait.traits})
    return Arrived(
        name=name, portrait=portrait, ids=tuple(one.id for one in found),
        at=tuple(one.at.isoformat(timespec="seconds") for one in found),
        streams=tuple("audit" if one.id in audited else "user" for one in found),
        notes=_notes(answers, labels, {one.id for one in answers.answers}),
        watched=_recent(found, days),
    )


def _recent(found: "Sequence[Answered]", days: float) -> int:
    """How many of the newest answers are watched: what came long ago would hide what comes now."""
    newest, most = found[-1].at, days * 86_400
    recent = sum((newest - one.at).total_seconds() <= most for one in found)
    return min(max(recent, FEWEST), len(found))


def _notes(answers: "Answers", labels: "Labels", known: set[str]) -> tuple[str, ...]:
    """What was passed over, and what labels were not used, with how many."""
    notes = [*answers.passed_over, *labels.passed_over]
    unknown = {one.id for one in labels.labels} - known
    if unknown:
        notes.append(f"{len(unknown):,} labels are of predictions that this journal does not hold, "
                     f"or of another version: not used.")
    if labels.contradicted:
        notes.append(f"{len(labels.contradicted):,} predictions have labels that contradict each "
                     f"other, {next(iter(labels.contradicted))} first: not used.")
    return tuple(notes)
