"""Several: views of rows, each made when it is asked for, as if they were rows of their own."""

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from fettle.core.parts import Encoder, Item

__all__ = ["Several", "sizes_of"]

KEPT = 13
"""First of the numbers that random numbers of kept views follow from."""


class Several(Sequence[Item]):
    """All rows of one view before those of the next.

    Args:
        items: the rows.
        encoder: whose views they are; a view costs what its row costs.
        times: views of each row.
        seed: of the views.
    """

    def __init__(self, items: Sequence[Item], encoder: Encoder, *, times: int, seed: int) -> None:
        self.items, self.encoder, self.times, self.seed = items, encoder, times, seed

    def __len__(self) -> int:
        return len(self.items) * self.times

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | list[Item]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        view, row = divmod(int(at), len(self.items))
        rng = np.random.default_rng((KEPT, self.seed, view, row))
        return self.encoder.views(self.items[row], rng)

    def __iter__(self) -> Iterator[Item]:
        return (self[at] for at in range(len(self)))


def sizes_of(encoder: Encoder, items: Sequence[Item]) -> list[int]:
    """What each item costs, (rows,); of views, without making one."""
    if isinstance(items, Several):
        return sizes_of(encoder, items.items) * items.times
    return [encoder.size(item) for item in items]
