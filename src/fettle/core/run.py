"""The Run: what training did, rung by rung, and which rung was kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fettle.core.plan import Setting
from fettle.core.score import Score

__all__ = ["Epoch", "Run", "RungResult", "Spending", "Spent", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step of the loop."""

    number: int
    """Counted from 0 over the whole rung."""
    epoch: int
    loss: float
    """Mean over the rows of the step."""
    gradient_norm: float
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training rows, and what validation said after it."""

    number: int
    """Counted from 1."""
    train_loss: float
    validation_loss: float | None
    validation_score: float | None
    """By what the rung stops by, usually Plan.metric; None where there are no validation rows."""
    seconds: float
    collapsed: bool = False
    """Every validation row was given one answer, and neither loss is better than chance."""


@dataclass(frozen=True, slots=True)
class RungResult:
    """One strategy, climbed."""

    name: str
    folder: str
    """Where its model lies, relative to the run's folder."""
    validation: Score
    """By Plan.metric, on the validation rows (out of fold where there are none)."""
    seconds: float
    """From the end of the rung below to this one's last validation score."""
    peak_bytes: int
    """Resident memory of the process at its highest."""
    history: tuple[Epoch, ...] = ()
    chosen: Mapping[str, Setting] = field(default_factory=dict)
    """What was chosen on validation: pooling, l2, epoch."""
    trials: tuple[Mapping[str, Setting], ...] = ()
    """Each setting tried and its validation score."""
    notes: tuple[str, ...] = ()
    flops: float = 0.0
    """Useful floating-point operations of its training; 0.0 where they were not counted."""
    training_seconds: float = 0.0
    """Of these operations; 0.0 where they were not timed."""
    range_test: tuple[tuple[float, float], ...] = ()
    """(learning rate, smoothed loss) of the range test, where the rate was found by one."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one rung, or all together, was predicted to cost, and what it cost.

    None stands where nothing was predicted, measured or counted.
    """

    rung: str
    predicted_seconds: float | None
    seconds: float | None
    seconds_ratio: float | None
    """Measured over predicted."""
    predicted_bytes: int | None
    peak_bytes: int | None
    bytes_ratio: float | None
    flops_per_second: float | None = None
    """Useful floating-point operations a second of its epochs, judging included in the time."""
    share_of_peak: float | None = None
    """The same over the machine's measured peak."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Every rung's cost, climbed or not, and what its speed is held against."""

    rungs: tuple[Spent, ...]
    total: Spent | None
    """Of all rungs that were both predicted and climbed; None where that is not several."""
    factor: float
    """A measured cost within this factor of the predicted one is as predicted."""
    peak: float | None
    """Matrix products in the plan's precision, floating-point operations a second."""
    calm: bool = True
    """Whether little else ran while the peak was measured."""

    def holds(self, ratio: float | None) -> bool:
        """Whether a cost was as predicted; one that was not predicted or not measured is."""
        return ratio is None or 1 / self.factor <= ratio <= self.factor


@dataclass(frozen=True, slots=True)
class Run:
    """What training made of one Plan."""

    plan: str
    """Id of the Plan."""
    folder: str
    rungs: tuple[RungResult, ...]
    kept: str
    """Name of the rung that the version is made of."""
    why: str
    poolings: tuple[str, ...] = ("mean",)
    """Of which the frozen features are kept in the run's folder."""
    first_batch_seconds: float | None = None
    """CPU seconds of the process when the first batch had gone through the network."""
    left_out: tuple[str, ...] = ()
    """A sentence for each rung that was not climbed because the budget was spent."""

    def rung(self, name: str) -> RungResult:
        """The rung of this name."""
        return next(rung for rung in self.rungs if rung.name == name)
