"""Closeness: which vectors point the same way, and how far each lies from its neighbours.

Everything is a product of blocks of rows, so that memory stays bounded whatever the rows are.
"""

from collections.abc import Iterator

import numpy as np

__all__ = ["centred", "close_pairs", "distance_to_nearest"]

_BLOCK = 256
_MOST_HITS = 1_000_000
"""A block with more is full of rows that are all alike: each is then tied to one other."""


def centred(vectors: np.ndarray) -> np.ndarray:
    """Directions from the mean vector, float32 of length 1; 0 for a row that is the mean.

    Encoders differ in how much all their vectors point one way; seen from the mean, an unrelated
    pair is near 0 in every one of them.

    Args:
        vectors: float (rows, width).
    """
    moved = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    floor = 1e-6 * max(float(np.abs(vectors).max(initial=0.0)), 1e-30)
    return np.where(lengths > floor, moved / np.maximum(lengths, floor), 0.0).astype(np.float32)


def close_pairs(directions: np.ndarray, at_least: float = 0.98) -> np.ndarray:
    """Pairs of rows whose cosine is at least this: int64 (pairs, 2), first < second.

    Every pair is looked at. Where over a million of one block are close, each of its rows is
    paired with the first row that it is close to, which still connects them.

    Args:
        directions: float32 (rows, width), rows of length 1, such as `centred` gives.
        at_least: the cosine, from -1 to 1.
    """
    found = [np.zeros((0, 2), dtype=np.int64)]
    for begin, cosines in _blocks(directions):
        close = cosines >= at_least
        close &= np.arange(close.shape[1]) < np.arange(begin, begin + len(close))[:, None]
        if np.count_nonzero(close) > _MOST_HITS:
            first = close.argmax(axis=1)
            rows = np.flatnonzero(close[np.arange(len(close)), first])
            others = first[rows]
        else:
            rows, others = np.nonzero(close)
        found.append(np.stack([others, rows + begin], axis=1))
    return np.concatenate(found)


def distance_to_nearest(
    vectors: np.ndarray, references: np.ndarray, *, neighbours: int = 10
) -> np.ndarray:
    """The mean Euclidean distance to the nearest reference rows: float64 (rows,).

    Args:
        vectors: float32 (rows, width).
        references: int (some,), numbers of the rows to measure from; no row counts itself.
        neighbours: how many of the nearest; fewer where there are fewer.
    """
    points = vectors[references]
    squares = (points**2).sum(axis=1)
    own = np.full(len(vectors), -1)
    own[references] = np.arange(len(references))
    wanted = min(neighbours, len(references) - 1)
    mean = np.zeros(len(vectors))
    if wanted < 1:
        return mean
    for begin in range(0, len(vectors), _BLOCK):
        rows = vectors[begin : begin + _BLOCK]
        apart = (rows**2).sum(axis=1)[:, None] + squares - 2 * rows @ points.T
        mine = own[begin : begin + _BLOCK]
        inside = np.flatnonzero(mine >= 0)
        apart[inside, mine[inside]] = np.inf
        nearest = np.partition(apart, wanted - 1, axis=1)[:, :wanted]
        mean[begin : begin + _BLOCK] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)
    return mean


def _blocks(directions: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first row, cosines of a block of rows with all rows up to its last)."""
    for begin in range(0, len(directions), _BLOCK):
        end = min(begin + _BLOCK, len(directions))
        yield begin, directions[begin:end] @ directions[:end].T
