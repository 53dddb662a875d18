"""Selecting: probabilities and vectors in, the rows that are worth a label out.

Half of what is chosen by the model is what it is least sure of, half what lies farthest from all
that is labelled. Beside them stand rows drawn at random: only those tell how good the model is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fettle.core.errors import ShapeError
from fettle.measures.similarity import unit

__all__ = ["RANDOM", "Chosen", "entropies", "select"]

RANDOM = 0.2
"""Share of all that are asked for."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One row that is worth a label."""

    row: int
    why: str
    """random, uncertain or diverse."""


def select(
    probabilities: np.ndarray, vectors: np.ndarray, known: np.ndarray, *,
    among: Sequence[int] | np.ndarray, many: int, rng: np.random.Generator,
    doubts: np.ndarray | None = None,
) -> list[Chosen]:
    """Rows to label next.

    The random fifth is drawn first, from all rows that may be chosen, so that it stays a fair
    sample of them.

    Args:
        probabilities: float (rows, classes).
        vectors: float (rows, width), what the model makes of each row.
        known: float (labelled rows, width); may have no row.
        among: row numbers that may be chosen: those without a twin.
        many: rows that are asked for.
        rng: draws the random ones, and settles ties.
        doubts: float (rows,), the greater the less sure; by the margin between the two likeliest
            classes where not given.

    Returns:
        At most `many`, the random ones first; fewer where there are not so many unlike rows.

    Raises:
        ShapeError: the arrays differ in rows or width.

    Source: margins: Scheffer et al., IDA 2001; the farthest first: Sener and Savarese, "Active
    Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018, algorithm 1.
    """
    if len(probabilities) != len(vectors) or known.shape[1:] != vectors.shape[1:]:
        raise ShapeError(
            f"{probabilities.shape}, {vectors.shape} and {known.shape}: probabilities and vectors "
            "need the same rows, vectors and known the same width."
        )
    rows, labelled = unit(vectors.astype(np.float64)), unit(known.astype(np.float64))
    order = rng.permutation(np.asarray(among, dtype=np.int64))
    drawn = round(RANDOM * many)
    chosen = [Chosen(int(row), "random") for row in order[:drawn]]
    left = np.sort(order[drawn:])
    unsure = (many - len(chosen)) // 2
    if doubts is None:
        margin = np.sort(probabilities, axis=1)[:, -2:]
        doubts = margin[:, 0] - margin[:, -1]
    least = left[np.argsort(-doubts[left], kind="stable")][:unsure]
    chosen += [Chosen(int(row), "uncertain") for row in least]
    left = np.setdiff1d(left, least)
    seen = np.concatenate([labelled, rows[[one.row for one in chosen]]])
    near = _nearest(rows, seen)
    while len(chosen) < many and len(left):
        at = left[int(np.argmin(near[left]))]
        chosen.append(Chosen(int(at), "diverse"))
        near = np.maximum(near, rows @ rows[at])
        left = left[left != at]
    return chosen


def entropies(probabilities: np.ndarray) -> np.ndarray:
    """How much the labels of each row would tell, in nats: float (rows,), the sum of the entropies
    of its labels, each a question of yes or no, as if labels had nothing to do with each other.

    A row is labelled whole, so its labels are summed: one that is in doubt about several labels
    tells more than one that is in doubt about a single one.

    Args:
        probabilities: float (rows, labels), of each label by itself.

    Source: entropy: Settles, "Active Learning Literature Survey", 2009, section 3.1; over labels by
    their mean, which orders rows as the sum does: Cherman et al., "Multi-label active learning: key
    issues and a novel query strategy", Evolving Systems 10, 2019.
    """
    from scipy.special import entr

    return np.asarray((entr(probabilities) + entr(1 - probabilities)).sum(axis=1))


def _nearest(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The greatest cosine to any of the others, (rows,)."""
    found = np.full(len(rows), -1.0)
    for start in range(0, len(others), 1024):
        found = np.maximum(found, (rows @ others[start : start + 1024].T).max(axis=1))
    return found
