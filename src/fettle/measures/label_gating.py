"""Two versions that give a row several labels, on the same rows: what changed, and for which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fettle.core.labels import indicators, names_in
from fettle.measures.gating import LEVEL
from fettle.measures.groups import together
from fettle.measures.label_intervals import paired_difference
from fettle.measures.label_sets import SCORES

__all__ = ["Sets", "change_of", "parts_of", "sets_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """Which labels rows have, and which each of two versions called."""

    names: tuple[str, ...]
    truth: np.ndarray
    """bool (rows, labels)."""
    first: np.ndarray
    second: np.ndarray


def sets_of(truth: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Sets:
    """The sets in cells of core.labels, of the rows and of what each version says.

    Raises:
        InputError: a cell is no JSON list of texts.
    """
    names = tuple(sorted(names_in((*truth, *first, *second), several=True)))
    return Sets(names, *(indicators(cells, names) for cells in (truth, first, second)))


def change_of(
    sets: Sets, metric: str, *, rng: np.random.Generator, groups: np.ndarray | None = None
) -> tuple[float, float, float]:
    """The second minus the first by this metric, with one-sided bounds of 95%.

    Args:
        sets: of both.
        metric: micro_f1 or macro_f1.
        rng: draws the resamples.
        groups: int (rows,), where rows hang together: they are drawn whole.
    """
    change, low, high, _ = paired_difference(
        SCORES[metric], sets.truth, sets.first, sets.second, rng=rng, level=LEVEL,
        groups=None if groups is None else together(groups),
    )
    return change, low, high


def parts_of(sets: Sets) -> list[tuple[str, np.ndarray]]:
    """The rows that have each label, bool (rows,), and those that have none, by name."""
    parts = [(f"label {name}", sets.truth[:, at]) for at, name in enumerate(sets.names)]
    bare = np.logical_not(sets.truth.any(axis=1))
    return [*parts, ("rows without a label", np.asarray(bare))]
