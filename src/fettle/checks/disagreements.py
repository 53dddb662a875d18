"""Disagreements: learning rows that say the same and have different numbers."""

import numpy as np

from fettle.checks.conflicts import torn
from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Severity

__all__ = ["disagreements"]

_MATTERS = 0.5
"""Standard deviations of the targets between the numbers of one text, from which on it warns."""


def disagreements(evidence: Evidence) -> Found:
    """A warning, or a note where they lie close, on texts with more than one number."""
    clusters = torn(evidence, evidence.alike.same)
    if not clusters:
        return Found()
    gaps = [np.ptp(evidence.numbers(rows)) for rows in clusters]
    widest = clusters[int(np.argmax(gaps))]
    numbers = evidence.numbers(widest)
    ends = [widest[int(numbers.argmin())], widest[int(numbers.argmax())]]
    spread = float(evidence.numbers(evidence.train_rows).std())
    rows = [row for cluster in clusters for row in cluster]
    ids = evidence.dataset.ids
    sentence = (
        f"{counted(len(clusters), 'text')} with more than one number, in "
        f"{counted(len(rows), 'row')}; the widest apart are {ids[ends[0]]} "
        f"({numbers.min():g}) and {ids[ends[1]]} ({numbers.max():g})."
    )
    remedy = (
        "They are used as they stand, and the best answer to each text is their mean. Decide on "
        "one number where one of them is a slip."
    )
    severity = Severity.WARN if max(gaps) > _MATTERS * spread else Severity.NOTE
    return Found((finding(evidence, "disagreements", severity, rows, (sentence, remedy)),))
