"""The Certificate of an export: what was asked of the version and of its copy, and how far apart
their answers were."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Certificate", "Trial"]


@dataclass(frozen=True, slots=True)
class Trial:
    """Rows that were asked in batches of one size."""

    batch_rows: int
    """Of each batch; the last one may be smaller."""
    rows: int
    shortest: int
    """Tokens of the shortest batch, padding included; or pixels a side."""
    longest: int
    difference: float
    """The largest of an output."""
    changed: int
    """Rows whose likeliest class was another; where a row may have several labels, rows with
    another set of them."""
    probability: float = 0.0
    """Where a row may have several labels: the largest difference of the probability of one."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """That what was exported answers as the version does; it lies beside the files."""

    version: str
    made_of: Mapping[str, str]
    """sha256 of each of the version's files that its answers hang on."""
    form: str
    """The name in EXPORTERS."""
    classes: tuple[str, ...]
    """What the outputs stand for, in their order."""
    rows_from: str
    """Whose rows were asked."""
    trials: tuple[Trial, ...]
    tolerance: float
    """That no output differed by more than. Outputs are divided by the temperature, before softmax;
    both sides compute in fp32."""
    served_precision: str
    """In which `fettle predict` answers here."""
    served_difference: float
    """Largest difference of an output from that."""
    served_changed: int
    """Rows that `fettle predict` answers otherwise: bf16 decides some near ties in its own way."""
    made_with: Mapping[str, str]
    """Libraries and their versions."""
    notes: tuple[str, ...]
    files: Mapping[str, str]
    """sha256 of each file beside it, by path."""
    unit: str = "tokens"
    """In which the lengths of the trials are told: tokens, or pixels a side."""
    several: float | None = None
    """Where a row may have several labels: the most that a probability may differ by; else None."""

    def __post_init__(self) -> None:
        if not self.trials:
            raise ValueError("A certificate says what was asked.")

    @property
    def largest_difference(self) -> float:
        """Of an output, over all trials; NaN where one of them was no number."""
        found = [trial.difference for trial in self.trials]
        return max(found) if all(one == one for one in found) else float("nan")

    @property
    def largest_probability(self) -> float:
        """The largest difference of a probability, over all trials; infinite where one is none."""
        return max(trial.probability for trial in self.trials)

    @property
    def changed(self) -> int:
        """Answers that changed, over all trials."""
        return sum(trial.changed for trial in self.trials)

    @property
    def holds(self) -> bool:
        """Whether no output, and no probability of several labels, is further off than is allowed,
        and no answer another."""
        near = self.several is None or self.largest_probability <= self.several
        return self.largest_difference <= self.tolerance and near and not self.changed

    @property
    def sentence(self) -> str:
        """What was asked and found, in one line."""
        asked = sum(trial.rows for trial in self.trials)
        sizes = sorted({trial.batch_rows for trial in self.trials})
        lengths = [length for one in self.trials for length in (one.shortest, one.longest)]
        told = "" if self.several is None else (
            f"probabilities by at most {self.largest_probability:.2g} ({self.several:.2g}), ")
        answers = "answers" if self.several is None else "sets of labels"
        return (
            f"{asked:,} answers in batches of {', '.join(map(str, sizes))} rows and {min(lengths)} "
            f"to {max(lengths)} {self.unit}: outputs differ by at most "
            f"{self.largest_difference:.2g} "
            f"({self.tolerance:.2g} is allowed), {told}{self.changed or 'no'} {answers} changed."
        )
