"""Auditing: a Dataset in, an Audit out.

Every check looks at the rows; what one leaves out of fitting, the next does not count. Nothing
here changes a row, or lets a test row say more than that it is a twin or of an unknown class.
"""

from dataclasses import replace

import numpy as np

from fettle.checks import CHECKS
from fettle.checks.evidence import look
from fettle.core.audit import Audit, Finding, LeftOut, Severity
from fettle.core.dataset import Dataset
from fettle.core.errors import InputError
from fettle.core.fixes import Proposal

__all__ = ["audit"]

_SHOWN = 100


def audit(dataset: Dataset, *, features: np.ndarray | None = None) -> Audit:
    """What is wrong with the rows, which of them say the same, and which are left out of fitting.

    A row is left out once, by the first check that says so.

    Args:
        dataset: rows with a target.
        features: float32 (rows, width) of a frozen encoder, one row a row of the Dataset; None
            to look at the rows alone, which takes seconds and leaves out the label errors.

    Raises:
        InputError: the Dataset has no rows, or no column of answers.
    """
    if dataset.schema.target is None:
        raise InputError(
            f"{dataset.name} has no column of answers to audit. Name it with --target."
        )
    if dataset.rows == 0:
        raise InputError(f"{dataset.name} has no rows. Give a file with at least one.")
    evidence = look(dataset, features)
    findings = _refused(dataset)
    left_out: list[LeftOut] = []
    proposals: dict[int, Proposal] = {}
    for check in CHECKS.values():
        found = check(evidence)
        findings += found.findings
        for proposal in found.proposals:
            proposals.setdefault(proposal.row, proposal)
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
        twins=evidence.alike.clusters,
        near=evidence.alike.near_clusters,
        left_out=tuple(left_out),
        proposals=tuple(proposals.values()),
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
