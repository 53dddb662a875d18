"""Order: whether labels depend on where they stand, and what an ordered value says of them."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Runs", "explained", "explained_by_chance", "runs", "slices"]


@dataclass(frozen=True, slots=True)
class Runs:
    """How often the label stays the same from one row to the next."""

    found: int
    """Runs of equal labels, one after the other."""
    expected: float
    """Of the same labels in random order, on average."""
    z: float
    """Found minus expected, in standard deviations; far below 0 where labels come in blocks."""


def runs(labels: np.ndarray) -> Runs:
    """Whether labels come in blocks.

    Args:
        labels: int (rows,), in the order of the rows.

    Returns:
        z is 0.0 where only one order is possible.

    Source: Mood, "The Distribution Theory of Runs", Annals of Mathematical Statistics 11, 1940;
    mean and variance for several kinds: Wallis and Roberts, "Statistics: A New Approach", 1956.
    """
    rows = len(labels)
    if rows < 2:
        return Runs(rows, float(rows), 0.0)
    found = 1 + int(np.count_nonzero(labels[1:] != labels[:-1]))
    counts = np.unique(labels, return_counts=True)[1].astype(float)
    squares, cubes = (counts**2).sum(), (counts**3).sum()
    expected = rows + 1 - squares / rows
    variance = (
        squares * (squares + rows * (rows + 1)) - 2 * rows * cubes - rows**3
    ) / (rows**2 * (rows - 1))
    z = (found - expected) / variance**0.5 if variance > 1e-9 else 0.0
    return Runs(found, float(expected), float(z))


def slices(values: np.ndarray, number: int) -> np.ndarray:
    """The rows in slices of about equal size from the lowest value up: int (rows,).

    Rows of equal value are in one slice.

    Args:
        values: float (rows,).
        number: of slices, at most.
    """
    _, rank, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2  # (different values,)
    return (middle[rank] * number / len(values)).astype(int)


def explained(codes: np.ndarray, labels: np.ndarray) -> float:
    """The share of the labels' entropy that the codes take away, from 0 to 1.

    Args:
        codes: int (rows,), from 0.
        labels: int (rows,), from 0.

    Returns:
        0.0 where there is only one label.

    Source: the uncertainty coefficient, Theil, "On the Estimation of Relationships Involving
    Qualitative Variables", American Journal of Sociology 76, 1970.
    """
    width = int(labels.max()) + 1
    table = np.bincount(codes * width + labels, minlength=(int(codes.max()) + 1) * width)
    joint, single, whole = (
        _entropy(counts) for counts in (
            table, table.reshape(-1, width).sum(axis=1), table.reshape(-1, width).sum(axis=0)
        )
    )
    return (single + whole - joint) / whole if whole > 0 else 0.0


def explained_by_chance(
    codes: np.ndarray, labels: np.ndarray, *, rng: np.random.Generator, shuffles: int = 99
) -> np.ndarray:
    """What the codes explain of shuffled labels: float (shuffles,).

    A found share above all of them has a p of 1 / (shuffles + 1), exactly.

    Args:
        codes: int (rows,), from 0.
        labels: int (rows,), from 0.
        rng: shuffles.
        shuffles: how many.
    """
    return np.array([explained(codes, rng.permutation(labels)) for _ in range(shuffles)])


def _entropy(counts: np.ndarray) -> float:
    """In nats, of counts of any shape."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
