"""Leaks: texts that stand in two given parts, so that a score would reward remembering.

The test rows stay as they are. Of a twin in train and test, or in train and validation, the
training row is left out of fitting; of a twin in validation and test, the validation row.
"""

from collections import Counter

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Finding, LeftOut, Severity

__all__ = ["leaks"]


def leaks(evidence: Evidence) -> Found:
    """One warning for each pair of parts that share a text."""
    findings: list[Finding] = []
    left_out: list[LeftOut] = []
    pairs = (
        ("training", evidence.train, "test", evidence.test),
        ("validation", evidence.validation, "test", evidence.test),
        ("training", evidence.train, "validation", evidence.validation),
    )
    told: set[int] = set()
    for learner, learning, judge, judging in pairs:
        judges = [int(row) for row in np.flatnonzero(judging & evidence.used)]
        seen = Counter(evidence.texts[row] for row in judges if evidence.texts[row])
        learners = [int(row) for row in np.flatnonzero(learning & evidence.used)]
        rows = [row for row in learners if evidence.texts[row] in seen and row not in told]
        if rows:
            told.update(rows)
            same = sum(seen[text] for text in {evidence.texts[row] for row in rows})
            findings.append(_leak(evidence, rows, learner, counted(same, judge + " row"), judge))
            left_out.append(LeftOut("leaks", f"a {judge} row says the same", tuple(rows)))
    return Found(tuple(findings), tuple(left_out))


def _leak(evidence: Evidence, rows: list[int], learner: str, same: str, judge: str) -> Finding:
    verb, they = ("says", "It is") if len(rows) == 1 else ("say", "They are")
    sentence = f"{counted(len(rows), learner + ' row')} {verb} the same as {same}."
    remedy = (
        f"{they} left out of fitting, and the {judge} rows stay. "
        "Find out how the files came to share rows."
    )
    return finding(evidence, "leaks", Severity.WARN, rows, (sentence, remedy))
