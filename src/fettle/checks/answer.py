"""Answer: an input column that gives the target away, or a text that contains it."""

import re
from collections import Counter
from collections.abc import Sequence

from fettle.checks.evidence import Evidence, Found, finding, quoted, same_text
from fettle.core.audit import Finding, Severity

__all__ = ["answer"]

_ALMOST_ALL = 0.99
_ROWS_A_VALUE = 5
"""A column of codes has at least so many rows for each of its values."""
_CODE_WORDS = 3
_OFTEN, _MORE = 0.5, 10
"""A text gives the answer away that contains it in half of the rows, and ten times as often as it
contains the answer of another row."""
_WORD = re.compile(r"[^\W_]+")
_LETTERS = 3
"""A shorter answer stands in many texts by chance."""


def answer(evidence: Evidence) -> Found:
    """A blocker for each input that is the target, or a code for it, in over 99% of rows.

    A warning for an input that contains it in over half of them.
    """
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
        elif len(evidence.dataset.schema.inputs) > 1 and _is_finer_code(cells, labels):
            how = "has values that each belong to one class"
            findings.append(_given_away(evidence, name, rows, how))
        else:
            findings += _contained(evidence, name, rows, cells, labels)
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


def _is_finer_code(cells: Sequence[str], labels: Sequence[str]) -> bool:
    """Are there few short values, several for a class, each with one label in over 99% of rows?"""
    values = set(cells)
    if len(cells) < _ROWS_A_VALUE * len(values) or len(values) <= len(set(labels)):
        return False
    if sum(len(value.split()) for value in values) > _CODE_WORDS * len(values):
        return False
    pairs = Counter(zip(cells, labels, strict=True))
    right: dict[str, int] = {}
    for (cell, _), times in pairs.items():
        right[cell] = max(right.get(cell, 0), times)
    commonest = max(Counter(labels).values())
    return sum(right.values()) > _ALMOST_ALL * len(cells) > commonest / _ALMOST_ALL


def _contained(
    evidence: Evidence, name: str, rows: Sequence[int], cells: Sequence[str], labels: Sequence[str]
) -> list[Finding]:
    """A warning where the answer stands in the text, as words of its own."""
    spelled = [" ".join(_WORD.findall(label)) for label in labels]
    others = _another_of_each(spelled)
    own, foreign, asked = [], 0, 0
    for row, cell, label, other in zip(rows, cells, spelled, others, strict=True):
        if len(label) < _LETTERS:
            continue
        asked += 1
        said = f" {' '.join(_WORD.findall(cell))} "
        own += [row] if f" {label} " in said else []
        foreign += f" {other} " in said
    if asked < _OFTEN * len(rows) or len(own) <= _OFTEN * asked or len(own) <= _MORE * foreign:
        return []
    sentence = (
        f"The input {quoted(name)} contains the answer in {len(own):,} of {asked:,} rows, and the "
        f"answer of another row in {foreign:,}."
    )
    remedy = "Take it out of the text, unless it will also stand there when the model is asked."
    return [finding(evidence, "answer", Severity.WARN, own, (sentence, remedy))]


def _another_of_each(labels: Sequence[str]) -> list[str]:
    """For each row another row's label, of another class unless most rows are of one."""
    order = sorted(labels)
    most = max(Counter(labels).values())
    moved = order[most:] + order[:most]  # further than any class is long
    given: dict[str, list[str]] = {}
    for label, other in zip(order, moved, strict=True):
        given.setdefault(label, []).append(other)
    return [given[label].pop() for label in labels]


def _given_away(evidence: Evidence, name: str, rows: list[int], how: str) -> Finding:
    others = [other for other in evidence.dataset.schema.inputs if other != name]
    sentence = f"The input {quoted(name)} {how}: it is the answer."
    remedy = (
        f"Leave it out: --inputs {','.join(others)}."
        if others
        else "Name the columns to learn from with --inputs."
    )
    return finding(evidence, "answer", Severity.BLOCKER, rows, (sentence, remedy))
