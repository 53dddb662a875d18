"""Compared: two runs on the same test rows."""

from dataclasses import dataclass

from fettle.core.evaluation import Comparison, Score

__all__ = ["Change", "Compared"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs between two runs."""

    what: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Two runs on the same test rows: what changed, and what came of it."""

    first: str
    second: str
    """The runs' folders."""
    changes: tuple[Change, ...]
    scores: tuple[tuple[Score, Score], ...]
    """Each score of the first and of the second."""
    comparison: Comparison
    """By accuracy; of numbers, by the mean absolute error."""
    macro_f1: Comparison | None
    """None where numbers are answered."""
    classes: tuple[Comparison, ...]
    """Of the rows of each class, the class by name as the metric; p is adjusted over classes."""
