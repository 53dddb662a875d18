"""Coverage: classes that are learned and that no given test or validation row asks for."""

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import Severity

__all__ = ["coverage"]


def coverage(evidence: Evidence) -> Found:
    """A note for the given test rows, and one for the given validation rows."""
    taught = evidence.class_counts(evidence.train_rows)
    findings = []
    for part, rows, what in (
        ("test", evidence.test_rows, "Nothing will be known of how well they are told apart."),
        ("validation", evidence.validation_rows, "They have no say in what is chosen."),
    ):
        asked = evidence.class_counts(rows)
        idle = [label for label in taught if label not in asked]
        if not rows or not idle:
            continue
        sentence = (
            f"{counted(len(idle), 'class', 'classes')} of {len(taught):,} without a single {part} "
            f"row: {listed([quoted(label) for label in idle])}."
        )
        remedy = f"{what} Add {part} rows of each."
        findings.append(
            finding(evidence, "coverage", Severity.NOTE, [], (sentence, remedy), count=len(idle))
        )
    return Found(tuple(findings))
