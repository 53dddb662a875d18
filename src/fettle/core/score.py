"""The Score and the Comparison: a measured number or difference, and how sure one can be of it."""

from dataclasses import dataclass

__all__ = ["Comparison", "Score", "figures"]

_IN_UNITS = ("mae", "rmse")
"""Scores in the unit of the target, which may be tiny."""
_TINY = 0.1
"""Of these, below it three decimals say too little."""


def figures(value: float, most: int = 6) -> str:
    """A number of any size with so many figures that mean something; all before the point."""
    is_long = 10**most <= abs(value) < 1e15
    return f"{value:.0f}" if is_long else f"{value:.{most}g}"


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
        is_tiny = self.name in _IN_UNITS and self.value < _TINY
        ends = self.value, self.low, self.high
        value, low, high = (figures(one, 4) if is_tiny else f"{one:.3f}" for one in ends)
        return f"{self.name.replace('_', ' ')} {value} [{low}, {high}] on {self.rows:,} rows"


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
