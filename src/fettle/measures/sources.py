"""Sources: who labelled each row in, the rows that count out, so that no one decides alone."""

from collections.abc import Sequence

import numpy as np

__all__ = ["ALWAYS", "counted"]

ALWAYS = 200
"""So many rows of one source count, however few the others brought."""


def counted(sources: Sequence[str], *, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """The rows that count: of a source that brought more than half, as many as all others did.

    Where nobody else brought a row, all count: then whoever hands them over vouches for them.

    Args:
        sources: who alone labelled each row; "" where nobody is named, or several agree.
        rng: draws which rows of too many.

    Returns:
        Whether each row counts, bool (rows,); and who alone brought the most, "" where nobody is
        named.
    """
    named = np.array(sources, dtype=object)
    names = sorted(set(filter(None, sources)))
    counts = np.ones(len(named), dtype=bool)
    if not names:
        return counts, ""
    loudest = max(names, key=lambda name: int((named == name).sum()))
    own = np.flatnonzero(named == loudest)
    others = len(named) - len(own)
    if others:
        counts[rng.permutation(own)[max(others, ALWAYS):]] = False
    return counts, loudest
