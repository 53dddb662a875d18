"""Drift: how far what arrives lies from what a version was tested on; and the Decision on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fettle.core.score import Score

__all__ = [
    "PREDICTION", "Arrived", "Called", "Decision", "Drift", "Estimate", "Judged", "Portrait",
    "Signal", "State", "Window",
]

PREDICTION = "prediction"
"""The trait that holds what was answered, where numbers are."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """What is watched of rows, as arrays of equal length; no text of theirs."""

    kinds: Mapping[str, str]
    """Of each column that the model reads: text, number, category or picture."""
    traits: Mapping[str, np.ndarray]
    """Float (rows,), not a number where there is nothing to measure, or names (rows,)."""
    classes: tuple[str, ...]
    """Of the version; () where it answers numbers, which are the trait `prediction` then."""
    probabilities: np.ndarray
    """(rows, classes), by the version's temperature; each row sums to 1, unless it may have several
    labels. (rows, 0) of numbers."""
    embedding: np.ndarray | None = None
    """(rows, width), what enters the head; None where it was not kept."""
    labels: tuple[str | None, ...] = ()
    """The right answers, where they are known; empty where none is."""
    thresholds: tuple[float, ...] | None = None
    """Where a row may have several labels: from which probability on each of `classes` is called;
    labels are cells of core.labels then. None: one answer a row."""

    @property
    def called(self) -> np.ndarray:
        """Where a row may have several labels: which of them are called, bool (rows, labels)."""
        assert self.thresholds is not None, "labels are called where a row may have several"
        return self.probabilities >= np.array(self.thresholds)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.probabilities)

    def of(self, rows: Sequence[int] | np.ndarray) -> "Portrait":
        """The same of these rows alone."""
        at = np.asarray(rows, dtype=np.int64)
        return Portrait(
            self.kinds, {name: one[at] for name, one in self.traits.items()}, self.classes,
            self.probabilities[at], None if self.embedding is None else self.embedding[at],
            tuple(self.labels[row] for row in at) if self.labels else (), self.thresholds,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """Rows in the order in which they arrived."""

    name: str
    portrait: Portrait
    ids: tuple[str, ...]
    at: tuple[str, ...] = ()
    """When each came; empty where that is not known."""
    streams: tuple[str, ...] = ()
    """How each came to its label: audit or user; empty where every row is labelled alike."""
    notes: tuple[str, ...] = ()
    watched: int | None = None
    """Of the newest rows, that are cut into windows; None of all. Older ones are there for their
    labels, which come late."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal in one window, compared with the reference."""

    name: str
    kind: str
    """numbers, categories, newcomers, labels or embedding: the test, and the unit of the effect."""
    effect: float
    floor: float
    """The least effect that is worth an alarm."""
    p: float
    """Adjusted for all signals of the window."""
    rows: int
    """Of the window, that have this signal."""
    reference: int
    """Rows of the reference that have it."""
    needed: int | None
    """Rows of a window that are enough; None where the reference is too small for any."""
    told: str
    """What changed, in words."""
    alarm: bool | None
    """None where there are not enough rows to say."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score without labels, with its band of three standard errors."""

    metric: str
    value: float
    low: float
    high: float
    rows: int
    fallen: bool


@dataclass(frozen=True, slots=True)
class Called:
    """One of several labels that a row may have: how often it is given, and how well."""

    label: str
    before: float
    """Share of the test rows in which it was called."""
    now: float
    """Share of the last window's."""
    at_release: Score
    """F1 on the test rows."""
    expected: Estimate | None
    """F1 that the last window's probabilities promise; None where too few test rows have it."""


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that arrived one after another."""

    first: str
    """Id of its first row."""
    last: str
    begun: str
    """When its first row came; empty where that is not known."""
    rows: int
    signals: tuple[Signal, ...]
    estimate: Estimate | None
    """None where numbers are answered, which do not say how sure they are."""

    @property
    def alarms(self) -> tuple[str, ...]:
        """The names of the signals that raise one."""
        return tuple(one.name for one in self.signals if one.alarm)


@dataclass(frozen=True, slots=True)
class State:
    """Where a signal stands after all windows."""

    signal: str
    state: str
    """drift (in two of the last three windows), suspected (in the last), steady, or not enough."""
    since: int | None
    """Number of the window, from 0, with which the alarm began."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Answers that were compared with labels which came later."""

    stream: str
    """all, audit (drawn at random: unbiased) or user (whoever complained: biased)."""
    score: Score
    """Accuracy (of numbers, the mean absolute error; of several labels, the mean F1 of rows) with
    its 95% interval for one look."""
    low: float | None
    high: float | None
    """An interval that holds however often it is looked at; None where numbers are answered."""
    verdict: str
    """fallen, holds, or not enough."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What a watch found."""

    version: str
    data: str
    rows: int
    reference: int
    """Rows that it was compared with: the version's own test rows."""
    at_release: Score
    """Accuracy on them; of numbers, the mean absolute error; of several labels, the mean F1 of
    rows."""
    promised: Estimate | None
    """What the model's probabilities promised of them; None of numbers."""
    windows: tuple[Window, ...]
    states: tuple[State, ...]
    judged: tuple[Judged, ...] = ()
    notes: tuple[str, ...] = ()
    labels: tuple[Called, ...] = ()
    """Where a row may have several labels: each of them."""

    @property
    def drifted(self) -> tuple[str, ...]:
        """The signals whose drift is confirmed."""
        return tuple(one.signal for one in self.states if one.state == "drift")

    @property
    def suspected(self) -> tuple[str, ...]:
        """The signals that raised an alarm in the last window alone, of the last three."""
        return tuple(one.signal for one in self.states if one.state == "suspected")

    @property
    def has_fallen(self) -> bool:
        """Whether labels that are no biased sample show that the score has fallen."""
        return any(one.verdict == "fallen" and one.stream != "user" for one in self.judged)

    @property
    def is_expected_to_have_fallen(self) -> bool:
        """Whether two of the last three windows promise less than the test rows did."""
        fallen = [one.estimate is not None and one.estimate.fallen for one in self.windows[-3:]]
        return sum(fallen) >= 2

    @property
    def severity(self) -> str:
        """blocker: labels show a fall; warn: confirmed drift; note: suspected; or empty."""
        if self.has_fallen:
            return "blocker"
        if self.drifted or self.is_expected_to_have_fallen:
            return "warn"
        return "note" if self.suspected else ""

    @property
    def sentence(self) -> str:
        """The finding in a line."""
        if self.has_fallen:
            return f"{self.version} does worse than on its test rows, as labels show."
        if self.drifted:
            return f"What {self.version} reads has drifted: {', '.join(self.drifted)}."
        if self.is_expected_to_have_fallen:
            return f"{self.version} is less sure than on its test rows."
        if self.suspected:
            return f"Perhaps drift, seen in the last window alone: {', '.join(self.suspected)}."
        if all(one.state == "not enough" for one in self.states):
            return "Not enough rows to say."
        return f"No drift from what {self.version} was tested on."


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a version in production."""

    action: str
    """keep, retrain, promote or roll back."""
    reasons: tuple[str, ...]
    command: str = ""
    """What does it; empty where nothing is to be done."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What it hangs on."""
