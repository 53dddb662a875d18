"""Similarity: two models' features of the same rows in, how alike they are out."""

import numpy as np

from fettle.core.errors import ShapeError

__all__ = ["linear_cka", "unit"]


def linear_cka(first: np.ndarray, second: np.ndarray) -> float:
    """How alike two representations are, up to rotation and scale: 0.0 to 1.0.

    Args:
        first: float (rows, width).
        second: float (rows, its own width).

    Returns:
        1.0 also where neither differs between rows; 0.0 where only one of them does.

    Raises:
        ShapeError: the two differ in rows, or have fewer than two.

    Source: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019,
    section 3, equation 5 with a linear kernel.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ShapeError(f"{len(first)} and {len(second)} rows: both need the same, at least two.")
    one, other = (np.asarray(a, dtype=np.float64) - np.mean(a, axis=0, dtype=np.float64)
                  for a in (first, second))
    own = np.linalg.norm(one.T @ one) * np.linalg.norm(other.T @ other)
    if own == 0:
        return float(not one.any() and not other.any())
    return float(np.clip(np.linalg.norm(one.T @ other) ** 2 / own, 0.0, 1.0))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Each row at length 1, (rows, width); a row of zeros stays one."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
