"""The Version: a model that can be served, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Prediction", "Report", "Version"]


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
    value: str
    confidence: float
    """Probability of the value, from 0 to 1."""
    version: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Of the three likeliest classes."""
