"""Missing: rows without an answer, and rows without anything to read.

Neither can teach, so they are left out of fitting; a test row without an answer cannot be
scored. A test row without text stays: the model must answer it all the same.
"""

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding, quoted
from fettle.core.audit import Finding, LeftOut, Severity
from fettle.core.fixes import Action, Proposal

__all__ = ["missing"]


def missing(evidence: Evidence) -> Found:
    """Rows whose target or whose every input is missing or blank (warn), or some inputs (note)."""
    target = evidence.dataset.schema.target or ""
    rows = [int(row) for row in np.flatnonzero(evidence.used)]
    unanswered = [row for row in rows if evidence.labels[row] is None]
    blank = [row for row in rows if not evidence.texts[row] and evidence.labels[row] is not None]
    blank_learning = [row for row in blank if not evidence.test[row]]
    findings = []
    if unanswered:
        findings.append(_unanswered(evidence, unanswered, target))
    if blank:
        findings.append(_blank(evidence, blank, len(blank_learning)))
    findings += _gaps(evidence, set(blank) | set(unanswered))
    left_out = (
        LeftOut("missing", f"nothing stands in {quoted(target)}", tuple(unanswered)),
        LeftOut("missing", "there is nothing to read", tuple(blank_learning)),
    )
    proposals = (
        Proposal(row, Action.DROP, "", out.reason, "missing")
        for out in left_out
        for row in out.rows
    )
    return Found(tuple(findings), tuple(out for out in left_out if out.rows), tuple(proposals))


def _unanswered(evidence: Evidence, rows: list[int], target: str) -> Finding:
    tests = sum(bool(evidence.test[row]) for row in rows)
    also = f", {tests:,} of them given for the test, which cannot be scored" if tests else ""
    sentence = f"{counted(len(rows), 'row')} without an answer in {quoted(target)}{also}."
    remedy = "They are left out of this run. Fill in the answers to use them."
    return finding(evidence, "missing", Severity.WARN, rows, (sentence, remedy))


def _blank(evidence: Evidence, rows: list[int], learning: int) -> Finding:
    names = ", ".join(quoted(name) for name in evidence.dataset.schema.inputs)
    sentence = f"{counted(len(rows), 'row')} with nothing to read in {names}."
    kept = len(rows) - learning
    remedy = f"{counted(learning, 'row')} left out of fitting" + (
        f"; {counted(kept, 'test row')} still to be answered." if kept else "."
    )
    return finding(evidence, "missing", Severity.WARN, rows, (sentence, remedy + " Fill them in."))


def _gaps(evidence: Evidence, told: set[int]) -> list[Finding]:
    """Rows with some inputs but not all, a note a column."""
    names = evidence.dataset.schema.inputs
    if len(names) < 2:
        return []
    findings = []
    for name in names:
        cells = evidence.dataset.column(name)
        rows = [
            row for row, cell in enumerate(cells) if not (cell or "").strip() and row not in told
        ]
        if rows:
            sentence = f"{counted(len(rows), 'row')} with nothing in {quoted(name)}."
            remedy = "They are used, with what stands in the other columns."
            findings.append(finding(evidence, "missing", Severity.NOTE, rows, (sentence, remedy)))
    return findings
