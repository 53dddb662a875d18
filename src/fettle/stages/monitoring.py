"""Monitoring: a version's reference and the rows that arrived in, a Drift out.

The reference is the version's own test rows: it never learned from them. Rows that arrived are
cut into windows; in each, every signal is tested against the reference, all of them together. An
alarm counts once two of the last three windows raised it. Nothing here fits or changes a model.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from fettle.core.drift import (
    Arrived,
    Drift,
    Estimate,
    Judged,
    Portrait,
    Signal,
    State,
    Window,
)
from fettle.core.errors import InputError
from fettle.core.labels import indicators, names_in, unpacked
from fettle.core.progress import Progress
from fettle.core.score import Score
from fettle.measures import label_watching, performance, sequential, shift, unlabelled
from fettle.measures.traits import in_numbers

__all__ = ["MARGIN", "WINDOW", "watch"]

WINDOW, MOST_WINDOWS = 200, 12
"""Rows of a window at least, and windows at most: more rows make larger windows."""
FEWEST = 20
"""Rows of a window that have a signal at all; fewer say nothing of it."""
MOST_VECTORS = 2000
"""Of a side, that are compared: two thousand show an area under the curve of 0.55."""
DIGITS = 4
"""Of a confidence, that are compared: what is kept on the disk is rounded, and other processors
round otherwise; a test of order sees the last digit."""
MARGIN = 0.01
"""How far a score may fall before that is worth an alarm, as the gate has it."""
WORSE = 0.1
"""Share by which the mean absolute error of numbers must rise for that."""
NO_ESTIMATE = (
    "How well it does now is not estimated without labels: a number does not say how sure it is. "
    "What is watched is what it reads and what it answers; labels show the error."
)
LABELS = 50
"""Labels from which on a score of them is said to hold or to have fallen."""


def watch(
    version: str, reference: Portrait, arrived: Arrived, *, metric: str,
    window: int | None = None, seed: int = 0,
) -> Generator[Progress, None, Drift]:
    """How far what arrived lies from what the version was tested on.

    Args:
        version: its id.
        reference: of its test rows, with their labels.
        arrived: rows, with labels where some are known.
        metric: accuracy or macro_f1, of several labels micro_f1 or macro_f1: what is estimated
            without labels; of numbers nothing is.
        window: rows of a window; by default 200, more where more are needed, and at most twelve
            windows.
        seed: of permutations and resamples.

    Yields:
        Progress after every window.

    Raises:
        InputError: there are no rows to compare, or too few for any test.
    """
    rng = np.random.default_rng(seed)
    if min(reference.rows, arrived.portrait.rows) < FEWEST:
        raise InputError(
            f"{version} has {reference.rows} test rows and {arrived.name} has "
            f"{arrived.portrait.rows} rows: {FEWEST} of each are the fewest to compare. Wait for "
            "more rows."
        )
    at_release = performance.score(performance.values(reference), reference)
    promised, gap = None, 0.0
    if reference.classes:
        promised = performance.expected(reference, metric, rng)
        gap = performance.gap(reference, performance.values(reference), promised.value, metric)
    told = _Told(reference, metric, promised, gap, rng, _labelled(arrived))
    windows: list[Window] = []
    cuts = _cuts(reference, arrived, window)
    for number, rows in enumerate(cuts):
        windows.append(_window(told, arrived, rows))
        yield Progress("watch", number + 1, len(cuts), "windows")
    return Drift(
        version=version, data=arrived.name, rows=sum(map(len, cuts)), reference=reference.rows,
        at_release=at_release,
        promised=None if promised is None else Estimate(
            metric, promised.value + gap, promised.low, promised.high, promised.rows, False),
        windows=tuple(windows), states=_states(windows),
        judged=_judged(arrived, at_release), notes=arrived.notes + _notes(reference, arrived),
        labels=() if reference.thresholds is None else label_watching.by_label(
            reference, arrived.portrait.of(cuts[-1]), rng=rng),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What every window is compared with."""

    reference: Portrait
    metric: str
    promised: unlabelled.Expected | None
    """None where numbers are answered."""
    gap: float
    """How much more was right than promised, on the reference."""
    rng: np.random.Generator
    labels: tuple[str | None, ...]
    """Of the rows that arrived: those that are no biased sample."""


def _window(told: _Told, arrived: Arrived, rows: np.ndarray) -> Window:
    current = arrived.portrait.of(rows)
    labels = [told.labels[row] for row in rows] if told.labels else []
    signals = _signals(told, current, labels)
    return Window(
        first=arrived.ids[rows[0]], last=arrived.ids[rows[-1]],
        begun=arrived.at[rows[0]] if arrived.at else "", rows=len(rows), signals=signals,
        estimate=_estimate(told, current, signals),
    )


def _estimate(
    told: _Told, current: Portrait, signals: Sequence[Signal]
) -> Estimate | None:
    """What the probabilities of a window promise; None where numbers are answered."""
    if told.promised is None:
        return None
    found = performance.expected(current, told.metric, told.rng, told.gap)
    plain = performance.expected(current, told.metric, told.rng)
    enough = any(one.alarm is not None for one in signals)
    fallen = enough and unlabelled.fallen(told.promised, plain, margin=MARGIN)
    return Estimate(told.metric, found.value, found.low, found.high, found.rows, fallen)


def _signals(
    told: _Told, current: Portrait, labels: Sequence[str | None]
) -> tuple[Signal, ...]:
    """Every signal of a window, its p adjusted for the others."""
    reference, rng = told.reference, told.rng
    found: list[tuple[str, str, shift.Shift, int, int, str]] = []
    draws = max(shift.DRAWS, 200 * _usual_signals(reference))  # so that p can pass, adjusted
    if reference.embedding is not None and current.embedding is not None:
        before, now = (_some(one, rng) for one in (reference.embedding, current.embedding))
        found.append(("embedding", "embedding",
                      shift.embeddings(before, now, rng=rng, draws=draws),
                      len(before), len(now), _subject(reference)))
    pairs = [
        (name, reference.traits[name], current.traits[name])
        for name in reference.traits if name in current.traits
    ]
    known = [label.strip() for label in labels if label and label.strip()]
    given = [label.strip() for label in reference.labels if label and label.strip()]
    if reference.thresholds is not None:
        found += _of_labels(reference, current, given, known, rng, draws)
        sure = [np.round(label_watching.certainty(one.probabilities, one.called), DIGITS)
                for one in (reference, current)]
        pairs.append(("confidence", sure[0], sure[1]))
    elif reference.classes:
        names = np.array(reference.classes)
        pairs.append(("predictions", names[reference.probabilities.argmax(axis=1)],
                      names[current.probabilities.argmax(axis=1)]))
        pairs.append(("confidence", *(
            np.round(one.probabilities.max(axis=1), DIGITS) for one in (reference, current)
        )))
    if known and given and reference.thresholds is None:
        old, new = (
            np.array(one) if reference.classes else in_numbers(one) for one in (given, known)
        )
        pairs.append(("labels", old, new))
    for name, old, new in pairs:
        found += _compared(name, old, new, rng)
    p = shift.adjusted([one[2].p for one in found])
    return tuple(
        _signal(one, float(adjusted), min(len(found), _usual_signals(reference)))
        for one, adjusted in zip(found, p, strict=True)
    )


def _of_labels(
    reference: Portrait, current: Portrait, given: Sequence[str], known: Sequence[str],
    rng: np.random.Generator, draws: int,
) -> list[tuple[str, str, shift.Shift, int, int, str]]:
    """How often each of several labels is called, and is right as far as people said, all labels
    together; and labels that nobody gave before."""
    pairs = [("predictions", reference.called, current.called)]
    if known and given:
        old, new = (indicators(one, reference.classes) for one in (given, known))
        pairs.append(("labels", old, new))
    found = [
        (name, "labels", label_watching.moved(before, now, rng=rng, draws=draws), len(before),
         len(now), _shares(reference.classes, before, now))
        for name, before, now in pairs if min(len(before), len(now)) >= FEWEST
    ]
    if min(len(known), len(given)) >= FEWEST:
        seen = names_in(given, several=True) | set(reference.classes)
        strange = [next(iter(sorted(set(unpacked(cell)) - seen)), "") for cell in known]
        newcomers, names = shift.newcomers(np.full(len(given), ""), np.array(strange),
                                           rng=rng)
        if names:
            found.append(("labels: new", "newcomers", newcomers, len(given), len(known),
                          _unseen(names)))
    return found


def _shares(classes: Sequence[str], before: np.ndarray, now: np.ndarray) -> str:
    """The labels whose shares moved most, up to three that moved enough, else the first."""
    shares = before.mean(axis=0), now.mean(axis=0)
    gaps = np.abs(shares[1] - shares[0])
    order = np.argsort(-gaps, kind="stable")
    shown = [at for at in order[:3] if gaps[at] >= shift.FLOORS["labels"]] or order[:1]
    return "; ".join(f"{_quoted(classes[at])} {shares[0][at]:.0%}, now {shares[1][at]:.0%}"
                     for at in shown)


def _some(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of many rows so many as are compared quickly, as coarse as a version keeps them."""
    most = float(np.finfo(np.float16).max)
    vectors = np.clip(vectors, -most, most).astype(np.float16).astype(np.float64)
    if len(vectors) <= MOST_VECTORS:
        return vectors
    return np.asarray(vectors[np.sort(rng.choice(len(vectors), MOST_VECTORS, replace=False))])


def _compared(
    name: str, before: np.ndarray, now: np.ndarray, rng: np.random.Generator
) -> list[tuple[str, str, shift.Shift, int, int, str]]:
    """One signal, or two where names may be new; none where too few rows have it."""
    if before.dtype.kind == "f":
        before, now = before[np.isfinite(before)], now[np.isfinite(now)]
    if min(len(before), len(now)) < FEWEST:
        return []
    sizes = (len(before), len(now))
    if before.dtype.kind == "f":
        told = f"median {np.median(before):.3g}, now {np.median(now):.3g}"
        return [(name, "numbers", shift.numbers(before, now), *sizes, told)]
    found = [(name, "categories", shift.categories(before, now, rng=rng), *sizes,
              _moved(before, now))]
    new, names = shift.newcomers(before, now, rng=rng)
    if names:
        found.append((f"{name}: new", "newcomers", new, *sizes, _unseen(names)))
    return found


def _signal(
    found: tuple[str, str, shift.Shift, int, int, str], p: float, signals: int
) -> Signal:
    name, kind, moved, reference, rows, told = found
    needed = shift.rows_needed(reference, signals=signals)
    floor = shift.FLOORS[kind]
    enough = needed is not None and rows >= needed
    alarm = bool(p <= shift.LEVEL and moved.effect >= floor) if enough else None
    return Signal(name, kind, moved.effect, floor, p, rows, reference, needed, told, alarm)


def _usual_signals(reference: Portrait) -> int:
    """How many a window has: labels and names not seen before come beside them."""
    return len(reference.traits) + (3 if reference.classes else 1)


def _cuts(reference: Portrait, arrived: Arrived, window: int | None) -> list[np.ndarray]:
    """Row numbers of each window, the oldest first; sizes differ by one at most."""
    rows = arrived.portrait.rows if arrived.watched is None else arrived.watched
    if window is None:
        needed = shift.rows_needed(reference.rows, signals=_usual_signals(reference))
        window = max(WINDOW, needed or 0)
        window = max(window, rows // MOST_WINDOWS)
    newest = np.arange(arrived.portrait.rows)[-rows:]
    return np.array_split(newest, max(rows // window, 1))


def _states(windows: Sequence[Window]) -> tuple[State, ...]:
    """Where each signal stands, in the order in which they first came."""
    names = dict.fromkeys(one.name for window in windows for one in window.signals)
    found = []
    for name in names:
        alarms = [
            next((one.alarm for one in window.signals if one.name == name),
                 False if name.endswith(": new") else None)
            for window in windows
        ]
        told = [one for one in alarms if one is not None]
        if shift.confirmed(alarms):
            found.append(State(name, "drift", shift.since(alarms)))
        elif told and told[-1]:
            found.append(State(name, "suspected", shift.since(alarms)))
        else:
            found.append(State(name, "steady" if told else "not enough", None))
    return tuple(found)


def _judged(arrived: Arrived, at_release: Score) -> tuple[Judged, ...]:
    """The score by stream, where labels came."""
    portrait = arrived.portrait
    if not portrait.labels:
        return ()
    values, is_labelled = performance.values(portrait), performance.is_labelled(portrait)
    streams = np.array(arrived.streams or ("all",) * portrait.rows)
    found = []
    for stream in ("all", "audit", "user"):
        these = values[(streams == stream) & is_labelled]
        if not len(these):
            continue
        score = performance.score(these, portrait)
        low: float | None = None
        high: float | None = None
        if portrait.classes:
            low, high = sequential.always_valid(float(these.sum()), len(these))
            fell = high < at_release.low and score.value < at_release.value - MARGIN
        else:
            fell = score.low > at_release.high and score.value > (1 + WORSE) * at_release.value
        verdict = "not enough" if len(these) < LABELS else "fallen" if fell else "holds"
        found.append(Judged(stream, score, low, high, verdict))
    return tuple(found)


def _notes(reference: Portrait, arrived: Arrived) -> tuple[str, ...]:
    """What could not be watched, and what an estimate cannot see."""
    notes = [unlabelled.BLIND if reference.classes else NO_ESTIMATE]
    if reference.thresholds is not None:
        notes.append(label_watching.BLIND)
    if reference.embedding is None:
        notes.append(f"{_subject(reference).capitalize()} is not watched: the version was "
                     "published without its rows (--no-keep-rows).")
    elif arrived.portrait.embedding is None:
        notes.append(f"{arrived.name} holds no vectors of the version's width, so "
                     f"{_subject(reference)} is not watched.")
    missing = [name for name in reference.traits if name not in arrived.portrait.traits]
    if missing:
        notes.append(f"Not watched, as {arrived.name} holds no inputs: {', '.join(missing)}.")
    if any(one == "user" for one in arrived.streams):
        notes.append("Labels that users sent are of rows that somebody looked at for a reason: "
                     "they are shown, and no alarm hangs on them.")
    return tuple(notes)


def _subject(reference: Portrait) -> str:
    """What vectors tell, in words."""
    pictures = "picture" in reference.kinds.values()
    return "what the pictures show" if pictures else "what the texts are about"


def _labelled(arrived: Arrived) -> tuple[str | None, ...]:
    """The labels that are no biased sample; the others are left out."""
    if not arrived.portrait.labels or not arrived.streams:
        return arrived.portrait.labels
    return tuple(
        label if stream == "audit" else None
        for label, stream in zip(arrived.portrait.labels, arrived.streams, strict=True)
    )


def _unseen(names: Sequence[str]) -> str:
    return f"not seen before: {', '.join(_quoted(one) for one in names[:5])}"


def _moved(before: np.ndarray, now: np.ndarray) -> str:
    """The category whose share moved most."""
    names = np.unique(np.concatenate([before, now]))
    shares = np.array([[(side == name).mean() for name in names] for side in (before, now)])
    at = int(np.abs(shares[0] - shares[1]).argmax())
    return f"{_quoted(names[at])} {shares[0, at]:.0%}, now {shares[1, at]:.0%}"


def _quoted(name: object) -> str:
    text = " ".join(str(name).split())
    return repr(text if len(text) <= 40 else text[:37] + "...")
