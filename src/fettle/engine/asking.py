"""Asking a network as it stands: nearest vectors without training, and how long an answer takes."""

import re
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from fettle.core.evaluation import Latency
from fettle.core.parts import Encoder, Network
from fettle.measures.label_judging import calls
from fettle.measures.similarity import unit
from fettle.measures.thresholds import fitted

__all__ = [
    "NEAREST", "as_words", "have_words", "latency", "nearest_labels", "nearest_mean",
    "nearest_rows", "zero_shot",
]

NEIGHBOURS = 10
REPEATS = {1: 100, 32: 12}
WARM = 3
FEWEST_FOR_P99 = 100
SECONDS = 6.0
"""At most this long for one batch size."""


def as_words(label: str) -> str:
    """A label as a person would say it: card_arrival and CardArrival become card arrival."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return re.sub(r"[\W_]+", " ", spaced).strip().lower()


def have_words(labels: Sequence[str]) -> bool:
    """Whether every label holds a word of three letters, so that its name means something."""
    return all(re.search(r"[^\W\d_]{3}", label) for label in labels)


def zero_shot(names: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The label whose name is nearest: int (rows,).

    Args:
        names: (classes, width), the vectors of the labels' names.
        vectors: (rows, width).
    """
    return (unit(vectors) @ unit(names).T).argmax(axis=1)


def nearest_mean(
    learned: np.ndarray, targets: np.ndarray, vectors: np.ndarray, classes: int
) -> np.ndarray:
    """The class whose mean vector is nearest, by cosine: int (rows,).

    Args:
        learned: (learning rows, width).
        targets: int (learning rows,), each in [0, classes).
        vectors: (rows, width).
        classes: how many there are; each has a learning row.

    Source: Snell et al., "Prototypical Networks", NeurIPS 2017, section 2.2, without training.
    """
    sums = np.zeros((classes, learned.shape[1]))
    np.add.at(sums, targets, unit(learned))
    return (unit(vectors) @ unit(sums).T).argmax(axis=1)


def nearest_rows(
    learned: np.ndarray, targets: np.ndarray, vectors: np.ndarray, outputs: int
) -> np.ndarray:
    """The mean number of the ten nearest rows, by cosine: float (rows,).

    Args:
        learned: (learning rows, width).
        targets: float (learning rows,).
        vectors: (rows, width).
        outputs: 1.
    """
    known, many = unit(learned), min(NEIGHBOURS, len(learned))
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), 1000):
        near = unit(vectors[start : start + 1000]) @ known.T
        at = np.argpartition(-near, many - 1, axis=1)[:, :many]
        found[start : start + 1000] = targets[at].mean(axis=1)
    return found


def nearest_labels(
    learned: np.ndarray, truth: np.ndarray, vectors: np.ndarray, labels: int
) -> np.ndarray:
    """The labels whose mean vectors are near enough, by cosine: calls (rows, labels, 2).

    How near is enough is found for each label on the rows that were learned from.

    Args:
        learned: (learning rows, width).
        truth: bool (learning rows, labels).
        vectors: (rows, width).
        labels: how many there are.
    """
    means = unit(truth.T.astype(np.float64) @ unit(learned))  # (labels, width)
    near, asked = ((1 + unit(rows) @ means.T) / 2 for rows in (learned, vectors))
    return calls(asked >= fitted(near, truth)[0], asked)


NEAREST: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray],
                        str]] = {
    "multinomial": ("nearest_mean", nearest_mean, (
        "the frozen model's vectors, nearest class mean: uses training labels")),
    "ridge": ("nearest_rows", nearest_rows, (
        "the frozen model's vectors, mean of the ten nearest rows: uses training labels")),
    "each": ("nearest_means", nearest_labels, (
        "the frozen model's vectors, near enough to a label's mean: uses training labels")),
}
"""What a frozen model answers by rows that it was shown, by how the task's head is solved: its
name; from (learned vectors, targets, vectors, outputs) to answers; and what it is."""


def latency(
    network: Network, encoder: Encoder, fields: Sequence[tuple[str, ...]], *, precision: str
) -> tuple[Latency, ...]:
    """Seconds from raw fields to outputs, at batch 1 and 32: median, 95th and 99th percentile.

    Different rows are asked each time; the first passes are not counted.
    """
    ready = network.in_precision(precision)
    found = []
    for batch, repeats in REPEATS.items():
        seconds: list[float] = []
        begun = time.perf_counter()
        for number in range(repeats + WARM):
            rows = [fields[(number * batch + at) % len(fields)] for at in range(batch)]
            start = time.perf_counter()
            with torch.inference_mode():
                ready(encoder.collate(encoder.encode(rows)))
            if number >= WARM:
                seconds.append(time.perf_counter() - start)
            if len(seconds) > 2 and time.perf_counter() - begun > SECONDS:
                break
        p50, p95, p99 = (float(at) for at in np.quantile(seconds, [0.5, 0.95, 0.99]))
        enough = len(seconds) >= FEWEST_FOR_P99
        found.append(Latency(batch, p50, p95, len(seconds), p99 if enough else None, max(seconds)))
    return tuple(found)
