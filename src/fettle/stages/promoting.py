"""Promoting: a challenger and the champion in, a Verdict out: promote, cannot tell, or reject.

Both answer the same test rows, those of either that neither learned from. Each gate stands on its
own and has its value in the Verdict. Nothing here moves a pointer.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from fettle.core.dataset import row_key
from fettle.core.errors import SettingError
from fettle.core.labels import packed
from fettle.core.progress import Progress
from fettle.core.version import Gate, Verdict
from fettle.measures import gating
from fettle.measures.answer_gating import compare_answers, within
from fettle.measures.clusters import components
from fettle.measures.groups import few_groups, together
from fettle.measures.label_gating import sets_of
from fettle.measures.number_gating import compare_numbers
from fettle.measures.traits import in_numbers
from fettle.tasks.multi_label import MultiLabel

__all__ = ["Candidate", "Pool", "pool", "promote"]

SLOWER, LARGER = 1.2, 1.5
CALLS, WARM, SECONDS = 120, 5, 10.0
Fields = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that is ready to answer, and what the gates want to know of it."""

    id: str
    answers: Callable[[Sequence[Fields]], np.ndarray]
    """From what is read of rows to probabilities (rows, classes), or to numbers (rows, 1)."""
    fields: tuple[str, ...]
    """The columns that it reads."""
    target: str
    classes: tuple[str, ...]
    """() where it answers numbers."""
    metric: str
    rows: pa.Table | None
    """The rows that it was made with, `id` and `side` last; None where they were not kept."""
    test: str
    """Fingerprint of its test rows."""
    bytes: int
    """Of all that it needs to answer."""
    blockers: tuple[str, ...] | None
    """Checks whose blockers were allowed; None where its audit was not kept."""
    several: MultiLabel | None = None
    """Its task, where it gives a row several labels."""
    tied: tuple[tuple[int, ...], ...] = ()
    """Clusters of its rows, by number, that hang together: twins, one named group."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Test rows that neither version learned from."""

    first: tuple[Fields, ...]
    """What the champion reads of each."""
    second: tuple[Fields, ...]
    """What the challenger reads of each."""
    labels: tuple[str, ...]
    notes: tuple[str, ...]
    groups: np.ndarray | None = None
    """Which rows hang together, int (rows,), numbered from 0; None where each is alone."""


def promote(
    champion: Candidate, challenger: Candidate, *, generation: int, seed: int = 0
) -> Generator[Progress, None, Verdict]:
    """The Verdict on making the challenger champion.

    Args:
        champion: as it is now.
        challenger: what may take its place.
        generation: of the champion's pointer when it was looked at.
        seed: of the resamples.

    Raises:
        SettingError: there is no row that both can be asked; the message says what to do.
    """
    rows = pool(champion, challenger)
    yield Progress("gate", 0, 3, "steps")
    first, second = champion.answers(rows.first), challenger.answers(rows.second)
    yield Progress("gate", 1, 3, "steps")
    seconds = _seconds(champion, challenger, rows)
    yield Progress("gate", 2, 3, "steps")
    gates, more = _of_answers(champion, challenger, rows, first, second, seed)
    gates = (*gates, _latency(*seconds, rng=np.random.default_rng(seed)),
             _size(champion.bytes, challenger.bytes), _audit(challenger.blockers))
    yield Progress("gate", 3, 3, "steps")
    verdicts = {gate.verdict for gate in gates}
    decision = "reject" if "fail" in verdicts else (
        "cannot tell" if "cannot tell" in verdicts else "promote"
    )
    return Verdict(
        challenger=challenger.id, champion=champion.id, generation=generation, decision=decision,
        gates=gates, rows=len(rows.labels),
        more_rows=more if decision == "cannot tell" else None, notes=rows.notes,
    )


def _of_answers(
    champion: Candidate, challenger: Candidate, rows: Pool, first: np.ndarray,
    second: np.ndarray, seed: int,
) -> tuple[tuple[Gate, ...], int | None]:
    """The gates that hang on answers, of classes, of several labels, or of numbers.

    Raises:
        SettingError: the two answer different tasks.
    """
    rng = np.random.default_rng(seed)
    kinds = {(bool(one.classes), one.several is None) for one in (champion, challenger)}
    if len(kinds) > 1:
        raise SettingError(
            f"{champion.id} and {challenger.id} answer different tasks, so they cannot be "
            'compared. Publish under another name, or promote unseen with --force --reason "...".'
        )
    if not challenger.classes:
        return compare_numbers(in_numbers(rows.labels), (first[:, 0], second[:, 0]), rows.first,
                               rng=rng, groups=rows.groups)
    answers = ((champion, first), (challenger, second))
    said = [_said(one, found) for one, found in answers]
    confidence = [
        found.max(axis=1).astype(np.float64) if one.several is None else one.several.sure(found)
        for one, found in answers
    ]
    return compare_answers(
        np.array(rows.labels, dtype=object), (said[0], said[1]), (confidence[0], confidence[1]),
        rows.first, metric=challenger.metric, rng=rng,
        sets=None if challenger.several is None else sets_of(
            rows.labels, said[0].tolist(), said[1].tolist()),
        groups=rows.groups,
    )


def _said(one: Candidate, found: np.ndarray) -> np.ndarray:
    """The likeliest class of each row, or the labels that are called as one cell, (rows,)."""
    if one.several is not None:
        return np.array([packed(labels) for labels in one.several.labels(found)], dtype=object)
    return np.array([one.classes[at] for at in found.argmax(axis=1)], dtype=object)


def pool(champion: Candidate, challenger: Candidate) -> Pool:
    """The test rows of both that neither learned from, each once.

    Where both were tested on the same rows, one copy of them is enough.

    Raises:
        SettingError: rows that are needed were not kept, or none is left.
    """
    both = (champion, challenger)
    holders = [one for one in both if one.rows is not None]
    if len(holders) < 2 and (not holders or champion.test != challenger.test):
        lacks = challenger if challenger.rows is None else champion
        raise SettingError(
            f"{lacks.id} was published without its rows (--no-keep-rows), so it is not known what "
            f"it learned from and {champion.id} and {challenger.id} cannot be asked the same test "
            "rows. Train it again with its rows kept; or give both the same file with --test; or "
            'promote it unseen with --force --reason "...".'
        )
    learned = [_keys(one.rows, one.fields, ("train", "validation")) if one.rows is not None
               else set() for one in both]
    wanted = [*dict.fromkeys((*champion.fields, *challenger.fields))]
    taken: dict[Fields, tuple[Fields, Fields, str]] = {}
    dropped = unread = 0
    for holder in reversed(holders):
        assert holder.rows is not None
        names = holder.rows.column_names[:-2]
        if not set(wanted) <= set(names) or holder.target not in names:
            unread += _count(holder.rows, ("test",))
            continue
        for cells in _rows(holder.rows, (*wanted, holder.target), ("test",)):
            row = dict(zip(wanted, cells, strict=False))
            read = [tuple(row[name] for name in one.fields) for one in both]
            if not cells[-1].strip():
                continue
            if any(row_key(read[at]) in learned[at] for at in (0, 1)):
                dropped += 1
            else:
                taken.setdefault(row_key(cells[:-1]), (read[0], read[1], cells[-1]))
    notes = _pool_notes(dropped, unread, champion, challenger)
    if not taken:
        raise SettingError(
            f"No test row is left on which {champion.id} and {challenger.id} can be compared: "
            f"{' '.join(notes)} Train with a test file that no training row comes from (--test), "
            'or promote unseen with --force --reason "...".'
        )
    first, second, labels = zip(*taken.values(), strict=True)
    groups = _tied(tuple(taken), holders, wanted)
    if groups is not None:
        several = int(groups.max()) + 1
        notes += (f"{len(labels):,} test rows hang together in {several:,} groups, each counted "
                  "whole.", *few_groups(several))
    return Pool(first, second, labels, notes, groups)


def _tied(
    taken: Sequence[Fields], holders: Sequence[Candidate], wanted: Sequence[str]
) -> np.ndarray | None:
    """Groups of the rows taken, (rows,): what is tied in either version, if by way of rows that
    were not taken, hangs together. None where each is alone."""
    number = {key: at for at, key in enumerate(taken)}
    pairs = []
    for holder in holders:
        assert holder.rows is not None
        if not holder.tied or not set(wanted) <= set(holder.rows.column_names[:-2]):
            continue
        keys = [row_key(row) for row in _rows(holder.rows, wanted, None)]
        for cluster in holder.tied:
            of = [number.setdefault(keys[row], len(number)) for row in cluster]
            pairs += list(pairwise(of))
    if not pairs:
        return None
    return together(components(len(number), np.array(pairs))[: len(taken)])


def _latency(first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator) -> Gate:
    value, low, high = gating.latency_ratio(first, second, rng=rng)
    p95 = [1000 * float(np.quantile(one, 0.95)) for one in (first, second)]
    return within(
        "latency", value, SLOWER, low, high, len(first),
        f"{p95[1]:.1f} ms against {p95[0]:.1f} ms for one row, 95th percentile",
    )


def _size(first: int, second: int) -> Gate:
    value = second / first
    verdict = "pass" if value <= LARGER else "fail"
    return Gate("size", verdict, value, LARGER, None, None, 0,
                f"{second / 1e6:,.1f} MB against {first / 1e6:,.1f} MB")


def _audit(blockers: tuple[str, ...] | None) -> Gate:
    if blockers is None:
        return Gate("audit", "cannot tell", None, 0, None, None, 0,
                    "the version does not hold its audit; train it again")
    verdict = "fail" if blockers else "pass"
    sentence = f"blockers that were allowed: {', '.join(blockers)}" if blockers else "no blocker"
    return Gate("audit", verdict, len(blockers), 0, None, None, 0, sentence)


def _seconds(
    champion: Candidate, challenger: Candidate, rows: Pool
) -> tuple[np.ndarray, np.ndarray]:
    """Of calls with one row, in turns, so that what else the machine does befalls both."""
    taken: tuple[list[float], list[float]] = ([], [])
    begun = time.perf_counter()
    for call in range(CALLS + WARM):
        at = call % len(rows.labels)
        order = (1, 0) if call % 2 else (0, 1)
        for side in order:
            answers, fields = (
                (champion.answers, rows.first), (challenger.answers, rows.second)
            )[side]
            start = time.perf_counter()
            answers([fields[at]])
            if call >= WARM:
                taken[side].append(time.perf_counter() - start)
        if call > 2 * WARM and time.perf_counter() - begun > SECONDS:
            break
    return np.array(taken[0]), np.array(taken[1])


def _rows(
    table: pa.Table, names: Sequence[str], sides: Sequence[str] | None
) -> list[Fields]:
    """The cells of the rows on these sides; of all rows where no side is named."""
    side = table.column(table.num_columns - 1).to_pylist()
    columns = [
        [cell or "" for cell in table.column(table.column_names.index(name)).to_pylist()]
        for name in names
    ]
    return [
        row for row, at in zip(zip(*columns, strict=True), side, strict=True)
        if sides is None or at in sides
    ]


def _keys(table: pa.Table, names: Sequence[str], sides: Sequence[str]) -> set[Fields]:
    return {row_key(row) for row in _rows(table, names, sides)}


def _count(table: pa.Table, sides: Sequence[str]) -> int:
    return sum(at in sides for at in table.column(table.num_columns - 1).to_pylist())


def _pool_notes(
    dropped: int, unread: int, champion: Candidate, challenger: Candidate
) -> tuple[str, ...]:
    notes = []
    if dropped:
        notes.append(f"{dropped:,} test rows are left out: one of the two learned from them.")
    if unread:
        notes.append(
            f"{unread:,} test rows are left out: they lack a column that {champion.id} or "
            f"{challenger.id} reads."
        )
    return tuple(notes)
