"""Planting: faults put into clean rows on purpose, so that what finds them can be counted.

Everything is drawn from the rng that is handed in: the same seed plants the same faults.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "Rows", "edited", "flipped", "misspelt", "with_leaks", "with_near_twins", "with_variants",
]

FILLERS = ("please", "just", "really", "so", "now", "maybe")
LONG = 8
"""Words; from a shorter text none is taken out."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts with labels and parts, and the numbers of the rows in which faults were planted."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    parts: tuple[str, ...]
    planted: tuple[int, ...] = ()
    partners: tuple[int, ...] = ()
    """For each planted copy, the row that it is a copy of."""


def flipped(
    labels: np.ndarray, share: float, rng: np.random.Generator, *, towards: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(labels with a share of them wrong, the numbers of those rows).

    Args:
        labels: int (rows,), from 0.
        share: of the rows.
        rng: chooses rows and wrong labels.
        towards: float (classes, classes), how often a class is mistaken for which; every other
            class alike where not given.
    """
    classes = int(labels.max()) + 1
    weights = np.ones((classes, classes)) if towards is None else towards.astype(float).copy()
    np.fill_diagonal(weights, 0.0)
    rows = np.sort(rng.choice(len(labels), round(share * len(labels)), replace=False))
    wrong = labels.copy()
    for row in rows:
        chances = weights[labels[row]]
        wrong[row] = rng.choice(classes, p=chances / chances.sum())
    return wrong, rows


def edited(text: str, rng: np.random.Generator, edits: int = 1) -> str:
    """The text with so many light edits, each of a letter or of a word."""
    for _ in range(edits):
        words = text.split(" ")
        kind = rng.choice(["swap", "lose", "double", "drop", "add"])
        at = int(rng.integers(len(words)))
        if kind == "add":
            words.insert(at, str(rng.choice(FILLERS)))
        elif kind == "drop" and len(words) >= LONG:
            del words[at]
        else:
            long = [place for place, word in enumerate(words) if len(word) > 3] or [at]
            place = int(rng.choice(long))
            words[place] = _mistyped(words[place], str(kind), rng)
        text = " ".join(words)
    return text


def misspelt(label: str, rng: np.random.Generator) -> str:
    """Another spelling of a label: capitals, a blank, other joints, or two letters swapped."""
    ways = [label.upper(), label.title(), f"{label} ", f" {label}"]
    if "_" in label:
        ways.append(label.replace("_", " "))
    if len(label) >= 7:
        at = int(rng.integers(1, len(label) - 2))
        ways.append(label[:at] + label[at + 1] + label[at] + label[at + 2 :])
    return str(rng.choice([way for way in ways if way != label]))


def with_near_twins(rows: Rows, share: float, rng: np.random.Generator, *, edits: int) -> Rows:
    """Copies of a share of the learning rows, lightly edited, at the end."""
    learning = np.flatnonzero(np.array(rows.parts) != "test")
    chosen = np.sort(rng.choice(learning, round(share * len(learning)), replace=False))
    copies = [(edited(rows.texts[row], rng, edits), rows.labels[row], "train") for row in chosen]
    return _longer(rows, copies, chosen)


def with_leaks(rows: Rows, number: int, rng: np.random.Generator, *, edits: int) -> Rows:
    """Copies of test rows among the learning rows, at the end; without edits, in other case."""
    tests = np.flatnonzero(np.array(rows.parts) == "test")
    chosen = np.sort(rng.choice(tests, min(number, len(tests)), replace=False))
    copies = [
        (edited(rows.texts[row], rng, edits) if edits else rows.texts[row].upper() + "!",
         rows.labels[row], "train")
        for row in chosen
    ]
    return _longer(rows, copies, chosen)


def with_variants(rows: Rows, number: int, rng: np.random.Generator) -> Rows:
    """So many learning rows with another spelling of their label, one or two rows a spelling."""
    learning = np.flatnonzero(np.array(rows.parts) != "test")
    labels = list(rows.labels)
    counts = {label: labels.count(label) for label in set(labels)}
    planted: list[int] = []
    while len(planted) < number:
        first = int(rng.choice(learning))
        spelling = misspelt(rows.labels[first], rng)
        if spelling in counts or first in planted:
            continue
        counts[spelling] = 1
        labels[first] = spelling
        planted.append(first)
    return Rows(rows.texts, tuple(labels), rows.parts, tuple(sorted(planted)))


def _mistyped(word: str, kind: str, rng: np.random.Generator) -> str:
    if len(word) < 3:
        return word + word[-1:]
    at = int(rng.integers(1, len(word) - 1))
    if kind == "swap" and word[at] != word[at - 1]:
        return word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
    if kind == "double":
        return word[:at] + word[at] + word[at:]
    return word[:at] + word[at + 1 :]


def _longer(rows: Rows, copies: Sequence[tuple[str, str, str]], partners: np.ndarray) -> Rows:
    """The rows and these copies behind them, without copies that came out as they were."""
    kept = [
        (copy, int(partner))
        for copy, partner in zip(copies, partners, strict=True)
        if copy[0] != rows.texts[partner]
    ]
    begin = len(rows.texts)
    return Rows(
        texts=rows.texts + tuple(copy[0] for copy, _ in kept),
        labels=rows.labels + tuple(copy[1] for copy, _ in kept),
        parts=rows.parts + tuple(copy[2] for copy, _ in kept),
        planted=tuple(range(begin, begin + len(kept))),
        partners=tuple(partner for _, partner in kept),
    )
