"""Unseen: classes that will be asked for and that no learning row teaches."""

from collections.abc import Mapping, Sequence

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import LeftOut, Severity

__all__ = ["unseen"]


def unseen(evidence: Evidence) -> Found:
    """A blocker for a class of given test rows without a learning row.

    Given validation rows of such a class cannot guide a choice: they are left out (a warning),
    unless a row may have several labels: then their other labels do.
    """
    taught = evidence.class_counts(evidence.train_rows)
    if not taught:  # one_class has said it
        return Found()
    findings = []
    strange = _with_untaught(evidence, evidence.test_rows, taught)
    if strange:
        counts = _untaught(evidence.class_counts(strange), taught)
        sentence = (
            f"{evidence.classes(len(counts))} of the test rows without a single "
            f"learning row, in {counted(len(strange), 'test row')}: {_named(counts)}."
        )
        remedy = (
            "Add learning rows of each, or take these rows out of the test; where it is another "
            "spelling of a class, correct it."
        )
        said = (sentence, remedy)
        findings.append(finding(evidence, "unseen", Severity.BLOCKER, strange, said))
    idle = _with_untaught(evidence, evidence.validation_rows, taught)
    if not idle:
        return Found(tuple(findings))
    counts = _untaught(evidence.class_counts(idle), taught)
    sentence = (
        f"{evidence.classes(len(counts))} of the validation rows without a single "
        f"learning row, in {counted(len(idle), 'validation row')}: {_named(counts)}."
    )
    if evidence.several:
        remedy = "These rows are used for their other labels. Add learning rows of each."
        return Found((*findings, finding(evidence, "unseen", Severity.WARN, idle,
                                         (sentence, remedy))))
    remedy = "These rows are left out of fitting. Add learning rows of each."
    findings.append(finding(evidence, "unseen", Severity.WARN, idle, (sentence, remedy)))
    left_out = LeftOut("unseen", "no learning row has its label", tuple(idle))
    return Found(tuple(findings), (left_out,))


def _with_untaught(
    evidence: Evidence, rows: Sequence[int], taught: Mapping[str, int]
) -> list[int]:
    """The rows with a label that no learning row has."""
    return [row for row in rows if any(one not in taught for one in evidence.labels_of(row))]


def _untaught(counts: Mapping[str, int], taught: Mapping[str, int]) -> dict[str, int]:
    return {label: rows for label, rows in counts.items() if label not in taught}


def _named(counts: dict[str, int]) -> str:
    return listed([f"{quoted(label)} ({rows:,})" for label, rows in counts.items()])
