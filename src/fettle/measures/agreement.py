"""Agreement: what two people said of the same rows in, how far they agree beyond chance out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fettle.core.errors import ShapeError

__all__ = ["Agreement", "cohen_kappa"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two people on the same rows."""

    rows: int
    agreed: float
    """Share of rows on which they said the same."""
    kappa: float
    """Cohen's: 1.0 for full agreement, 0.0 for what chance gives; not a number where both said
    the same one label everywhere."""
    low: float
    high: float
    """95% interval of kappa."""


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """How far two people agree, beyond what chance gives.

    Raises:
        ShapeError: they labelled different numbers of rows, or none.

    Source: Cohen, "A Coefficient of Agreement for Nominal Scales", 1960; its standard error:
    Fleiss, Cohen and Everitt, Psychological Bulletin 72, 1969, equation 13.
    """
    if len(first) != len(second) or not len(first):
        raise ShapeError(f"{len(first)} and {len(second)} labels: not of the same rows, or none.")
    names, numbered = np.unique(np.array([*first, *second], dtype=str), return_inverse=True)
    one, two = np.split(numbered, 2)
    table = np.zeros((len(names), len(names)))
    np.add.at(table, (one, two), 1.0)
    table /= len(first)
    agreed = float(np.trace(table))
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    chance = float(rows @ columns)
    if len(names) == 1:
        return Agreement(len(first), agreed, float("nan"), float("nan"), float("nan"))
    kappa = (agreed - chance) / (1 - chance)
    diagonal = np.diag(table) @ ((1 - chance) - (rows + columns) * (1 - agreed)) ** 2
    others = (1 - agreed) ** 2 * (
        (table * (columns[:, None] + rows[None, :]) ** 2).sum()
        - np.diag(table) @ (rows + columns) ** 2
    )
    variance = (diagonal + others - (agreed * chance - 2 * chance + agreed) ** 2) / (
        len(first) * (1 - chance) ** 4
    )
    half = 1.959964 * float(np.sqrt(max(variance, 0.0)))
    return Agreement(len(first), agreed, kappa, max(kappa - half, -1.0), min(kappa + half, 1.0))
