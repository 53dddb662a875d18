"""Conflicts: learning rows that say the same and are labelled differently."""

from collections import Counter

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import Finding, Severity
from fettle.core.fixes import Action, Proposal

__all__ = ["conflicts", "torn"]


def conflicts(evidence: Evidence) -> Found:
    """A warning on texts with more than one label, a note on near twins; all are used."""
    found = torn(evidence, evidence.alike.same)
    told = {row for cluster in found for row in cluster}
    nearly = [
        cluster for cluster in torn(evidence, evidence.alike.near) if not told.issuperset(cluster)
    ]
    findings = [*_same(evidence, found), *_nearly(evidence, nearly)]
    return Found(tuple(findings), proposals=tuple(_proposals(evidence, found)))


def torn(evidence: Evidence, group_of: np.ndarray) -> list[list[int]]:
    """The learning rows of each group whose labels differ."""
    groups: dict[int, list[int]] = {}
    for row in evidence.train_rows:
        groups.setdefault(int(group_of[row]), []).append(row)
    return [rows for rows in groups.values() if len({evidence.labels[row] for row in rows}) > 1]


def _proposals(evidence: Evidence, torn: list[list[int]]) -> list[Proposal]:
    """To give every row of a text the label that most of them have, where most agree."""
    proposals = []
    for rows in torn:
        (label, times), *_ = Counter(evidence.labels[row] for row in rows).most_common()
        if label is None or 2 * times <= len(rows):
            continue
        why = f"{times:,} of the {len(rows):,} rows that say the same are {quoted(label)}"
        proposals += [
            Proposal(row, Action.RELABEL, label, why, "conflicts")
            for row in rows
            if evidence.labels[row] != label
        ]
    return proposals


def _same(evidence: Evidence, torn: list[list[int]]) -> list[Finding]:
    """At most one Finding on texts that are the same."""
    if not torn:
        return []
    rows = [row for cluster in torn for row in cluster]
    pairs = Counter(
        " and ".join(sorted({quoted(evidence.labels[row] or "") for row in cluster}))
        for cluster in torn
    )
    named = [f"{labels} ({times:,})" for labels, times in pairs.most_common()]
    sentence = (
        f"{counted(len(torn), 'text')} with more than one label, in "
        f"{counted(len(rows), 'row')}: {listed(named, most=5)}."
    )
    remedy = (
        "They are used as they stand, and no model can be right on all of them. "
        "Decide on one label for each."
    )
    return [finding(evidence, "conflicts", Severity.WARN, rows, (sentence, remedy))]


def _nearly(evidence: Evidence, torn: list[list[int]]) -> list[Finding]:
    """At most one Finding on texts that are nearly the same."""
    if not torn:
        return []
    rows = [row for cluster in torn for row in cluster]
    first = " and ".join(f"{evidence.dataset.ids[row]} is {quoted(evidence.labels[row] or '')}"
                         for row in _two_that_differ(evidence, torn[0]))
    sentence = (
        f"{counted(len(torn), 'cluster')} of texts that are nearly the same and labelled "
        f"differently, in {counted(len(rows), 'row')}: {first}."
    )
    remedy = "They are used as they stand. Read them: one word may matter, or one label is wrong."
    return [finding(evidence, "conflicts", Severity.NOTE, rows, (sentence, remedy))]


def _two_that_differ(evidence: Evidence, rows: list[int]) -> tuple[int, int]:
    first = rows[0]
    other = next(row for row in rows if evidence.labels[row] != evidence.labels[first])
    return first, other
