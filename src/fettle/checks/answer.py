"""Answer: an input column that gives the target away."""

from collections import Counter

from fettle.checks.evidence import Evidence, Found, finding, quoted, same_text
from fettle.core.audit import Finding, Severity

__all__ = ["answer"]

_ALMOST_ALL = 0.99
_ROWS_A_VALUE = 5
"""A column of codes has at least so many rows for each of its values."""


def answer(evidence: Evidence) -> Found:
    """A blocker for each input that is the target, or a code for it, in over 99% of rows."""
    rows = evidence.train_rows
    labels = [same_text(evidence.labels[row] or "") for row in rows]
    if len(set(labels)) < 2:
        return Found()
    findings: list[Finding] = []
    for name in evidence.dataset.schema.inputs:
        cells = [same_text(cell or "") for cell in evidence.dataset.column(name, rows)]
        same = [row for row, cell, label in zip(rows, cells, labels, strict=True) if cell == label]
        if len(same) > _ALMOST_ALL * len(rows):
            how = f"equals the target in {len(same):,} of {len(rows):,} rows"
            findings.append(_given_away(evidence, name, same, how))
        elif _is_code(cells, labels):
            how = "has one value for each class"
            findings.append(_given_away(evidence, name, rows, how))
    return Found(tuple(findings))


def _is_code(cells: list[str], labels: list[str]) -> bool:
    """Is there one value for each label, and the right one in over 99% of rows?"""
    values = set(cells)
    if len(values) != len(set(labels)) or len(cells) < _ROWS_A_VALUE * len(values):
        return False
    pairs = Counter(zip(cells, labels, strict=True))
    commonest: dict[str, tuple[int, str]] = {}
    for (cell, label), times in pairs.items():
        commonest[cell] = max(commonest.get(cell, (0, "")), (times, label))
    one_to_one = len({label for _, label in commonest.values()}) == len(values)
    return one_to_one and sum(n for n, _ in commonest.values()) > _ALMOST_ALL * len(cells)


def _given_away(evidence: Evidence, name: str, rows: list[int], how: str) -> Finding:
    others = [other for other in evidence.dataset.schema.inputs if other != name]
    sentence = f"The input {quoted(name)} {how}: it is the answer."
    remedy = (
        f"Leave it out: --inputs {','.join(others)}."
        if others
        else "Name the columns to learn from with --inputs."
    )
    return finding(evidence, "answer", Severity.BLOCKER, rows, (sentence, remedy))
