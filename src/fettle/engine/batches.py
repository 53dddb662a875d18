"""Batches: which rows go through the network together, as a pure function of seed and epoch.

Rows of like length share a batch, so that little is padded; the order of batches is random.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["bucketed", "by_length"]

NEIGHBOURS = 50
"""Batches sorted together; fewer is noisier, more is tighter (transformers uses 50 too)."""


def by_length(sizes: Sequence[int], *, budget: int, most: int = 512) -> list[np.ndarray]:
    """Row numbers in batches of at most `budget` tokens after padding, shortest first.

    Args:
        sizes: tokens of each row.
        budget: tokens of a batch, padding included.
        most: rows of a batch, however short they are.
    """
    order = np.argsort(np.asarray(sizes), kind="stable")
    batches: list[np.ndarray] = []
    start = 0
    while start < len(order):
        stop = start + 1
        while (
            stop < len(order)
            and stop - start < most
            and (stop - start + 1) * sizes[order[stop]] <= budget
        ):
            stop += 1
        batches.append(order[start:stop])
        start = stop
    return batches


def bucketed(
    sizes: Sequence[int], *, batch_rows: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Every row once, in batches of `batch_rows` of like length, in random order.

    Rows are shuffled, cut into groups of NEIGHBOURS batches, sorted by length inside a group, and
    the batches are shuffled. The last batch may be smaller.
    """
    lengths = np.asarray(sizes)
    order = rng.permutation(len(lengths))
    group = batch_rows * NEIGHBOURS
    batches: list[np.ndarray] = []
    for start in range(0, len(order), group):
        rows = order[start : start + group]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[at : at + batch_rows] for at in range(0, len(rows), batch_rows)]
    return [batches[number] for number in rng.permutation(len(batches))]
