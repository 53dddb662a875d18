"""The journal's nouns: what a served version answered, and what people said of it afterwards."""

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

__all__ = ["STREAMS", "Answered", "Answers", "Feedback", "Label", "Labels", "is_audited"]

STREAMS = ("user", "audit")
"""Audit: a random share of all answers, so that labels of it say how good the whole is. User: the
rest; whoever complains is no random sample."""
_IDS = 16**8


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """One answer that was given."""

    id: str
    """Of the prediction: 32 hex digits, a random UUID."""
    at: datetime.datetime
    """When; it knows its time zone."""
    version: str
    """NAME@N."""
    value: str
    probabilities: np.ndarray
    """float64 (classes,), in the order of the version's classes, to 5 digits; empty where a
    number was answered."""
    embedding: np.ndarray | None = None
    """float32 (width,): the pooled vector that the head saw, to 5 digits; None where not kept."""
    inputs: Mapping[str, str] | None = None
    """The row's text by column; None unless the server was told to keep it."""
    stream: str = "user"
    traits: Mapping[str, float] = field(default_factory=dict)
    """Of a picture: how bright, how sharp, how large ..., to 5 digits; nothing of a text."""

    def __post_init__(self) -> None:
        if self.stream not in STREAMS:
            raise ValueError(f"stream is {self.stream!r}, not {' or '.join(STREAMS)}")
        if not np.isfinite(list(self.traits.values())).all():
            raise ValueError("traits hold what is no finite number")
        if not np.isfinite(self.probabilities).all():
            raise ValueError("probabilities are no finite numbers")
        if not len(self.probabilities) and not np.isfinite(float(self.value)):
            raise ValueError("value is no finite number")
        if self.embedding is not None and not np.isfinite(self.embedding).all():
            raise ValueError("embedding holds what is no finite number")
        if self.at.tzinfo is None:
            raise ValueError(f"at is {self.at.isoformat()}, without a time zone")


@dataclass(frozen=True, slots=True)
class Answers:
    """What a journal holds, in the order in which it was written."""

    answers: tuple[Answered, ...]
    passed_over: tuple[str, ...]
    """A sentence for each line that is torn or says something else."""


@dataclass(frozen=True, slots=True)
class Label:
    """What the answer should have been, as somebody said."""

    id: str
    """Of the prediction."""
    label: str
    at: datetime.datetime
    """When it was entered."""
    source: str
    """user or audit; labels of the audit stream alone are a random sample."""
    by: str = ""
    """Who said it; empty where nobody is named."""

    def __post_init__(self) -> None:
        if self.source not in STREAMS:
            raise ValueError(f"source is {self.source!r}, not {' or '.join(STREAMS)}")
        if self.at.tzinfo is None:
            raise ValueError(f"at is {self.at.isoformat()}, without a time zone")


@dataclass(frozen=True)
class Labels:
    """All labels that were entered, in their order; nothing is replaced by a later one."""

    labels: tuple[Label, ...]
    passed_over: tuple[str, ...]
    """A sentence for each line that is torn or says something else."""

    @cached_property
    def contradicted(self) -> Mapping[str, tuple[str, ...]]:
        """The ids about which labels differ, and what was said, in the order in which it was."""
        said: dict[str, dict[str, None]] = {}
        for one in self.labels:
            said.setdefault(one.id, {})[one.label] = None
        return {id: tuple(labels) for id, labels in said.items() if len(labels) > 1}

    def settled(self, source: str | None = None) -> dict[str, str]:
        """The label of each id of this source, or of both; what it contradicts itself is left out.

        The audit stream stands for itself: no other label takes a row out of it.
        """
        said: dict[str, set[str]] = {}
        for one in self.labels:
            if source in (None, one.source):
                said.setdefault(one.id, set()).add(one.label)
        return {id: next(iter(labels)) for id, labels in said.items() if len(labels) == 1}

    def people(self, source: str) -> dict[str, str]:
        """Who alone labelled each id of this source; "" where nobody is named, or others did too.
        """
        said: dict[str, set[str]] = {}
        for one in self.labels:
            if one.source == source:
                said.setdefault(one.id, set()).add(one.by)
        return {id: next(iter(by)) if len(by) == 1 else "" for id, by in said.items()}


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of the labels in one file."""

    entered: tuple[Label, ...]
    known: int
    """Rows that said what had been said before, by the same source."""
    unknown: tuple[str, ...]
    """Ids that the journal does not hold; nothing was entered for them."""
    strange: Mapping[str, int]
    """Labels that are none of the classes, each with its rows; not entered, unless asked for."""
    unaudited: tuple[str, ...]
    """Ids that were to be of the audit stream and are not; nothing was entered for them."""
    contradicted: Mapping[str, tuple[str, ...]]
    """Ids of this file about which labels differ by now; all are kept, and none of them counts."""
    empty: tuple[str, ...]
    """Rows without an id or without a label."""


def is_audited(id: str, share: float) -> bool:
    """Whether a prediction belongs to the audit stream: decided by its random id alone.

    Args:
        id: 32 random hex digits.
        share: of all predictions, from 0 to 1.
    """
    return int(id[:8], 16) < math.floor(share * _IDS)
