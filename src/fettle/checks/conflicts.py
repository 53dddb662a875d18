"""Conflicts: learning rows that say the same and are labelled differently."""

from collections import Counter

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import Severity

__all__ = ["conflicts"]


def conflicts(evidence: Evidence) -> Found:
    """One warning on all texts with more than one label; their rows are used as they stand."""
    clusters: dict[str, list[int]] = {}
    for row in evidence.train_rows:
        if evidence.texts[row]:
            clusters.setdefault(evidence.texts[row], []).append(row)
    torn = [
        cluster
        for cluster in clusters.values()
        if len({evidence.labels[row] for row in cluster}) > 1
    ]
    if not torn:
        return Found()
    rows = [row for cluster in torn for row in cluster]
    pairs = Counter(
        " and ".join(sorted({quoted(evidence.labels[row] or "") for row in cluster}))
        for cluster in torn
    )
    named = [f"{labels} ({times:,})" for labels, times in pairs.most_common()]
    sentence = (
        f"{counted(len(torn), 'text')} with more than one label, in "
        f"{counted(len(rows), 'row')}: {listed(named, most=5)}."
    )
    remedy = (
        "They are used as they stand, and no model can be right on all of them. "
        "Decide on one label for each."
    )
    return Found((finding(evidence, "conflicts", Severity.WARN, rows, (sentence, remedy)),))
