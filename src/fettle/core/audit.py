"""The Audit: what is wrong with the rows, how bad it is, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from fettle.core.errors import Blocked
from fettle.core.fixes import Proposal

__all__ = ["Audit", "Finding", "LeftOut", "NearTwins", "Severity"]


class Severity(StrEnum):
    """How much a Finding matters. Only a blocker stops the story."""

    BLOCKER = "blocker"
    WARN = "warn"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault, with the rows that show it."""

    check: str
    severity: Severity
    count: int
    """How many rows (or classes, where the sentence says so) show it."""
    rows: tuple[str, ...]
    """The ids of up to 100 of them."""
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that are not used for fitting in this run, and the check that says why."""

    check: str
    reason: str
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NearTwins:
    """Two rows that say nearly the same, for a person to look at."""

    ids: tuple[str, str]
    labels: tuple[str, str]
    sides: tuple[str, str]
    """train, validation or test."""
    likeness: float
    """Cosine of their features, seen from the mean of all: 1.0 is the same direction."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in one Dataset."""

    dataset: str
    """Fingerprint of the Dataset that the numbers belong to."""
    findings: tuple[Finding, ...]
    twins: tuple[tuple[int, ...], ...] = ()
    """Clusters of rows that say the same, or nearly; a split keeps each cluster on one side."""
    near: tuple[tuple[int, ...], ...] = ()
    """Those of the clusters in which not all rows say the same to the letter."""
    left_out: tuple[LeftOut, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    """What could be done row by row, at most one a row; suspected labels the likeliest first."""
    afterwards: tuple[Finding, ...] = ()
    """What the frozen features showed once training was done: nothing in that run follows from
    it."""
    near_twins: tuple[NearTwins, ...] = ()
    """Of the near twins, those most worth a look; known once there are features."""

    def blockers(self, allowed: tuple[str, ...] = ()) -> tuple[Finding, ...]:
        """The findings that stop the story, without those that the user allows."""
        return tuple(
            finding
            for finding in self.findings
            if finding.severity is Severity.BLOCKER and finding.check not in allowed
        )

    def require_clear(self, allowed: tuple[str, ...] = ()) -> None:
        """Stop here while a blocker stands.

        Raises:
            Blocked: names every blocker, its remedy, and the `--allow` that overrides it.
        """
        blockers = self.blockers(allowed)
        if blockers:
            lines = [f"{found.sentence} {found.remedy}" for found in blockers]
            checks = ",".join(found.check for found in blockers)
            raise Blocked("\n".join(lines) + f"\nTo go on all the same: --allow {checks}")
