"""The Evaluation: before and after on the test rows, and how sure one can be of every number."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = [
    "ClassScores",
    "Comparison",
    "Contender",
    "Evaluation",
    "Latency",
    "Outcomes",
    "Score",
]


@dataclass(frozen=True, slots=True)
class Score:
    """A measured number and how sure we are of it."""

    name: str
    value: float
    low: float
    high: float
    rows: int
    """How many rows it was measured on."""

    def __str__(self) -> str:
        interval = f"[{self.low:.3f}, {self.high:.3f}]"
        return f"{self.name.replace('_', ' ')} {self.value:.3f} {interval} on {self.rows:,} rows"


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What happened on each row, as columns of equal length; the task says which."""

    columns: Mapping[str, np.ndarray]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same rows: the second minus the first."""

    first: str
    second: str
    metric: str
    difference: float
    low: float
    high: float
    """95% interval of the difference, paired."""
    wins: int
    """Rows that only the second gets right."""
    losses: int
    """Rows that only the first gets right."""
    p: float
    """Exact McNemar, two-sided."""
    rows: int

    @property
    def verdict(self) -> str:
        """better, worse, or cannot tell: better means that the interval leaves out zero."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "cannot tell"


@dataclass(frozen=True, slots=True)
class Contender:
    """Anything that was scored on the test rows."""

    name: str
    """Such as zero_shot, nearest_mean, majority, tfidf, features, full."""
    kind: str
    """before, baseline or rung."""
    scores: tuple[Score, ...]
    versus_kept: Comparison | None
    """The kept model against this one; None for the kept model itself."""
    note: str = ""
    """Such as "uses training labels"."""

    def score(self, name: str) -> Score:
        """The score of this name."""
        return next(score for score in self.scores if score.name == name)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class on the test rows."""

    label: str
    rows: int
    """Test rows of this class."""
    precision: Score
    recall: Score
    f1: Score


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the kept model takes to answer, preprocessing included."""

    batch: int
    p50_seconds: float
    p95_seconds: float
    repeats: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything measured on the test rows."""

    test: str
    """Fingerprint of the test rows."""
    rows: int
    openings: int
    """How many times these test rows have been looked at, this one included."""
    metric: str
    kept: str
    before: str | None
    """The better of the contenders of kind "before"; None for rows scored on their own."""
    contenders: tuple[Contender, ...]
    classes: tuple[ClassScores, ...]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Counts; a line is a true class, a column a predicted one, in the order of labels."""
    latency: tuple[Latency, ...] = ()
    smallest_gain: float | None = None
    """The smallest gain in accuracy that this many test rows show in 80% of cases."""
    notes: tuple[str, ...] = ()

    def contender(self, name: str) -> Contender:
        """The contender of this name."""
        return next(one for one in self.contenders if one.name == name)
