"""Batches: which rows go through the network together, as a pure function of seed and epoch.

Rows of like length share a batch, so that little is padded; the order of batches is random. A
batch holds about the same number of tokens, so that every step costs about the same.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["bucketed", "by_length", "micro_batches", "shuffled"]

NEIGHBOURS = 50
"""Batches sorted together; fewer is noisier, more is tighter (transformers uses 50 too)."""
MOST_TIMES = 4
"""A batch of short rows holds at most this many times the usual number of rows."""


def by_length(sizes: Sequence[int], *, budget: int, most: int = 512) -> list[np.ndarray]:
    """Row numbers in batches of at most `budget` tokens after padding, shortest first.

    Args:
        sizes: tokens of each row.
        budget: tokens of a batch, padding included.
        most: rows of a batch, however short they are.
    """
    order = np.argsort(np.asarray(sizes), kind="stable")
    return _cut(order, np.asarray(sizes), budget=budget, most=most)


def bucketed(
    sizes: Sequence[int], *, batch_rows: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Every row once, in batches of like length and like cost, in random order.

    Rows are shuffled, cut into groups of NEIGHBOURS batches, sorted by length inside a group and
    cut where the padded tokens of `batch_rows` rows of mean length are reached; the batches are
    shuffled. A batch has `batch_rows` rows on average: fewer long ones, more short ones.

    Args:
        sizes: tokens of each row.
        batch_rows: on average.
        seed, epoch: of the order; nothing else decides it.
    """
    rng = np.random.default_rng((seed, epoch))
    lengths = np.asarray(sizes)
    order = rng.permutation(len(lengths))
    group = batch_rows * NEIGHBOURS
    budget = max(int(np.ceil(batch_rows * lengths.mean())), int(lengths.max()))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), group):
        rows = order[start : start + group]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += _cut(rows, lengths, budget=budget, most=MOST_TIMES * batch_rows)
    return [batches[number] for number in rng.permutation(len(batches))]


def shuffled(rows: int, *, batch_rows: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Every row once, in batches of at most `batch_rows` rows, whatever their lengths.

    For rows that are compared with each other: in `bucketed` short ones would never meet long ones.

    Args:
        rows: how many there are.
        batch_rows: at most, in one batch; all batches have the same number, give or take one.
        seed, epoch: of the order; nothing else decides it.
    """
    order = np.random.default_rng((seed, epoch)).permutation(rows)
    return np.array_split(order, max(-(-rows // batch_rows), 1))


def micro_batches(
    rows: np.ndarray, sizes: Sequence[int], *, budget: int, least: int = 1
) -> list[np.ndarray]:
    """The rows of one batch in the parts that run at once, of like length.

    Args:
        rows: of the batch.
        sizes: tokens of every row.
        budget: tokens of a part, padding included.
        least: into at least so many parts, as far as there are rows.
    """
    if not len(rows):
        return []
    lengths = np.asarray([sizes[row] for row in rows])
    parts = max(-(-len(rows) * int(lengths.max()) // budget), least)
    order = rows[np.argsort(lengths, kind="stable")]
    return [part for part in np.array_split(order, min(parts, len(rows))) if len(part)]


def _cut(
    order: np.ndarray, lengths: np.ndarray, *, budget: int, most: int
) -> list[np.ndarray]:
    """Rows that are sorted by length, cut so that no part has more tokens after padding."""
    batches: list[np.ndarray] = []
    start = 0
    sorted_lengths = lengths[order].tolist()
    while start < len(order):
        stop = start + 1
        while (
            stop < len(order)
            and stop - start < most
            and (stop - start + 1) * sorted_lengths[stop] <= budget
        ):
            stop += 1
        batches.append(order[start:stop])
        start = stop
    return batches
