"""Promoting: a challenger and the champion in, a Verdict out: promote, cannot tell, or reject.

Both answer the same test rows, those of either that neither learned from. Each gate stands on its
own and has its value in the Verdict. Nothing here moves a pointer.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fettle.core.errors import SettingError
from fettle.core.labels import packed
from fettle.core.progress import Progress
from fettle.core.version import Gate, Verdict
from fettle.measures import gating
from fettle.measures.label_gating import Sets, change_of, parts_of, sets_of
from fettle.measures.number_gating import SLICE_ROWS, compare_numbers
from fettle.measures.traits import in_numbers
from fettle.tasks.multi_label import MultiLabel

__all__ = ["Candidate", "Pool", "compare", "pool", "promote"]

MARGIN = 0.01
"""How much worse the headline may be, shown by the lower bound of the paired interval."""
SLICE_LOSS = 0.03
CALIBRATION_LOSS = 0.02
FLIPS, FLIPS_SHARE = 0.03, 1 / 3
"""Rows that may flip from right to wrong, and of those that flip where errors are unrelated; the
two are the same for models that are right nine times in ten."""
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


@dataclass(frozen=True, slots=True)
class Pool:
    """Test rows that neither version learned from."""

    first: tuple[Fields, ...]
    """What the champion reads of each."""
    second: tuple[Fields, ...]
    """What the challenger reads of each."""
    labels: tuple[str, ...]
    notes: tuple[str, ...]


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
                               rng=rng)
    answers = ((champion, first), (challenger, second))
    said = [_said(one, found) for one, found in answers]
    confidence = [
        found.max(axis=1).astype(np.float64) if one.several is None else one.several.sure(found)
        for one, found in answers
    ]
    return compare(
        np.array(rows.labels, dtype=object), (said[0], said[1]), (confidence[0], confidence[1]),
        rows.first, metric=challenger.metric, rng=rng,
        sets=None if challenger.several is None else sets_of(
            rows.labels, said[0].tolist(), said[1].tolist()),
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
            if any(_key(read[at]) in learned[at] for at in (0, 1)):
                dropped += 1
            else:
                taken.setdefault(_key(cells[:-1]), (read[0], read[1], cells[-1]))
    notes = _pool_notes(dropped, unread, champion, challenger)
    if not taken:
        raise SettingError(
            f"No test row is left on which {champion.id} and {challenger.id} can be compared: "
            f"{' '.join(notes)} Train with a test file that no training row comes from (--test), "
            'or promote unseen with --force --reason "...".'
        )
    first, second, labels = zip(*taken.values(), strict=True)
    return Pool(first, second, labels, notes)


def compare(
    labels: np.ndarray, said: tuple[np.ndarray, np.ndarray],
    confidence: tuple[np.ndarray, np.ndarray], fields: Sequence[Fields], *, metric: str,
    rng: np.random.Generator, sets: Sets | None = None,
) -> tuple[tuple[Gate, ...], int | None]:
    """The gates that hang on answers: headline, slices, calibration, negative flips.

    Where a row may have several labels, it is right if all of them are and no other is called.

    Args:
        labels: (rows,), the right answers.
        said: of the champion and the challenger, (rows,) each.
        confidence: of both, float (rows,) each.
        fields: what is read of each row; its length makes slices.
        metric: accuracy or macro_f1; of several labels, micro_f1 or macro_f1.
        rng: draws the resamples.
        sets: of several labels a row, what is in the cells of labels and said.

    Returns:
        The gates, and about how many more rows would tell; None where the headline is settled.
    """
    first, second = (np.asarray(one == labels) for one in said)
    headline, more = _headline(labels, said, first, second, metric, rng, sets)
    change, low, high = gating.calibration_change(
        (confidence[0], first), (confidence[1], second), rng=rng
    )
    calibration = _within(
        "calibration", change, CALIBRATION_LOSS, low, high, len(labels),
        f"expected calibration error {change:+.3f}",
    )
    parts = [(f"label {label}", labels == label) for label in dict.fromkeys(labels.tolist())]
    slices = _slices(parts if sets is None else parts_of(sets), first, second, fields)
    return (headline, slices, calibration, _flips(first, second)), more


def _headline(
    labels: np.ndarray, said: tuple[np.ndarray, np.ndarray], first: np.ndarray,
    second: np.ndarray, metric: str, rng: np.random.Generator, sets: Sets | None,
) -> tuple[Gate, int | None]:
    """Shown to be no worse than the margin; or shown to be worse; or neither."""
    if sets is not None:
        change, low, high = change_of(sets, metric, rng=rng)
    elif metric == "macro_f1":
        _, numbered = np.unique(np.concatenate([labels, *said]), return_inverse=True)
        targets, one, two = numbered.reshape(3, -1)
        change, low, high = gating.macro_f1_change(targets, one, two, rng=rng)
    else:
        change, low, high = gating.accuracy_change(first, second)
    verdict = "pass" if low > -MARGIN else "fail" if high < 0 else "cannot tell"
    more = gating.more_rows(first, second, margin=MARGIN, change=change)
    shown = (
        "better" if low > 0 else
        "no worse than the margin" if verdict == "pass" else
        "worse" if verdict == "fail" else "neither shown to be as good nor to be worse"
    )
    wins, losses = int((second & ~first).sum()), int((first & ~second).sum())
    sentence = f"{100 * change:+.1f} points, {wins} rows won and {losses} lost: {shown}"
    gate = Gate(metric, verdict, change, -MARGIN, low, high, len(labels), sentence)
    return gate, more if verdict == "cannot tell" else None


def _slices(
    parts: list[tuple[str, np.ndarray]], first: np.ndarray, second: np.ndarray,
    fields: Sequence[Fields],
) -> Gate:
    """No class, and no third of the rows by length, lost more than it may."""
    lengths = np.array([sum(map(len, row)) for row in fields])
    short, long = np.quantile(lengths, [1 / 3, 2 / 3])
    parts = [
        *parts,
        ("the shortest third", lengths <= short),
        ("the middle third", (lengths > short) & (lengths <= long)),
        ("the longest third", lengths > long),
    ]
    lost, worst = gating.harmed(parts, first, second, fewest=SLICE_ROWS, most_lost=SLICE_LOSS)
    if worst is None:
        return Gate("slices", "pass", None, -SLICE_LOSS, None, None, 0,
                    f"no slice has {SLICE_ROWS} rows, so none was judged")
    name, change, rows = worst
    verdict = "fail" if lost else "pass"
    sentence = f"{100 * change:+.1f} points on {name}, the most that was lost"
    if lost:
        sentence = f"lost: {', '.join(lost)}; {sentence}"
    elif change < -SLICE_LOSS:
        sentence += ", which may be chance"
    return Gate("slices", verdict, change, -SLICE_LOSS, None, None, rows, sentence)


def _flips(first: np.ndarray, second: np.ndarray) -> Gate:
    """Not shown that more rows flipped from right to wrong than may."""
    value, low, high = gating.flip_rate(first, second)
    most = gating.flips_allowed(first, second, least=FLIPS, share=FLIPS_SHARE)
    verdict = "fail" if low > most else "pass"
    sentence = f"{value:.1%} of rows were right and are wrong now; {most:.1%} may be"
    if value > most and verdict == "pass":
        sentence += ", and more may be chance"
    return Gate("negative_flips", verdict, value, most, low, high, len(first), sentence)


def _latency(first: np.ndarray, second: np.ndarray, *, rng: np.random.Generator) -> Gate:
    value, low, high = gating.latency_ratio(first, second, rng=rng)
    p95 = [1000 * float(np.quantile(one, 0.95)) for one in (first, second)]
    return _within(
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


def _within(
    name: str, value: float, threshold: float, low: float, high: float, rows: int, sentence: str
) -> Gate:
    """Within the threshold; or beyond it, shown; or beyond it, and that may be chance."""
    verdict = "pass" if value <= threshold else "fail" if low > threshold else "cannot tell"
    chance = ", which may be chance" if verdict == "cannot tell" else ""
    return Gate(name, verdict, value, threshold, low, high, rows, sentence + chance)


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


def _rows(table: pa.Table, names: Sequence[str], sides: Sequence[str]) -> list[Fields]:
    side = table.column(table.num_columns - 1).to_pylist()
    columns = [
        [cell or "" for cell in table.column(table.column_names.index(name)).to_pylist()]
        for name in names
    ]
    return [
        row for row, at in zip(zip(*columns, strict=True), side, strict=True) if at in sides
    ]


def _keys(table: pa.Table, names: Sequence[str], sides: Sequence[str]) -> set[Fields]:
    return {_key(row) for row in _rows(table, names, sides)}


def _key(row: Fields) -> Fields:
    """What two rows share that say the same: blanks and capitals aside."""
    return tuple(" ".join(cell.split()).casefold() for cell in row)


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
