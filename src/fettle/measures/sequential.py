"""Sequential: answers that arrive one after another in, an interval that holds at every look out.

A test that is asked every day at 5% is wrong in most months. This interval is not: it holds the
true share at all times together, however often and whenever somebody looks.
"""

import numpy as np

from fettle.core.errors import ShapeError

__all__ = ["always_valid"]


def always_valid(
    right: float, rows: int, *, level: float = 0.95, guess: tuple[float, float] = (4.0, 1.0)
) -> tuple[float, float]:
    """The share of right answers, (low, high), at any number of looks; (0.0, 1.0) without rows.

    Args:
        right: how many of the rows; or the sum of a score of each from 0 to 1, whose mean the
            interval holds then: (p / m)^x ((1 - p) / (1 - m))^(1 - x) is convex in x, so that its
            mean is at most what it is for rows that are right or wrong.
        rows: that were looked at so far.
        level: how often all intervals of a sequence hold the true share, together.
        guess: a and b of the Beta prior; where the truth lies near a / (a + b), the interval is
            narrower. It holds whatever they are.

    Raises:
        ShapeError: right below 0 or above rows.

    Source: Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm", Annals of
    Mathematical Statistics 41, 1970 (mixtures); Ville's inequality; Howard et al., "Time-uniform,
    Nonparametric, Nonasymptotic Confidence Sequences", Annals of Statistics 49, 2021.
    """
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    if not 0 <= right <= rows:
        raise ShapeError(f"{right} right answers of {rows} is no count of some of them.")
    if not rows:
        return 0.0, 1.0
    a, b = guess
    mixture = betaln(a + right, b + rows - right) - betaln(a, b) + np.log(1 - level)

    def excess(share: float) -> float:
        """Above 0 where the share is ruled out."""
        return float(mixture - xlogy(right, share) - xlog1py(rows - right, -share))

    best = right / rows
    low = 0.0 if right == 0 or excess(1e-12) <= 0 else brentq(excess, 1e-12, max(best, 2e-12))
    high = 1.0 if right == rows or excess(1 - 1e-12) <= 0 else brentq(
        excess, min(best, 1 - 2e-12), 1 - 1e-12)
    return float(low), float(high)
