"""Several labels in one cell: a compact JSON list of them, sorted, each once.

A row that has none holds "[]", which is an answer; a missing cell is none.
"""

import json
from collections.abc import Iterable, Sequence

import numpy as np

from fettle.core.errors import InputError

__all__ = ["indicators", "is_packed", "names_in", "packed", "unpacked", "with_unseen"]


def packed(labels: Iterable[str]) -> str:
    """These labels as one cell: equal sets of labels are equal cells."""
    return json.dumps(sorted(set(labels)), ensure_ascii=False, separators=(",", ":"))


def unpacked(cell: str | None) -> tuple[str, ...]:
    """The labels of one cell, sorted; none where the cell is missing or blank.

    Raises:
        InputError: the cell is no JSON list of texts.
    """
    if cell is None or not cell.strip():
        return ()
    try:
        labels = json.loads(cell)
    except (json.JSONDecodeError, RecursionError):
        labels = None
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
        raise InputError(
            f"The answer {cell[:60]!r} is no list of labels. Several labels a row stand in a JSON "
            'list, such as ["billing","late"].'
        )
    return tuple(labels)


def is_packed(cell: str) -> bool:
    """Whether a cell is what `packed` makes."""
    try:
        return packed(unpacked(cell)) == cell
    except InputError:
        return False


def names_in(cells: Iterable[str | None], *, several: bool) -> set[str]:
    """Every label in these cells; of one label a row, the cells themselves.

    Raises:
        InputError: of several labels, a cell is no JSON list of texts.
    """
    if several:
        return {label for cell in cells for label in unpacked(cell)}
    return {cell for cell in cells if cell is not None}


def with_unseen(cells: Sequence[str | None], classes: Sequence[str]) -> np.ndarray:
    """Which labels each row has: bool (rows, classes), and one column more, shared by all labels
    that are no class, where some row has one.

    Raises:
        InputError: a cell is no JSON list of texts.
    """
    known, found = set(classes), indicators(cells, classes)
    unseen = np.array([bool(set(unpacked(cell)) - known) for cell in cells], dtype=bool)
    return np.column_stack([found, unseen]) if unseen.any() else found


def indicators(cells: Sequence[str | None], classes: Sequence[str]) -> np.ndarray:
    """Which labels each row has: bool (rows, classes); labels that are no class are passed over.

    Raises:
        InputError: a cell is no JSON list of texts.
    """
    number = {label: at for at, label in enumerate(classes)}
    found = np.zeros((len(cells), len(classes)), dtype=bool)
    for row, cell in enumerate(cells):
        at = [number[label] for label in unpacked(cell) if label in number]
        found[row, at] = True
    return found
