"""Rebuilt: what came of a retraining: from where it started, what it forgot, what the gate said."""

from dataclasses import dataclass

from fettle.core.score import Comparison, Score
from fettle.core.version import Verdict

__all__ = ["Rebuilt", "Start"]


@dataclass(frozen=True, slots=True)
class Start:
    """One place that training started from."""

    name: str
    """base (the pre-trained model) or champion (its backbone)."""
    model: str
    rung: str
    """That was kept."""
    validation: Score


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A new version of a name, beside the one that it was made from."""

    version: str
    champion: str
    start: str
    """The one that did best on validation rows."""
    starts: tuple[Start, ...]
    vaults: tuple[Comparison, ...]
    """The new version against the champion on the test rows that each version brought, row by row;
    the metric names the version. The oldest first."""
    verdict: Verdict | None
    """Of the gate; None where it was not asked."""
    notes: tuple[str, ...]
    measure: str = "accuracy"
    """By which rows are compared there: accuracy, row_f1 or mae."""

    @property
    def forgotten(self) -> tuple[Comparison, ...]:
        """The vaults on which the new version is shown to do worse."""
        return tuple(one for one in self.vaults if one.high < 0)
