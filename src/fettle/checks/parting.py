"""Parting: rows in, parts of them that may be judged apart out; by column, length, and cluster.

Borders come from the rows that were learned from; no answer of a test row is looked at.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fettle.core.dataset import Dataset
from fettle.core.pictures import Look
from fettle.measures.similarity import unit

__all__ = ["Part", "by_cluster", "by_column", "by_length", "by_look", "by_nature"]

Part = tuple[str, str, np.ndarray]
"""What the rows are parted by, what these share, and which they are: bool (rows,)."""
MOST_VALUES = 20
CLUSTERS = 8
_ROWS_TO_CLUSTER = 5000


def by_column(
    dataset: Dataset, learned: Sequence[int], rows: Sequence[int], *, told: Sequence[str] = ()
) -> list[Part]:
    """A part for each value of the told columns and of unused ones with 2 to 20 values.

    A told column of more values is parted at the quartiles where they are numbers, and is else
    left to its 20 commonest.

    Args:
        dataset: whose columns.
        learned: row numbers that decide what values there are.
        rows: row numbers to part.
        told: columns that the user names.
    """
    parts: list[Part] = []
    schema = dataset.schema
    for name in dict.fromkeys((*told, *schema.unused)):
        values = Counter((cell or "").strip() for cell in dataset.column(name, learned))
        cells = [(cell or "").strip() for cell in dataset.column(name, rows)]
        values.pop("", None)
        if name in told and len(values) > MOST_VALUES and _all_numbers(values):
            edges = np.quantile([float(value) for value in values.elements()], (0.25, 0.5, 0.75))
            numbers = np.array([float(cell) if _is_number(cell) else np.nan for cell in cells])
            parts += _quarters(name, numbers, edges)
        elif 2 <= len(values) <= MOST_VALUES or name in told:
            parts += [
                (name, value, np.array([cell == value for cell in cells]))
                for value, _ in values.most_common(MOST_VALUES)
            ]
    return parts


def by_nature(
    dataset: Dataset, learned: Sequence[tuple[str, ...]], rows: Sequence[tuple[str, ...]]
) -> list[Part]:
    """Parts by what rows are in themselves: texts by length, pictures by brightness and size."""
    if dataset.schema.modality == "image":
        return by_look(*([dataset.looks[row[0]] for row in side] for side in (learned, rows)))
    return by_length(*([" ".join(row) for row in side] for side in (learned, rows)))


def by_look(learned: Sequence[Look], looks: Sequence[Look]) -> list[Part]:
    """Four parts each by brightness, sharpness and shorter side, at the learned quartiles."""
    parts: list[Part] = []
    known, given = ({
        "brightness": np.array([one.brightness for one in side]),
        "sharpness": np.array([one.sharpness for one in side]),
        "shorter side": np.array([float(min(one.width, one.height)) for one in side]),
    } for side in (learned, looks))
    for name, values in known.items():
        if len(np.unique(values)) > 1:
            parts += _quarters(name, given[name], np.quantile(values, (0.25, 0.5, 0.75)))
    return parts


def by_length(learned: Sequence[str], texts: Sequence[str]) -> list[Part]:
    """Four parts by the number of words, parted at the quartiles of the learned texts."""
    edges = np.quantile([len(text.split()) for text in learned], (0.25, 0.5, 0.75))
    lengths = np.array([len(text.split()) for text in texts], dtype=float)
    return _quarters("length", lengths, edges, unit=" words")


def by_cluster(
    learned: np.ndarray, labels: Sequence[str], vectors: np.ndarray, *, seed: int
) -> list[Part]:
    """Eight parts of like rows, by k-means of frozen features; fewer where rows are few.

    A cluster is named after the commonest labels of its learned rows.

    Args:
        learned: float (learned rows, width).
        labels: one a learned row.
        vectors: float (rows, width).
        seed: of the starting points.
    """
    from sklearn.cluster import KMeans

    clusters = min(CLUSTERS, len(learned) // 50)
    if clusters < 2 or not len(vectors):
        return []
    every = np.linspace(0, len(learned) - 1, min(len(learned), _ROWS_TO_CLUSTER)).astype(int)
    means = KMeans(clusters, n_init=3, random_state=seed).fit(unit(learned[every]))
    of_learned, of_row = means.labels_, means.predict(unit(vectors))
    parts: list[Part] = []
    for number in range(clusters):
        there = Counter(labels[row] for row in every[of_learned == number])
        total = sum(there.values())
        named = ", ".join(
            f"{label} {times / total:.0%}" for label, times in there.most_common(2)
        )
        parts.append(("cluster", f"{number + 1}: {named}", of_row == number))
    return parts


def _quarters(by: str, numbers: np.ndarray, edges: np.ndarray, *, unit: str = "") -> list[Part]:
    """Up to and including the first edge, and so on; equal edges leave a quarter empty."""
    low, middle, high = (f"{edge:g}" for edge in edges)
    spans = (f"up to {low}", f"over {low} to {middle}", f"over {middle} to {high}", f"over {high}")
    found = np.searchsorted(edges, numbers, side="left")
    found[np.isnan(numbers)] = -1
    return [(by, span + unit, found == at) for at, span in enumerate(spans) if (found == at).any()]


def _all_numbers(values: Counter[str]) -> bool:
    return all(_is_number(value) for value in values)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
