"""Not numbers: rows whose target, where numbers are predicted, is no finite number.

They can neither teach nor be scored, so they are left out, and each is told by its row.
"""

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import LeftOut, Severity
from fettle.core.fixes import Action, Proposal
from fettle.measures.traits import LARGEST

__all__ = ["not_numbers"]

_NAMED = 5


def not_numbers(evidence: Evidence) -> Found:
    """A warning on cells of the target that hold something and no finite number."""
    cells = evidence.dataset.targets()
    rows = [
        int(row) for row in np.flatnonzero(evidence.used)
        if evidence.labels[int(row)] is None and (cells[row] or "").strip()
    ]
    if not rows:
        return Found()
    target = quoted(evidence.dataset.schema.target or "")
    named = listed([f"{evidence.dataset.ids[row]} says {quoted(cells[row] or '')}"
                    for row in rows[:_NAMED]])
    tests = sum(bool(evidence.test[row]) for row in rows)
    also = f", {tests:,} of them given for the test, which cannot be scored" if tests else ""
    sentence = (
        f"{counted(len(rows), 'row')} whose {target} is no finite number{also}: {named}"
        f"{', ...' if len(rows) > _NAMED else ''}."
    )
    remedy = (
        "They are left out of this run. Write numbers like 3.5 or 1e3, with a point, without a "
        f"unit and up to {LARGEST:g}; where the cells are names, give --task classification."
    )
    why = f"its {target} is no finite number"
    return Found(
        (finding(evidence, "not_numbers", Severity.WARN, rows, (sentence, remedy)),),
        (LeftOut("not_numbers", why, tuple(rows)),),
        tuple(Proposal(row, Action.DROP, "", why, "not_numbers") for row in rows),
    )
