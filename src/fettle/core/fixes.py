"""Fixes: repairs of single rows, proposed by checks and approved by a person in a file.

Nothing is deleted or relabelled without that file; it is known by its hash wherever it was used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Action", "Fix", "Fixes", "Proposal"]


class Action(StrEnum):
    """What is to be done with a row."""

    DROP = "drop"
    """As if the row had never been in the file."""
    RELABEL = "relabel"
    """Another answer."""
    MERGE = "merge-label"
    """The usual spelling of the same answer."""
    MOVE = "move-out-of-training"
    """It stays listed, and is neither learned from nor chosen by nor judged by."""

    @property
    def gives_label(self) -> bool:
        """Whether it puts a new answer in the place of the old."""
        return self in (Action.RELABEL, Action.MERGE)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a check would do about one row."""

    row: int
    action: Action
    new: str
    """The answer to give it; "" where the action gives none."""
    why: str
    check: str


@dataclass(frozen=True, slots=True)
class Fix:
    """One line of a fixes file."""

    row: str
    """The row's id: tickets.csv:1843."""
    action: Action
    old: str
    """The answer that must stand there now; "" where none does."""
    new: str
    why: str = ""
    check: str = ""
    text: str = ""
    """How the row begins, so that a person can judge and a row that has changed is noticed; ""
    where that is not to be compared."""


@dataclass(frozen=True, slots=True)
class Fixes:
    """A file of fixes and what it did."""

    path: str
    sha256: str = ""
    """Of the file that was applied; "" before it is."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Rows by action."""
