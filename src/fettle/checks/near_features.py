"""Near by features: rows that nearly repeat another although their letters do not tell.

They are found once a frozen encoder has seen the rows, so after the split was made: nothing is
moved, and what a test row repeats of the learning rows is said.
"""

from itertools import combinations

import numpy as np

from fettle.checks.evidence import Evidence, Found, finding
from fettle.core.audit import Finding, NearTwins, Severity
from fettle.measures.closeness import centred

__all__ = ["near_features", "near_twins"]

_MANY = 0.01
"""Test rows above this share that repeat a learning row are a warning."""
_SHOWN = 15
_LARGEST = 20
"""Rows of one cluster that are looked through for the pair to show."""


def near_features(evidence: Evidence) -> Found:
    """A Finding on test rows that repeat a learning row by features alone; one on learners."""
    learners, judges = _rows(evidence, "learning"), _rows(evidence, "test")
    near, only = evidence.alike.near, evidence.alike.by_features
    first: dict[int, int] = {}
    repeats: dict[int, int] = {}
    for row in learners:
        earlier = first.setdefault(int(near[row]), row)
        if earlier != row and (only[row] or only[earlier]):
            repeats[row] = earlier
    leaked = {row: first[group] for row in judges
              if (group := int(near[row])) in first and (only[row] or only[first[group]])}
    found = []
    if leaked:
        found.append(_told(
            evidence, leaked, f"test row{'s' * (len(leaked) > 1)} of {len(judges):,}",
            "a learning row",
            "They were scored like all others, so the scores reward remembering by as much. Read a "
            "few; where something ties such rows, name it with --group.",
            Severity.WARN if len(leaked) > max(_MANY * len(judges), 1) else Severity.NOTE,
        ))
    if repeats:
        found.append(_told(
            evidence, repeats, f"learning row{'s' * (len(repeats) > 1)} of {len(learners):,}",
            "an earlier one", "All were used. Keep one of each if they are copies.", Severity.NOTE,
        ))
    return Found(tuple(found))


def near_twins(evidence: Evidence) -> tuple[NearTwins, ...]:
    """One pair of each cluster of near twins, at most 15.

    Those whose labels contradict each other come first (numbers never do), then those of a learning
    and a test row, then the likest.
    """
    assert evidence.features is not None
    used = np.flatnonzero(evidence.used)
    directions = np.zeros_like(evidence.features)
    directions[used] = centred(evidence.features[used])
    of_numbers = evidence.dataset.schema.task == "regression"  # two may differ without a fault
    found = []
    for cluster in evidence.alike.near_clusters:
        rows = [row for row in cluster if evidence.used[row]][:_LARGEST]
        pairs = [
            (evidence.labels[one] != evidence.labels[other] and not of_numbers,
             evidence.test[one] != evidence.test[other],
             float(directions[one] @ directions[other]), one, other)
            for one, other in combinations(rows, 2)
            if evidence.alike.same[one] != evidence.alike.same[other]
        ]
        if pairs:
            found.append(max(pairs))
    found.sort(reverse=True)
    return tuple(
        NearTwins(
            (evidence.dataset.ids[one], evidence.dataset.ids[other]),
            (_answer(evidence, one), _answer(evidence, other)),
            (_side(evidence, one), _side(evidence, other)), round(likeness, 6),
        )
        for *_, likeness, one, other in found[:_SHOWN]
    )


def _rows(evidence: Evidence, side: str) -> list[int]:
    if side == "test":
        return evidence.test_rows
    return sorted(evidence.train_rows + evidence.validation_rows)


def _side(evidence: Evidence, row: int) -> str:
    return "test" if evidence.test[row] else "validation" if evidence.validation[row] else "train"


def _answer(evidence: Evidence, row: int) -> str:
    """As a person writes it: several labels with a comma between them."""
    return ", ".join(evidence.labels_of(row)) or ("(no label)" if evidence.several else "")


def _told(
    evidence: Evidence, repeats: dict[int, int], which: str, what: str, remedy: str,
    severity: Severity,
) -> Finding:
    rows = list(repeats)
    ids = evidence.dataset.ids
    sentence = (
        f"{len(rows):,} {which} nearly {'repeats' if len(rows) == 1 else 'repeat'} {what} by "
        f"{'its' if len(rows) == 1 else 'their'} features, not by letters: {ids[rows[0]]} is "
        f"nearly {ids[repeats[rows[0]]]}."
    )
    return finding(evidence, "near_features", severity, rows, (sentence, remedy))
