"""Parts and folds where a row has several labels: labels and groups in, a part a row out.

Each label is spread over the parts by their shares, the rarest first, and the rows of one group
never part. Nothing here looks at what a row says.
"""

from collections.abc import Sequence

import numpy as np

from fettle.core.errors import ShapeError

__all__ = ["iterative_parts"]


def iterative_parts(
    truth: np.ndarray, groups: np.ndarray, shares: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Which part each row stands in: int (rows,), where 0 is the part that learns.

    Again and again the label with the fewest rows left is taken, and each of its groups goes to
    the part that still wants the most of it, of equals to the one with the most room. Rows without
    a label come last. A label with at least as many groups as there are parts stands in every
    part, unless another label would lose its last group there; every label stands in part 0.

    Args:
        truth: bool (rows, labels): which labels each row has.
        groups: int (rows,); rows of one number stay together.
        shares: of the rows, one a part; they add up to 1.
        rng: chooses which groups go where. The same rng and rows give the same parts, whatever
            numbers the groups have, as long as they have the same order.

    Raises:
        ShapeError: truth and groups differ in rows, or the shares do not add up to 1.

    Source: Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML
    PKDD 2011, algorithm 1; groups, and what is done for rare labels afterwards, are ours.
    """
    if truth.ndim != 2 or len(truth) != len(groups):
        raise ShapeError(
            f"Truth has shape {truth.shape} and there are {len(groups)} groups: a row needs one "
            "line of labels and one group."
        )
    if len(shares) < 1 or abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise ShapeError(f"The shares {tuple(shares)} must be 0 or more and add up to 1.")
    if not len(truth):
        return np.zeros(0, dtype=np.int64)
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    counts = np.zeros((len(sizes), truth.shape[1]), dtype=np.int64)
    np.add.at(counts, group, truth)
    part_of = _dealt(counts, sizes, np.asarray(shares, dtype=float), rng)
    there = counts > 0
    enough = there.sum(axis=0) >= len(shares)
    for label in np.argsort(there.sum(axis=0), kind="stable"):
        for part in range(len(shares)) if enough[label] else (0,):
            _give(part_of, there, sizes, int(label), part)
    return part_of[group]


def _dealt(
    counts: np.ndarray, sizes: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A part for each group, (groups,), from its rows of each label (groups, labels)."""
    wanted = np.outer(shares, counts.sum(axis=0))  # (parts, labels), in rows
    room = shares * sizes.sum()  # (parts,)
    left = counts.sum(axis=0)
    drawn = rng.permutation(len(sizes))
    part_of = np.full(len(sizes), -1, dtype=np.int64)

    def deal(members: np.ndarray, wish: np.ndarray) -> None:
        """The largest groups first; `wish` is a view that shrinks as they are given."""
        for one in members[np.lexsort((drawn[members], -sizes[members]))]:
            most = np.flatnonzero(wish >= wish.max() - 1e-9)
            roomy = most[room[most] >= room[most].max() - 1e-9]
            part = int(roomy[rng.integers(len(roomy))]) if len(roomy) > 1 else int(roomy[0])
            part_of[one] = part
            wanted[part] -= counts[one]
            room[part] -= sizes[one]

    while left.any():
        label = int(np.where(left > 0, left, np.iinfo(left.dtype).max).argmin())
        members = np.flatnonzero((part_of < 0) & (counts[:, label] > 0))
        left = left - counts[members].sum(axis=0)
        deal(members, wanted[:, label])
    deal(np.flatnonzero(part_of < 0), room)
    return part_of


def _give(
    part_of: np.ndarray, there: np.ndarray, sizes: np.ndarray, label: int, part: int
) -> None:
    """Where a part has no group of the label, give it the smallest that can be spared.

    One that the giver needs for another label is not spared; for part 0, one always is.
    """
    has = np.flatnonzero(there[:, label])
    if not len(has) or (part_of[has] == part).any():
        return
    giver = int(np.bincount(part_of[has]).argmax())
    able = has[part_of[has] == giver]
    held = there[part_of == giver].sum(axis=0)  # (labels,) groups of each label with the giver
    spare = able[(~there[able] | (held > 1)).all(axis=1)]
    if not len(spare) and part == 0:
        spare = able
    if len(spare):
        part_of[spare[sizes[spare].argmin()]] = part
