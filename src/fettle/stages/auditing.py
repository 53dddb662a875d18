"""Auditing: a Dataset in, an Audit out.

Every check looks at the rows; what one leaves out of fitting, the next does not count. Nothing
here changes a row, or lets a test row say more than that it is a twin or of an unknown class.
"""

from collections.abc import Iterable
from dataclasses import replace

from fettle.checks import CHECKS
from fettle.checks.evidence import look
from fettle.core.audit import Audit, Finding, LeftOut, Severity
from fettle.core.dataset import Dataset
from fettle.core.errors import InputError

__all__ = ["audit"]

_SHOWN = 100


def audit(dataset: Dataset) -> Audit:
    """What is wrong with the rows, which of them say the same, and which are left out of fitting.

    A row is left out once, by the first check that says so.

    Raises:
        InputError: the Dataset has no rows, or no column of answers.
    """
    if dataset.schema.target is None:
        raise InputError(
            f"{dataset.name} has no column of answers to audit. Name it with --target."
        )
    if dataset.rows == 0:
        raise InputError(f"{dataset.name} has no rows. Give a file with at least one.")
    evidence = look(dataset)
    findings = _refused(dataset)
    left_out: list[LeftOut] = []
    clusters: list[tuple[int, ...]] = []
    for check in CHECKS.values():
        found = check(evidence)
        findings += found.findings
        clusters += found.twins
        used = evidence.used.copy()
        for out in found.left_out:
            rows = tuple(row for row in out.rows if used[row])
            used[list(rows)] = False
            if rows:
                left_out.append(replace(out, rows=rows))
        evidence = replace(evidence, used=used)
    return Audit(
        dataset=dataset.fingerprint(),
        findings=tuple(findings),
        twins=_merged(clusters),
        left_out=tuple(left_out),
    )


def _refused(dataset: Dataset) -> list[Finding]:
    """A warning on the records that could not become rows."""
    refused = dataset.refused
    if not refused:
        return []
    number = len(refused)
    what = "1 record" if number == 1 else f"{number:,} records"
    return [
        Finding(
            check="ragged",
            severity=Severity.WARN,
            count=number,
            rows=tuple(record.place for record in refused[:_SHOWN]),
            sentence=(
                f"{what} of {dataset.name} could not be read as a row; the first is "
                f"{refused[0].place}: {refused[0].reason}"
            ),
            remedy="They are not used. Mend the file to use them.",
        )
    ]


def _merged(clusters: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Clusters that share a row become one; rows and clusters in ascending order."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = parent[parent[row]]  # halves the path for the next who comes by
            row = parent[row]
        return row

    for first, *others in clusters:
        for other in others:
            one, two = sorted((root(first), root(other)))
            parent[two] = one
    merged: dict[int, list[int]] = {}
    for row in sorted(parent):
        merged.setdefault(root(row), []).append(row)
    return tuple(tuple(rows) for rows in merged.values())
