"""Duplicates: rows that say the same as an earlier row.

Texts are compared after Unicode form, case, spaces and punctuation at the ends are made alike.
Nothing is removed: a split keeps rows that say the same on one side.
"""

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Finding, Severity
from fettle.core.fixes import Action, Proposal
from fettle.measures.clusters import clusters

__all__ = ["duplicates"]

_MANY = 0.05
"""Repeats above this share of the learning rows are a warning."""


def duplicates(evidence: Evidence) -> Found:
    """A note on repeats in learning and in given test rows; above 5% of the learning rows, warn."""
    twins = clusters(evidence.alike.same)
    learning = evidence.train_rows
    findings = [
        *_repeats(evidence, twins, learning, "learning row", many=_MANY),
        *_repeats(evidence, twins, evidence.test_rows, "test row", many=1.0),
    ]
    return Found(tuple(findings), proposals=tuple(_proposals(evidence, twins, set(learning))))


def _proposals(
    evidence: Evidence, twins: tuple[tuple[int, ...], ...], learning: set[int]
) -> list[Proposal]:
    """To drop each learning row that repeats an earlier one with the same label."""
    proposals = []
    for cluster in twins:
        first: dict[str | None, int] = {}
        for row in cluster:
            if row in learning and first.setdefault(evidence.labels[row], row) != row:
                why = f"it says the same as {evidence.dataset.ids[first[evidence.labels[row]]]}"
                proposals.append(Proposal(row, Action.DROP, "", why, "duplicates"))
    return proposals


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
    groups = [[row for row in cluster if row in inside] for cluster in twins]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        return []
    repeats = sorted(row for group in groups for row in group[1:])
    exact = _exact_repeats(evidence, groups)
    verb = "repeats" if len(repeats) == 1 else "repeat"
    sentence = (
        f"{counted(len(repeats), kind)} of {len(rows):,} {verb} an earlier one "
        f"({exact:,} to the letter), in {counted(len(groups), 'cluster')}."
    )
    severity = Severity.WARN if len(repeats) > many * len(rows) else Severity.NOTE
    remedy = (
        "All are used, and each cluster stays on one side of the split. Keep one of each "
        "unless they were seen more than once."
        if kind == "learning row"
        else "All are scored. Intervals count each cluster whole, so repeats make none narrower."
    )
    return [finding(evidence, "duplicates", severity, repeats, (sentence, remedy))]


def _exact_repeats(evidence: Evidence, groups: list[list[int]]) -> int:
    """How many rows are the same as an earlier one of their group, to the letter."""
    rows = [row for group in groups for row in group]
    return len(rows) - len(set(evidence.dataset.fields(rows)))
