"""The Score and the Comparison: a measured number or difference, and how sure one can be of it."""

import math
from dataclasses import dataclass

__all__ = ["NONE", "Comparison", "Score", "figures", "number", "signed"]

NONE = "–"
"""Stands where there is nothing to say: not measured, not finite, not done."""
_IN_UNITS = frozenset(("mae", "rmse", "bias"))
"""What is in the unit of the target, which may be tiny."""
_TINY = 0.1
"""Of these, below it three decimals say too little."""
_LARGE, _HUGE = 1000, 1e15


def figures(value: float, most: int = 6) -> str:
    """A number of any size with so many figures that mean something; all before the point."""
    is_long = 10**most <= abs(value) < 1e15
    return f"{value:.0f}" if is_long else f"{value:.{most}g}"


def number(value: float, name: str = "") -> str:
    """A measured number as the console, the report and the model card write it.

    Three decimals; from a thousand on none; four figures of what is in the unit of the target and
    below 0.1; a dash where it is not finite.

    Args:
        value: of any size.
        name: of the score that it is, or of one in the same unit.
    """
    if not math.isfinite(value):
        return NONE
    if abs(value) >= _LARGE:
        return f"{value:,.0f}" if abs(value) < _HUGE else f"{value:.4g}"
    if name in _IN_UNITS and abs(value) < _TINY:
        return figures(value, 4)
    return f"{value:.3f}".replace("-0.000", "0.000")


def signed(value: float, name: str = "") -> str:
    """A difference as `number` writes it, behind its sign; no sign before zero."""
    text = number(abs(value), name)
    is_nothing = text in ("0", "0.000", NONE)
    return text if is_nothing else ("+" if value > 0 else "-") + text


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
        value, low, high = (number(one, self.name) for one in (self.value, self.low, self.high))
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
