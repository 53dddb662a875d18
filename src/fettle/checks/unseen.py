"""Unseen: classes that will be asked for and that no learning row teaches."""

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import LeftOut, Severity

__all__ = ["unseen"]


def unseen(evidence: Evidence) -> Found:
    """A blocker for a class of given test rows without a learning row.

    Given validation rows of such a class cannot guide a choice: they are left out (a warning).
    """
    taught = evidence.class_counts(evidence.train_rows)
    if not taught:  # one_class has said it
        return Found()
    findings = []
    strange = [row for row in evidence.test_rows if evidence.labels[row] not in taught]
    if strange:
        counts = evidence.class_counts(strange)
        sentence = (
            f"{counted(len(counts), 'class', 'classes')} of the test rows without a single "
            f"learning row, in {counted(len(strange), 'test row')}: {_named(counts)}."
        )
        remedy = (
            "Add learning rows of each, or take these rows out of the test; where it is another "
            "spelling of a class, correct it."
        )
        said = (sentence, remedy)
        findings.append(finding(evidence, "unseen", Severity.BLOCKER, strange, said))
    idle = [row for row in evidence.validation_rows if evidence.labels[row] not in taught]
    if not idle:
        return Found(tuple(findings))
    counts = evidence.class_counts(idle)
    sentence = (
        f"{counted(len(counts), 'class', 'classes')} of the validation rows without a single "
        f"learning row, in {counted(len(idle), 'validation row')}: {_named(counts)}."
    )
    remedy = "These rows are left out of fitting. Add learning rows of each."
    findings.append(finding(evidence, "unseen", Severity.WARN, idle, (sentence, remedy)))
    left_out = LeftOut("unseen", "no learning row has its label", tuple(idle))
    return Found(tuple(findings), (left_out,))


def _named(counts: dict[str, int]) -> str:
    return listed([f"{quoted(label)} ({rows:,})" for label, rows in counts.items()])
