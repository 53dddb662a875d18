"""Progress: what a long verb yields while it works, for whoever wants to draw it.

A verb that takes long is a generator: it yields Progress and Notes, and returns its noun.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Note", "Progress", "finish"]

Noun = TypeVar("Noun")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one long part has come."""

    what: str
    """Such as "features" or "full: epoch 2 of 6"."""
    done: int
    total: int
    unit: str = "rows"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened and that a person should know now."""

    sentence: str
    left_out: str = ""
    """The rung that is not climbed, where that is what happened."""


def finish(work: Generator[object, None, Noun]) -> Noun:
    """The noun that a long verb returns, for callers who do not watch."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
