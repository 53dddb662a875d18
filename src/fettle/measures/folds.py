"""Parts and folds: labels and groups in, a part number a row out.

Each label is spread over the parts by their shares, and the rows of one group never part. Labels
and groups are plain whole numbers; what they stand for is the caller's. Nothing here looks at
what a row says.
"""

from collections.abc import Sequence

import numpy as np

from fettle.core.errors import ShapeError
from fettle.measures.label_folds import iterative_parts

__all__ = ["joined", "merged", "newest", "stratified_folds", "stratified_parts"]


def stratified_parts(
    labels: np.ndarray,
    groups: np.ndarray,
    shares: Sequence[float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Which part each row stands in: int (rows,), where 0 is the part that learns.

    Over all rows a part comes as near to its share as the groups allow, and within a label
    too. A label with at least as many groups as there are parts stands in every part; a label
    with fewer stands in part 0 first. Every label has a row in part 0, always.

    Args:
        labels: int (rows,); or bool (rows, labels), where a row may have several: see
            label_folds.iterative_parts.
        groups: int (rows,); rows of one number stay together. A group of several labels counts
            as its commonest one.
        shares: of the rows, one a part; they add up to 1.
        rng: chooses which groups go where. The same rng and rows give the same parts, whatever
            numbers the groups have, as long as they have the same order.

    Raises:
        ShapeError: labels and groups differ in rows, or the shares do not add up to 1.
    """
    if labels.ndim == 2:
        return iterative_parts(labels, groups, shares, rng)
    _require_fit(labels, groups)
    if len(shares) < 1 or abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise ShapeError(f"The shares {tuple(shares)} must be 0 or more and add up to 1.")
    if len(labels) == 0:
        return np.zeros(0, dtype=np.int64)
    label, group, sizes, stratum = _strata(labels, groups)
    order = np.lexsort((rng.permutation(len(sizes)), stratum))  # (groups,) label by label
    ends = np.cumsum(np.bincount(stratum))  # (labels,) in groups
    part_of = np.zeros(len(sizes), dtype=np.int64)
    part_of[order] = _by_share(sizes[order], stratum[order], shares)
    _fill_empty_parts(part_of, order, ends, sizes, len(shares))
    _keep_every_label_in_part_0(part_of, label, group, sizes)
    return part_of[group]


def stratified_folds(
    labels: np.ndarray, groups: np.ndarray, folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Which of `folds` each row is held out in: int (rows,).

    A label with at least `folds` groups is held out, in part, in every fold. A label with only
    one group has no row left to learn from in the fold that holds it out.

    Args:
        labels: int (rows,).
        groups: int (rows,); rows of one number stay together.
        folds: how many, at least 2.
        rng: chooses which groups go where.

    Raises:
        ShapeError: labels and groups differ in rows, or folds is below 2.
    """
    _require_fit(labels, groups)
    if folds < 2:
        raise ShapeError(f"{folds} folds: at least 2 are needed to learn and to hold out.")
    if len(labels) == 0:
        return np.zeros(0, dtype=np.int64)
    _, group, sizes, stratum = _strata(labels, groups)
    # The largest groups of a label are dealt first, so that no fold gets two of them.
    order = np.lexsort((rng.permutation(len(sizes)), -sizes, stratum))
    fold_of = np.empty(len(sizes), dtype=np.int64)
    fold_of[order] = np.arange(len(sizes)) % folds
    return fold_of[group]


def merged(
    folds: Sequence[tuple[np.ndarray, np.ndarray]], number: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """At most so many folds, joined of neighbours: judged rows keep their order.

    One fold alone would learn from nothing, so there are two at least.

    Args:
        folds: (rows to learn from, rows to judge), which together judge each row once.
        number: of folds that are wanted.
    """
    groups = np.array_split(np.arange(len(folds)), max(min(number, len(folds)), 2))
    every = np.sort(np.concatenate([judge for _, judge in folds]))
    made = []
    for group in groups:
        judge = np.concatenate([folds[one][1] for one in group])
        made.append((np.setdiff1d(every, judge), judge))
    return made


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Groups of rows that hang together by either number, over any chain of rows.

    Args:
        first: int (rows,).
        second: int (rows,).

    Returns:
        int (rows,): the number of the first row of each row's group.

    Raises:
        ShapeError: the two differ in rows.
    """
    if len(first) != len(second):
        raise ShapeError(f"{len(first)} and {len(second)} groups: a row needs one of each.")
    numbered = [np.unique(numbers, return_inverse=True)[1] for numbers in (first, second)]
    group = np.arange(len(first))
    while True:
        before = group
        for of_row in numbered:
            lowest = np.full(len(group), len(group))
            np.minimum.at(lowest, of_row, group)
            group = lowest[of_row]
        if np.array_equal(before, group):
            return group


def newest(when: np.ndarray, share: float) -> np.ndarray:
    """Which rows are the newest: bool (rows,), as near to the share as equal times allow.

    Rows of one time stay together. None is newest where all have the same time.

    Args:
        when: float (rows,), finite.
        share: of the rows, above 0 and below 1.
    """
    times, rows = np.unique(when, return_counts=True)
    if len(times) < 2:
        return np.zeros(len(when), dtype=bool)
    newer = np.cumsum(rows[::-1])[::-1][1:]  # (times - 1,): rows from each time on
    first = times[1:][np.abs(newer - share * len(when)).argmin()]
    return np.asarray(when >= first)


def _require_fit(labels: np.ndarray, groups: np.ndarray) -> None:
    if len(labels) != len(groups):
        raise ShapeError(f"{len(labels)} labels and {len(groups)} groups: a row needs one of each.")


def _strata(
    labels: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels (rows,), groups (rows,), both from 0; then each group's rows and label (groups,)."""
    _, label = np.unique(labels, return_inverse=True)
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    labels_there = int(label.max()) + 1
    pair, times = np.unique(group * labels_there + label, return_counts=True)
    of_group, of_label = pair // labels_there, pair % labels_there
    rarity = np.bincount(label)[of_label]
    order = np.lexsort((rarity, -times, of_group))  # commonest first, then the rarer label
    _, first = np.unique(of_group[order], return_index=True)
    return label, group, sizes, of_label[order][first]


def _by_share(sizes: np.ndarray, stratum: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """A part for each group, label by label, in the order given.

    Each label owes every part but 0 a whole number of rows; what rounding takes from one label
    it gives to the next, so that the totals are right over all. A group goes where its middle
    row falls.
    """
    rows = np.bincount(stratum, weights=sizes)  # (labels,)
    upto = np.cumsum(rows)
    before = upto - rows
    owed = [np.round(upto * share) - np.round(before * share) for share in shares[1:]]
    middle = np.cumsum(sizes) - sizes / 2 - before[stratum]  # (groups,)
    parts = np.zeros(len(sizes), dtype=np.int64)
    start = np.zeros(len(rows))
    for part, quota in enumerate(owed, start=1):
        inside = (middle >= start[stratum]) & (middle < (start + quota)[stratum])
        parts[inside] = part
        start += quota
    return parts


def _fill_empty_parts(
    part_of: np.ndarray, order: np.ndarray, ends: np.ndarray, sizes: np.ndarray, parts: int
) -> None:
    """Give each label with enough groups one in every part, and every label one in part 0."""
    starts = np.concatenate([[0], ends[:-1]])
    stratum = np.repeat(np.arange(len(ends)), ends - starts)
    counts = np.zeros((len(ends), parts), dtype=np.int64)
    np.add.at(counts, (stratum, part_of[order]), 1)
    enough = counts.sum(1) >= parts
    short = np.flatnonzero(counts.any(1) & ((counts[:, 0] == 0) | (enough & (counts == 0).any(1))))
    for number in short:
        members = order[starts[number] : ends[number]]
        wanted = range(parts) if enough[number] else (0,)
        for part in wanted:
            if counts[number, part]:
                continue
            giver = int(counts[number].argmax())
            able = members[part_of[members] == giver]
            part_of[able[sizes[able].argmin()]] = part
            counts[number, giver] -= 1
            counts[number, part] += 1


def _keep_every_label_in_part_0(
    part_of: np.ndarray, label: np.ndarray, group: np.ndarray, sizes: np.ndarray
) -> None:
    """Move the smallest group of a label that has no row in part 0 there.

    Only a label that is nowhere the commonest of its group can need it.
    """
    learning = np.bincount(label, weights=part_of[group] == 0)
    for number in np.flatnonzero(learning == 0):
        able = np.unique(group[label == number])
        part_of[able[sizes[able].argmin()]] = 0
