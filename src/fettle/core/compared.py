"""The Compared: two finished runs on the same test rows, and what lies between them."""

from dataclasses import dataclass

from fettle.core.score import Comparison, Score

__all__ = ["Change", "Compared", "Turned"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs between two runs."""

    what: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Turned:
    """A test row that the two runs answer differently."""

    id: str
    label: str
    first: str
    """What the first run says."""
    second: str

    @property
    def how(self) -> str:
        """came right, went wrong, or wrong in another way."""
        if self.second == self.label:
            return "came right"
        return "went wrong" if self.first == self.label else "wrong in another way"


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
    turned: tuple[Turned, ...] = ()
    """Test rows that are answered differently, at most 100 of each kind."""
    turned_rows: int = 0
    """How many there are in all."""
    openings: int = 1
    """How many times these test rows had been looked at when the later run was judged."""
