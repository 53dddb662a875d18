"""The Score and the Comparison: a measured number or difference, and how sure one can be of it."""

from dataclasses import dataclass

__all__ = ["Comparison", "Score"]


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same rows: what the second gains on the first. Of scores of which less is
    better, such as mae, that is the first minus the second."""

    first: str
    second: str
    metric: str
    difference: float
    low: float
    high: float
    """95% interval of the difference, paired."""
    wins: int
    """Rows that only the second gets right; of numbers, that it is nearer to."""
    losses: int
    """Rows that only the first gets right, or is nearer to."""
    p: float
    """Exact McNemar, two-sided (of numbers, by turned signs); where rows hang together, exact over
    the signs of whole groups."""
    rows: int
    groups: int | None = None
    """Where rows hang together, how many groups there are, each counted whole."""

    @property
    def verdict(self) -> str:
        """better, worse, or cannot tell: better means that the interval leaves out zero."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "cannot tell"
