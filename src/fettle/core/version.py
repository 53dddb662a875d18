"""The Version: a model that can be served, what it says, and the Verdict on its promotion."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Gate", "Prediction", "Report", "Verdict", "Version"]


@dataclass(frozen=True, slots=True)
class Report:
    """Where the pages lie."""

    html: str
    card: str


@dataclass(frozen=True, slots=True)
class Version:
    """One published model. Its files are named by their hashes."""

    name: str
    number: int
    plan: str
    files: Mapping[str, str]
    """sha256 of each file, by its path inside the version."""
    lineage: Mapping[str, str]
    """Base model and its hash, data, code and library versions, run."""
    largest_difference: float
    """Between the trained model's outputs and the published one's, on the same rows."""
    folder: str
    """Where it can be opened from."""
    report: Report | None = None

    @property
    def id(self) -> str:
        """NAME@N."""
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer."""

    id: str
    """Of the row: tickets.csv:1843, or its number."""
    value: str | float
    """A class, or a number in the target's own unit."""
    confidence: float | None
    """Probability of the value, from 0 to 1; None for a number."""
    version: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Of the three likeliest classes; of several labels, of all that are called, too."""
    interval: tuple[float, float] | None = None
    """Of a number: what should hold the truth in 9 of 10 cases; None where too few rows were
    held out to say so."""
    labels: tuple[str, ...] | None = None
    """Where a row may have several: those that are called, the likeliest first. `value` is then
    the JSON list of them, and `confidence` the probability that they are these and no others."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One question that a version must pass before it becomes champion."""

    name: str
    """accuracy, macro_f1 or mae, slices, calibration, negative_flips, latency, size, audit."""
    verdict: str
    """pass, cannot tell, or fail."""
    value: float | None
    """What was measured: of the challenger, or against the champion; None where nothing was."""
    threshold: float
    """What the value must not go beyond."""
    low: float | None
    high: float | None
    """90% interval of the value: each end is a one-sided bound of 95%."""
    rows: int
    """That it was measured on; 0 where no row was asked."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a challenger may become champion, and every gate that it was asked at."""

    challenger: str
    champion: str
    generation: int
    """Of the champion that it was compared with."""
    decision: str
    """promote, cannot tell, or reject."""
    gates: tuple[Gate, ...]
    rows: int
    """Test rows that neither learned from, on which both were asked."""
    more_rows: int | None
    """About how many more would tell; None where that is not what is missing."""
    promoted: bool = False
    """Whether the pointer was moved."""
    forced: bool = False
    """Whether that was in spite of the decision."""
    reason: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.forced and not self.reason:
            raise ValueError("A forced promotion carries its reason.")

    @property
    def sentence(self) -> str:
        """The decision in words, with the gates that it hangs on."""
        held = [gate.name for gate in self.gates if gate.verdict == "fail"]
        open_ = [gate.name for gate in self.gates if gate.verdict == "cannot tell"]
        if self.decision == "promote":
            return f"{self.challenger} may take the place of {self.champion}."
        if self.decision == "reject":
            return f"{self.challenger} stays out: {', '.join(held)}."
        more = f" About {self.more_rows:,} more labelled test rows would tell." if (
            self.more_rows) else ""
        return f"Cannot tell: {', '.join(open_) or 'nothing could be compared'}.{more}"
