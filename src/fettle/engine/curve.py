"""The curve of learning: heads solved on parts of the frozen features, and how well they do."""

from collections.abc import Generator, Sequence

import numpy as np

from fettle.core.progress import Progress
from fettle.core.task import Judge, Task
from fettle.engine.linear import path_for

__all__ = ["MOST_ROWS", "SUBSETS", "sizes_of", "values_by_size"]

MOST_ROWS = 8000
"""Larger sets are seen through so many of their rows; a curve's shape shows long before."""
SUBSETS = 3
SIZES = 5


def sizes_of(rows: int, outputs: int) -> np.ndarray:
    """Up to five sizes, doubling up to all rows; none smaller than twice the outputs, or 16."""
    whole = min(rows, MOST_ROWS)
    sizes = [whole // 2**step for step in range(SIZES)]
    return np.array([size for size in sizes if size >= max(2 * outputs, 16)][::-1], dtype=np.int64)


def values_by_size(
    task: Task,
    learned: np.ndarray,
    targets: np.ndarray,
    tested: np.ndarray,
    truth: np.ndarray,
    *,
    l2: Sequence[float],
    sizes: np.ndarray,
    rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> Generator[Progress, None, np.ndarray]:
    """How well heads on so many rows did, row by row: (sizes, subsets, test rows), by `by_row`.

    Each size has three subsets, with an even share of each stratum; the penalty of each is the one
    that does best on the learned rows outside it. All rows together have one head, which takes the
    penalty that was best at the size below. Rows that hang together are taken together, so that
    more rows mean more groups, and none outside is known from inside (but for one that is cut).

    Args:
        task: says how a head is solved, and what an answer is worth.
        learned: float (learned rows, width), as the head takes them.
        targets: of the task, (learned rows, ...).
        tested: float (test rows, width).
        truth: as its judge has it, (test rows, ...).
        l2: penalties to choose from.
        sizes: rising; the last may be all learned rows.
        rng: draws the subsets.
        groups: int (learned rows,), numbered from 0, where they hang together.
    """
    judge = task.judge
    values = np.zeros((len(sizes), SUBSETS, len(truth)))
    orders = [_whole(_by_share(task.strata(targets), rng), groups) for _ in range(SUBSETS)]
    best = float(np.median(l2))
    total = len(sizes) * SUBSETS
    for at, size in enumerate(sizes):
        chosen = []
        for subset, order in enumerate(orders):
            yield Progress("would more data help", at * SUBSETS + subset, total, "heads")
            if size == len(targets) and subset:
                values[at, subset] = values[at, 0]
                continue
            inside, outside = order[:size], order[size:]
            heads = list(path_for(task, learned[inside], targets[inside],
                                  l2=l2 if len(outside) else (best,)))
            losses = [
                _loss(judge, head.outputs(learned[outside]), targets[outside])
                if len(outside) else 0.0 for head in heads
            ]
            head = heads[int(np.argmin(losses))]
            chosen.append(head.l2)
            values[at, subset] = judge.values(judge.said(head.outputs(tested)), truth)
        best = float(np.median(chosen))
    yield Progress("would more data help", total, total, "heads")
    return values


def _loss(judge: Judge, outputs: np.ndarray, targets: np.ndarray) -> float:
    """The mean value of these rows, its sign turned where more is better."""
    mean = float(judge.values(judge.said(outputs), targets).mean())
    return mean if judge.by_row.less_is_better else -mean


def _by_share(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An order of the rows in which every beginning has the strata by their shares."""
    order = rng.permutation(len(targets))
    shuffled = targets[order]
    place = np.empty(len(targets))
    for label in np.unique(shuffled):
        rows = np.flatnonzero(shuffled == label)
        place[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return np.asarray(order[np.argsort(place, kind="stable")])


def _whole(order: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """The order with the rows of each group side by side, where its first one stood."""
    if groups is None:
        return order
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    first = np.full(int(groups.max()) + 1, len(order))
    np.minimum.at(first, groups, place)
    return np.lexsort((place, first[groups]))
