"""Foretold: columns of numbers that follow the target, as a column does that was made from it."""

import numpy as np

from fettle.checks.evidence import Evidence, Found, finding, quoted
from fettle.core.audit import Severity
from fettle.measures.regression import spearman
from fettle.measures.traits import in_numbers

__all__ = ["foretold"]

_READABLE = 0.95
"""Of the filled cells, those that must be numbers."""
_FEWEST = 50
_SAME = 0.98
"""Rank correlation with the target, up or down, from which on a column gives it away."""


def foretold(evidence: Evidence) -> Found:
    """A blocker for each input, and a note on each column not read, that follows the target."""
    rows, schema = evidence.train_rows, evidence.dataset.schema
    target = evidence.numbers(rows)
    findings = []
    for name in evidence.dataset.table.column_names:
        if name == schema.target:
            continue
        cells = evidence.dataset.column(name, rows)
        found = in_numbers(cells)
        known = np.isfinite(found)
        filled = sum(bool((cell or "").strip()) for cell in cells)
        if known.sum() < max(_FEWEST, _READABLE * filled):
            continue
        alike = spearman(target[known], found[known])
        if abs(alike) < _SAME:
            continue
        read = name in schema.inputs
        sentence = (
            f"{quoted(name)} rises and falls with the target: a rank correlation of "
            f"{alike:+.3f} over {int(known.sum()):,} rows."
        ) if alike > 0 else (
            f"{quoted(name)} falls where the target rises: a rank correlation of {alike:+.3f} over "
            f"{int(known.sum()):,} rows."
        )
        remedy = (
            "The model would read the answer off it. Leave it out with --inputs." if read else
            "The model does not read it. It may be the target under another name."
        )
        severity = Severity.BLOCKER if read else Severity.NOTE
        findings.append(finding(evidence, "foretold", severity, [], (sentence, remedy),
                                count=int(known.sum())))
    return Found(tuple(findings))
