"""Clusters: which rows hang together, by pairs or chains of pairs."""

import numpy as np

__all__ = ["clusters", "components"]


def components(rows: int, pairs: np.ndarray) -> np.ndarray:
    """The lowest row that each row hangs together with: int64 (rows,).

    Args:
        rows: how many there are.
        pairs: int (pairs, 2), row numbers.
    """
    label = np.arange(rows)
    while len(pairs):
        roots = label[pairs]  # (pairs, 2)
        apart = roots[:, 0] != roots[:, 1]
        if not apart.any():
            break
        pairs, roots = pairs[apart], np.sort(roots[apart], axis=1)
        np.minimum.at(label, roots[:, 1], roots[:, 0])
        while True:  # every row points at a root again
            higher = label[label]
            if (higher == label).all():
                break
            label = higher
    return label


def clusters(label: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """The groups of two rows or more, rows and groups in ascending order.

    Args:
        label: int (rows,), the lowest row of each row's group.
    """
    order = np.argsort(label, kind="stable")
    sizes = np.bincount(label, minlength=len(label))
    many = order[sizes[label[order]] > 1]
    ends = np.cumsum(sizes[sizes > 1])
    return tuple(tuple(part.tolist()) for part in np.split(many, ends[:-1]) if len(part))
