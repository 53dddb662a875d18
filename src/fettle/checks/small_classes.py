"""Small classes: classes with too few learning rows to learn from, or to be sure of."""

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import Finding, Severity
from fettle.measures.intervals import wilson
from fettle.measures.traits import in_numbers

__all__ = ["small_classes"]

_FEW, _SOME = 10, 50
_TEST_SHARE = 1 / 8
_NUMBERS = 0.5
"""Of the classes, where they may be numbers that are to be predicted."""


def small_classes(evidence: Evidence) -> Found:
    """A class with one learning row is a blocker; under 10 warn; under 50 are a note.

    Where a row may have several labels, one learning row of a label only warns: the row still
    teaches the others, and the rare label is called by the threshold of all.
    """
    counts = evidence.class_counts(evidence.train_rows)
    if len(counts) < 2:  # one_class has said it
        return Found()
    fewest = 1 if evidence.several else 2
    bands = (
        (Severity.BLOCKER, [label for label, rows in counts.items() if rows < fewest]),
        (Severity.WARN, [label for label, rows in counts.items() if fewest <= rows < _FEW]),
        (Severity.NOTE, [label for label, rows in counts.items() if _FEW <= rows < _SOME]),
    )
    return Found(
        tuple(
            _small(evidence, severity, sorted(labels, key=lambda label: counts[label]), counts)
            for severity, labels in bands
            if labels
        )
    )


def _small(
    evidence: Evidence, severity: Severity, labels: list[str], counts: dict[str, int]
) -> Finding:
    named = [f"{quoted(label)} ({counts[label]:,})" for label in labels]
    classes = evidence.classes(len(labels))
    wanted = set(labels)
    rows = [row for row in evidence.train_rows if wanted.intersection(evidence.labels_of(row))]
    if severity is Severity.BLOCKER:
        sentence = f"{classes} with one learning row: {listed([quoted(x) for x in labels])}."
        remedy = "Add rows of each, give them the label of another class, or remove them."
        if not evidence.several and np.isfinite(in_numbers(list(counts))).mean() > _NUMBERS:
            remedy += " Most of the classes are numbers: --task regression predicts a number."
    elif severity is Severity.WARN:
        sentence = f"{classes} with fewer than {_FEW} learning rows: {listed(named)}."
        remedy = f"Label more, to {_SOME} rows each if you can; expect them to be missed often."
    else:
        sentence = f"{classes} with fewer than {_SOME} learning rows: {listed(named)}."
        remedy = _what_it_means(evidence, labels[0], counts[labels[0]])
    return finding(evidence, "small_classes", severity, rows, (sentence, remedy), count=len(labels))


def _what_it_means(evidence: Evidence, label: str, learning: int) -> str:
    """How little a score on the test rows of the smallest class says."""
    given = evidence.class_counts(evidence.test_rows)
    judging = given[label] if given else round(learning * _TEST_SHARE)
    if judging == 0:
        return f"No test row of {quoted(label)} will judge it: label more."
    right = round(0.8 * judging)
    low, high = wilson(right, judging)
    return (
        f"Scores of single classes say little: {right:,} right of the "
        f"{counted(judging, 'test row')} of {quoted(label)} would mean a recall anywhere from "
        f"{low:.0%} to {high:.0%}. Label more where a class matters."
    )
