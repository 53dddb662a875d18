"""The Run: what training did, rung by rung, and which rung was kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev

from fettle.core.plan import Setting
from fettle.core.score import Score

__all__ = ["Epoch", "Repeat", "Run", "RungResult", "Spending", "Spent", "Spread", "Step"]


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
    deviation: float = 0.0
    """Standard error of the score, as far as it is known."""


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
class Repeat:
    """The kept rung with one seed: what validation said of it."""

    rung: str
    seed: int
    validation: Score
    """By Plan.metric, on the same rows whatever the seed."""
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the kept rung's validation score hangs on the seed. Nothing was chosen by it."""

    repeats: tuple[Repeat, ...]
    """The seed that the version is of first."""
    left_out: tuple[str, ...] = ()
    """Why seeds that were asked for are not among them."""

    def __post_init__(self) -> None:
        if not self.repeats:
            raise ValueError("a spread has the seed of the version at least")

    @property
    def mean(self) -> float:
        """Of the scores."""
        return fmean(one.validation.value for one in self.repeats)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of one seed's score (n - 1); None of one seed."""
        values = [one.validation.value for one in self.repeats]
        return stdev(values) if len(values) > 1 else None

    @property
    def worst(self) -> Repeat:
        """The seed with the lowest score."""
        return min(self.repeats, key=lambda one: one.validation.value)

    @property
    def best(self) -> Repeat:
        """The seed with the highest score."""
        return max(self.repeats, key=lambda one: one.validation.value)

    @property
    def sentence(self) -> str:
        """All of it, in words."""
        own = self.repeats[0]
        score = own.validation
        kept = f"The version is of seed {own.seed}, whatever the others gave"
        if self.deviation is None:
            return f"{own.rung} was climbed with seed {own.seed} alone."
        return (
            f"{own.rung} with {len(self.repeats)} seeds: {score.name.replace('_', ' ')} "
            f"{self.mean:.3f} on average, standard deviation {self.deviation:.3f}, from "
            f"{self.worst.validation.value:.3f} (seed {self.worst.seed}) to "
            f"{self.best.validation.value:.3f} (seed {self.best.seed}), on the same "
            f"{score.rows:,} rows. {kept}: the best of several would flatter itself."
        )


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
    spread: Spread | None = None
    """Over seeds; None where one was asked for, or where no seed changes what is kept."""

    def rung(self, name: str) -> RungResult:
        """The rung of this name."""
        return next(rung for rung in self.rungs if rung.name == name)
