"""Leaks: rows of two given parts that say the same, so that a score would reward remembering.

The test rows stay as they are. Of a twin in train and test, or in train and validation, the
training row is left out of fitting; of a twin in validation and test, the validation row. The
same holds for rows that say nearly the same.
"""

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Finding, LeftOut, Severity
from fettle.core.fixes import Action, Proposal

__all__ = ["leaks"]


def leaks(evidence: Evidence) -> Found:
    """A warning for each pair of parts that share a text, and for each that share near ones."""
    findings: list[Finding] = []
    left_out: list[LeftOut] = []
    proposals: list[Proposal] = []
    pairs = (
        ("training", evidence.train, "test", evidence.test),
        ("validation", evidence.validation, "test", evidence.test),
        ("training", evidence.train, "validation", evidence.validation),
    )
    free = evidence.used & np.array([bool(text) for text in evidence.texts], dtype=bool)
    for learner, learning, judge, judging in pairs:
        for how, group_of in (("", evidence.alike.same), ("nearly ", evidence.alike.near)):
            judges = np.flatnonzero(judging & free)
            rows = np.flatnonzero(learning & free & np.isin(group_of, group_of[judges]))
            if not len(rows):
                continue
            free[rows] = False
            same = counted(int(np.isin(group_of[judges], group_of[rows]).sum()), judge + " row")
            reason = f"a {judge} row says {how}the same"
            numbers = [int(row) for row in rows]
            findings.append(_leak(evidence, numbers, learner, f"{how}the same as {same}", judge))
            left_out.append(LeftOut("leaks", reason, tuple(numbers)))
            proposals += [Proposal(row, Action.MOVE, "", reason, "leaks") for row in numbers]
    return Found(tuple(findings), tuple(left_out), tuple(proposals))


def _leak(evidence: Evidence, rows: list[int], learner: str, same: str, judge: str) -> Finding:
    verb, they = ("says", "It is") if len(rows) == 1 else ("say", "They are")
    sentence = f"{counted(len(rows), learner + ' row')} {verb} {same}."
    remedy = (
        f"{they} left out of fitting, and the {judge} rows stay. "
        "Find out how the files came to share rows."
    )
    return finding(evidence, "leaks", Severity.WARN, rows, (sentence, remedy))
