"""Extremes: learning rows whose number lies far beyond all others."""

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding, listed
from fettle.core.audit import Severity

__all__ = ["extremes"]

_FENCE = 3.0
"""Interquartile ranges beyond the quartiles."""
_FEWEST = 50
_MANY = 0.01
"""Of the rows: more than these are seldom slips."""
_NAMED = 5


def extremes(evidence: Evidence) -> Found:
    """A warning on targets more than three interquartile ranges beyond the quartiles.

    Source: Tukey, "Exploratory Data Analysis", 1977, section 2D (far out).
    """
    rows = evidence.train_rows
    if len(rows) < _FEWEST:
        return Found()
    numbers = evidence.numbers(rows)
    low, high = np.quantile(numbers, [0.25, 0.75])
    beyond = np.maximum(low - numbers, numbers - high)
    far = np.flatnonzero(beyond > _FENCE * (high - low)) if high > low else np.zeros(0, dtype=int)
    if not len(far):
        return Found()
    order = far[np.argsort(-beyond[far], kind="stable")]
    found = [rows[int(at)] for at in order]
    named = listed([f"{evidence.dataset.ids[rows[int(at)]]} ({numbers[at]:g})"
                    for at in order[:_NAMED]])
    sentence = (
        f"{counted(len(found), 'learning row')} of {len(rows):,} with a number far from others, "
        f"half of which lie between {low:g} and {high:g}: {named}"
        f"{', ...' if len(found) > _NAMED else ''}."
    )
    leans = len(found) > _MANY * len(rows) and numbers[far].min() > high and numbers.min() > 0
    remedy = (
        "They are used, and count much where errors are squared. " + (
            "So many on one side are seldom slips: a column with their logarithm may be the better "
            "target; or try --loss huber."
            if leans else
            "Mend slips of the unit or of the point; where they are real, try --loss huber."
        )
    )
    return Found((finding(evidence, "extremes", Severity.WARN, found, (sentence, remedy)),))
