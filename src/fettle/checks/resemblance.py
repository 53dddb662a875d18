"""Resemblance: which rows say the same, which nearly, worked out once for every check.

Nearly the same are texts that share four fifths of their pieces, and rows whose features point
almost the same way. A family is a group too large to be a slip: texts made from one pattern.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fettle.measures.closeness import centred, close_pairs
from fettle.measures.clusters import clusters, components
from fettle.measures.minhash import near_pairs
from fettle.measures.shingles import of_letters, of_words

__all__ = ["Alike", "resemblance", "resemblance_seen"]

JACCARD = 0.8
COSINE = 0.98
_LONG, _OVERLAP = 100, 125
"""Texts of 100 words and more are compared by runs of five words, shorter ones by runs of five
letters: one word changed in a text of 25 words leaves 0.89 of its letters' runs and 0.62 of its
words'. Both are done from 100 to 125 words, so that two texts on either side of the line meet."""
_SHORT = 20
"""Letters. In a shorter text one letter more is another thing: "windows 1" and "windows 10"."""
_FAMILY_ROWS, _FAMILY_SHARE = 50, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Groups of rows, each known by its lowest row number; a row alike to none is its own group."""

    same: np.ndarray = field(repr=False)
    """int (rows,): rows of one group have the same normalised text. Blank rows are alone."""
    near: np.ndarray = field(repr=False)
    """int (rows,): rows of one group are tied by texts or features that are nearly the same."""
    by_features: np.ndarray = field(repr=False)
    """bool (rows,): only its features tie the row to its group, its letters do not."""
    families: tuple[tuple[int, ...], ...] = ()
    """Groups of more than 50 different texts and 1% of the rows: they are not in `near`."""

    @property
    def clusters(self) -> tuple[tuple[int, ...], ...]:
        """The groups of two rows or more that must not be torn apart."""
        return clusters(self.near)

    @property
    def near_clusters(self) -> tuple[tuple[int, ...], ...]:
        """Those of the clusters in which not all texts are the same."""
        return tuple(rows for rows in self.clusters if len(set(self.same[list(rows)].tolist())) > 1)


def resemblance(
    texts: Sequence[str], features: np.ndarray | None = None, *,
    nearly: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Alike:
    """Which rows are alike.

    Args:
        texts: one a row, normalised; "" is a blank row, which is like no other.
        features: float32 (rows, width), or None where there are none.
        nearly: where rows are not texts: for some row numbers the pairs of them that are nearly
            the same, int (pairs, 2), each counted from 0 among them.
    """
    same = _same(texts)
    once = np.array([row for row, text in enumerate(texts) if text and same[row] == row], dtype=int)
    of_text = nearly(once) if nearly else _pairs_of_texts([texts[row] for row in once])
    by_letters = components(len(once), of_text)
    pairs = of_text
    if features is not None:
        pairs = np.concatenate([of_text, close_pairs(centred(features)[once], COSINE)])
    label = components(len(once), pairs)
    label, families = _without_families(label, len(texts))

    near = same.copy()
    near[once] = once[label]
    near = near[same]  # a repeat goes where its first row goes
    alone = np.bincount(by_letters, minlength=len(once))[by_letters] == 1
    by_features = np.zeros(len(texts), dtype=bool)
    by_features[once] = alone & (np.bincount(label, minlength=len(once))[label] > 1)
    return Alike(
        same=same, near=near, by_features=by_features[same],
        families=tuple(
            tuple(np.flatnonzero(np.isin(same, once[list(family)])).tolist()) for family in families
        ),
    )


def resemblance_seen(
    texts: Sequence[str], rows: np.ndarray, directions: np.ndarray,
    twins: Sequence[Sequence[int]],
) -> Alike:
    """Which rows are alike, once what their letters tie is known and features are seen.

    Args:
        texts: one a row, normalised; "" is a blank row.
        rows: int (some,), numbers of the rows whose features there are.
        directions: float32 (some, width), such as `centred` gives; none, (some, 0), to tie by
            letters alone.
        twins: clusters of row numbers that letters tie.
    """
    same = _same(texts)
    tied = np.array([(cluster[0], row) for cluster in twins for row in cluster[1:]], dtype=int)
    tied = tied.reshape(-1, 2)
    by_letters = components(len(texts), tied)
    pairs = [tied]
    if directions.shape[1]:
        once = np.unique(same[rows], return_index=True)[1]
        once = once[np.array([bool(texts[row]) for row in rows[once]], dtype=bool)]
        pairs.append(rows[once][close_pairs(directions[once], COSINE)])
    label, families = _without_families(components(len(texts), np.concatenate(pairs)), len(texts))
    near = label[same]
    alone = np.bincount(by_letters, minlength=len(texts))[by_letters] == 1
    several = np.bincount(near, minlength=len(texts))[near] > 1
    return Alike(same, near, alone & several, families)


def _same(texts: Sequence[str]) -> np.ndarray:
    """The first row with each row's text, int (rows,); blank rows are alone."""
    first: dict[str, int] = {}
    return np.array(
        [first.setdefault(text, row) if text else row for row, text in enumerate(texts)], dtype=int
    )


def _pairs_of_texts(texts: Sequence[str]) -> np.ndarray:
    """Pairs of texts that are nearly the same: int (pairs, 2), numbers of these texts."""
    words = np.array([text.count(" ") + 1 for text in texts], dtype=int)
    letters = np.array([len(text) for text in texts], dtype=int)
    found = [np.zeros((0, 2), dtype=int)]
    for rows, pieces in (
        (np.flatnonzero((words < _OVERLAP) & (letters >= _SHORT)), of_letters),
        (np.flatnonzero(words >= _LONG), of_words),
    ):
        if len(rows) > 1:
            found.append(rows[near_pairs(pieces([texts[int(row)] for row in rows]), JACCARD)])
    return np.concatenate(found)


def _without_families(
    label: np.ndarray, rows: int
) -> tuple[np.ndarray, tuple[tuple[int, ...], ...]]:
    """The labels with the members of families alone, and the families."""
    most = max(_FAMILY_ROWS, _FAMILY_SHARE * rows)
    families = tuple(group for group in clusters(label) if len(group) > most)
    label = label.copy()
    for family in families:
        label[list(family)] = family
    return label, families
