"""Order: learning rows that stand sorted by their answer, or in blocks of one answer."""

import numpy as np

from fettle.checks.evidence import Evidence, Found, finding
from fettle.core.audit import Severity
from fettle.measures.order import runs

__all__ = ["order"]

_SURE = -4.0
"""Standard deviations: fewer than one random order in 30,000 has so few runs."""
_FEWER = 0.9
"""Of the runs that chance gives; in a large file a little fewer is beyond chance and no matter."""


def order(evidence: Evidence) -> Found:
    """A note where one answer follows the other less often than chance would have it."""
    rows = evidence.train_rows
    labels = evidence.codes(rows)
    names = np.unique(labels)
    seen = runs(labels)
    if len(names) < 2 or seen.z > _SURE or seen.found > _FEWER * seen.expected:
        return Found()
    if seen.found == len(names):
        how = f"The {len(rows):,} learning rows are sorted by their answer"
    else:
        how = f"The {len(rows):,} learning rows come in blocks of one answer"
    sentence = (
        f"{how}: {seen.found:,} runs of equal answers, where a random order has about "
        f"{seen.expected:,.0f}."
    )
    remedy = (
        "Training shuffles them. If the order is one of time or of sources, a split by time or by "
        "source is the honest one."
    )
    said = (sentence, remedy)
    return Found((finding(evidence, "order", Severity.NOTE, [], said, count=seen.found),))
