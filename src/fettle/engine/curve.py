"""The curve of learning: heads solved on parts of the frozen features, and what they got right."""

from collections.abc import Generator, Sequence

import numpy as np

from fettle.core.progress import Progress
from fettle.engine.linear import solve_path

__all__ = ["MOST_ROWS", "SUBSETS", "right_by_size", "sizes_of"]

MOST_ROWS = 8000
"""Larger sets are seen through so many of their rows; a curve's shape shows long before."""
SUBSETS = 3
SIZES = 5


def sizes_of(rows: int, classes: int) -> np.ndarray:
    """Up to five sizes, doubling up to all rows; none smaller than twice the classes, or 16."""
    whole = min(rows, MOST_ROWS)
    sizes = [whole // 2**step for step in range(SIZES)]
    return np.array([size for size in sizes if size >= max(2 * classes, 16)][::-1], dtype=np.int64)


def right_by_size(
    learned: np.ndarray,
    targets: np.ndarray,
    tested: np.ndarray,
    truth: np.ndarray,
    *,
    classes: int,
    l2: Sequence[float],
    sizes: np.ndarray,
    rng: np.random.Generator,
) -> Generator[Progress, None, np.ndarray]:
    """Whether heads on so many rows were right: bool (sizes, subsets, test rows).

    Each size has three subsets, with classes by their shares; the penalty of each is the one that
    does best on the learned rows outside it. All rows together have one head, which takes the
    penalty that was best at the size below.

    Args:
        learned: float (learned rows, width), as the head takes them.
        targets: int (learned rows,).
        tested: float (test rows, width).
        truth: int (test rows,).
        classes: how many outputs.
        l2: penalties to choose from.
        sizes: rising; the last may be all learned rows.
        rng: draws the subsets.
    """
    right = np.zeros((len(sizes), SUBSETS, len(truth)), dtype=bool)
    orders = [_by_share(targets, rng) for _ in range(SUBSETS)]
    best = float(np.median(l2))
    total = len(sizes) * SUBSETS
    for at, size in enumerate(sizes):
        chosen = []
        for subset, order in enumerate(orders):
            yield Progress("would more data help", at * SUBSETS + subset, total, "heads")
            if size == len(targets) and subset:
                right[at, subset] = right[at, 0]
                continue
            inside, outside = order[:size], order[size:]
            heads = list(solve_path(learned[inside], targets[inside], classes=classes,
                                    l2=l2 if len(outside) else (best,)))
            hits = [(head.outputs(learned[outside]).argmax(axis=1) == targets[outside]).mean()
                    if len(outside) else 0.0 for head in heads]
            head = heads[int(np.argmax(hits))]
            chosen.append(head.l2)
            right[at, subset] = head.outputs(tested).argmax(axis=1) == truth
        best = float(np.median(chosen))
    yield Progress("would more data help", total, total, "heads")
    return right


def _by_share(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An order of the rows in which every beginning has the classes by their shares."""
    order = rng.permutation(len(targets))
    shuffled = targets[order]
    place = np.empty(len(targets))
    for label in np.unique(shuffled):
        rows = np.flatnonzero(shuffled == label)
        place[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return np.asarray(order[np.argsort(place, kind="stable")])
