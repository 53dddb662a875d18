"""Near: rows that nearly repeat an earlier row, and texts made from one pattern.

Nothing is removed: a split keeps rows that are nearly the same on one side. A pattern with too
many rows for that is named, and its rows are treated like any others.
"""

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Finding, Severity
from fettle.core.fixes import Action, Proposal

__all__ = ["near"]

_MANY = 0.05
"""Near repeats above this share of the learning rows are a warning."""


def near(evidence: Evidence) -> Found:
    """A note on near repeats in learning and in test rows; a warning on each pattern."""
    learning = evidence.train_rows
    first_of = _earlier(evidence, learning)
    tests = _earlier(evidence, evidence.test_rows)
    findings = [
        *_repeats(evidence, first_of, len(learning), "learning row", many=_MANY),
        *_repeats(evidence, tests, len(evidence.test_rows), "test row", many=1.0),
        *(_family(evidence, family) for family in evidence.alike.families),
    ]
    proposals = (
        Proposal(row, Action.DROP, "", f"it says nearly the same as {evidence.dataset.ids[first]}",
                 "near")
        for row, first in first_of.items()
        if evidence.labels[row] == evidence.labels[first]
    )
    return Found(tuple(findings), proposals=tuple(proposals))


def _earlier(evidence: Evidence, rows: list[int]) -> dict[int, int]:
    """From each row that nearly repeats an earlier one of these to that one; once a text."""
    first: dict[int, int] = {}
    texts: set[int] = set()
    found = {}
    for row in rows:
        group, text = int(evidence.alike.near[row]), int(evidence.alike.same[row])
        if text in texts:
            continue
        texts.add(text)
        if first.setdefault(group, row) != row:
            found[row] = first[group]
    return found


def _repeats(
    evidence: Evidence, first_of: dict[int, int], among: int, kind: str, *, many: float
) -> list[Finding]:
    """At most one Finding on those rows that nearly repeat an earlier one of them."""
    if not first_of:
        return []
    repeats = list(first_of)
    seen = sum(bool(evidence.alike.by_features[row]) for row in repeats)
    how = f" ({seen:,} by features alone)" if seen else ""
    row, first = next(iter(first_of.items()))
    ids = evidence.dataset.ids
    verb = "repeats" if len(repeats) == 1 else "repeat"
    sentence = (
        f"{counted(len(repeats), kind)} of {among:,} nearly {verb} an earlier one{how}: "
        f"{ids[row]} is nearly {ids[first]}."
    )
    severity = Severity.WARN if len(repeats) > many * among else Severity.NOTE
    remedy = (
        "All are used, and each cluster stays on one side of the split. Keep one of each if they "
        "are copies."
        if kind == "learning row"
        else "All are scored. Intervals count each cluster whole, so near repeats make none "
        "narrower."
    )
    return [finding(evidence, "near", severity, repeats, (sentence, remedy))]


def _family(evidence: Evidence, rows: tuple[int, ...]) -> Finding:
    """A pattern: too many rows to keep on one side."""
    share = len(rows) / len(evidence.texts)
    ids = evidence.dataset.ids
    sentence = (
        f"{counted(len(rows), 'row')} ({share:.0%}) follow one pattern, such as {ids[rows[0]]} and "
        f"{ids[rows[-1]]}."
    )
    remedy = (
        "They are too many to keep on one side of a split, so scores reward knowing the pattern. "
        "If only a number or a name changes, give the model what changes, or keep some of them."
    )
    return finding(evidence, "near", Severity.WARN, rows, (sentence, remedy))
