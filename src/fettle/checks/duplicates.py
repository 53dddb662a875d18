"""Duplicates: rows that say the same as an earlier row, and the clusters that they form.

Texts are compared after Unicode form, case, spaces and punctuation at the ends are made alike.
Nothing is removed: a split keeps each cluster on one side.
"""

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Finding, Severity

__all__ = ["duplicates"]

_MANY = 0.05
"""Repeats above this share of the learning rows are a warning."""


def duplicates(evidence: Evidence) -> Found:
    """Clusters over all parts; a note on repeats in learning and in given test rows.

    More than 5% of the learning rows are a warning.
    """
    clusters: dict[str, list[int]] = {}
    for row, text in enumerate(evidence.texts):
        if text:
            clusters.setdefault(text, []).append(row)
    twins = tuple(tuple(rows) for rows in clusters.values() if len(rows) > 1)

    findings = [
        *_repeats(evidence, twins, evidence.train_rows, "learning row", many=_MANY),
        *_repeats(evidence, twins, evidence.test_rows, "test row", many=1.0),
    ]
    return Found(tuple(findings), twins=twins)


def _repeats(
    evidence: Evidence,
    twins: tuple[tuple[int, ...], ...],
    rows: list[int],
    kind: str,
    *,
    many: float,
) -> list[Finding]:
    """At most one Finding on those rows that repeat an earlier one of them."""
    inside = set(rows)
    clusters = [[row for row in cluster if row in inside] for cluster in twins]
    clusters = [cluster for cluster in clusters if len(cluster) > 1]
    if not clusters:
        return []
    repeats = sorted(row for cluster in clusters for row in cluster[1:])
    exact = _exact_repeats(evidence, clusters)
    verb = "repeats" if len(repeats) == 1 else "repeat"
    sentence = (
        f"{counted(len(repeats), kind)} of {len(rows):,} {verb} an earlier one "
        f"({exact:,} to the letter), in {counted(len(clusters), 'cluster')}."
    )
    severity = Severity.WARN if len(repeats) > many * len(rows) else Severity.NOTE
    remedy = (
        "All are used, and each cluster stays on one side of the split. Keep one of each "
        "unless they were seen more than once."
        if kind == "learning row"
        else "All are scored. Repeats count more than once, so intervals are a little too narrow."
    )
    return [finding(evidence, "duplicates", severity, repeats, (sentence, remedy))]


def _exact_repeats(evidence: Evidence, clusters: list[list[int]]) -> int:
    """How many rows are the same as an earlier one of their cluster, to the letter."""
    rows = [row for cluster in clusters for row in cluster]
    return len(rows) - len(set(evidence.dataset.fields(rows)))
