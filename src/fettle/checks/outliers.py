"""Outliers: learning rows whose features lie far from all others."""

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Severity
from fettle.measures.closeness import centred, distance_to_nearest

__all__ = ["outliers"]

_FENCE = 1.7
"""Interquartile ranges above the upper quartile of the mean distance to the 10 nearest."""
_FEWEST = 100
_REFERENCES = 10_000


def outliers(evidence: Evidence) -> Found:
    """A note on rows far from their ten nearest neighbours, the farthest first."""
    rows = np.array(evidence.train_rows, dtype=int)
    if evidence.features is None or len(rows) < _FEWEST:
        return Found()
    directions = centred(evidence.features[rows])
    references = np.unique(np.linspace(0, len(rows) - 1, _REFERENCES).astype(int))
    distance = distance_to_nearest(directions, references)
    low, high = np.quantile(distance, [0.25, 0.75])
    far = distance > high + _FENCE * (high - low)
    if not far.any():
        return Found()
    order = np.argsort(-distance, kind="stable")
    numbers = [int(row) for row in rows[order[far[order]]]]
    sentence = (
        f"{counted(len(numbers), 'learning row')} of {len(rows):,} unlike all others by their "
        f"features; the farthest is {evidence.dataset.ids[numbers[0]]}."
    )
    remedy = "They are used. Look at the first few: another language, a test entry, a mishap?"
    return Found((finding(evidence, "outliers", Severity.NOTE, numbers, (sentence, remedy)),))
