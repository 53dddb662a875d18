"""Upkeep: what the registry tells about itself. Events, an inspection, and what was collected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Collection", "Event", "Inspection", "Pointer"]


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which version a name's champion, challenger or previous is."""

    number: int
    generation: int
    """One more with every move; whoever moves it says which one was seen."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. The log only grows, and each entry names the one before."""

    id: int
    """Counted from 1, without a gap."""
    at: str
    """UTC, ISO 8601."""
    name: str
    """Of the model."""
    event: str
    """publish, champion, challenger, gate, promote, rollback or collect."""
    actor: str
    """Who: user@host, or what was given."""
    reason: str
    detail: Mapping[str, Any]
    previous: str
    """Hash of the event before; empty for the first."""
    hash: str
    """sha256 over all of the above."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was looked at, and everything that is not as it was written."""

    versions: int
    files: int
    bytes: int
    events: int
    problems: tuple[str, ...]
    """One sentence each; none where all is well."""
    notes: tuple[str, ...]
    """What is no fault, and good to know."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What `gc` removed, or would remove."""

    versions: tuple[str, ...]
    """NAME@N, whose files go; their entries and history stay."""
    files: int
    bytes: int
    dry: bool
    """Whether nothing was removed, because that was only asked about."""
    kept_back: int
    """Files that nothing refers to but that are too young to go."""
