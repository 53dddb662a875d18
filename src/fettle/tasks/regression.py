"""Regression: one number a row, judged by MAE, RMSE, R2 and Spearman's rank correlation.

The network answers in standard deviations of the training rows' targets; whatever leaves this file
as an answer is in the target's own unit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fettle.core.errors import InputError
from fettle.core.evaluation import Evaluation
from fettle.core.parts import Card, LossPart
from fettle.core.plan import Plan, Unit
from fettle.core.score import Score
from fettle.core.version import Prediction
from fettle.measures import regression
from fettle.measures.traits import LARGEST, in_numbers
from fettle.tasks.judging_numbers import LEVEL, JudgeOfNumbers

if TYPE_CHECKING:
    import torch

__all__ = ["Regression"]

BINS = 10
"""Strata of the targets at most, by their quantiles."""
FEWEST_IN_A_BIN = 10
HUBER = 1.0
"""Standard deviations of the targets from which on the Huber loss is linear."""


class Regression:
    """One number a row; outputs are (number - unit.mean) / unit.spread."""

    name = "regression"
    couples_rows = False
    solver = "ridge"
    classes: tuple[str, ...] = ()
    outputs = 1
    metrics: tuple[str, ...] = ("r2", "spearman")
    stops: tuple[str, ...] = ("r2", "spearman")
    losses: tuple[str, ...] = ("plain", "huber")
    log_prior: np.ndarray | None = None
    temperature = 1.0
    named = False
    """Whether the cells of the target are names, so that some may be new."""
    evenly = "as many from each tenth of the target's values"
    """How `parted` spreads the rows."""

    def __init__(
        self, unit: Unit | Mapping[str, float], *, half_width: float | None = None,
        level: float = LEVEL, loss: str = "plain",
    ) -> None:
        """The task of numbers in this unit.

        Args:
            unit: mean and standard deviation of the training rows' targets.
            half_width: of the interval around an answer, in the target's unit.
            level: how often that interval should hold the truth.
            loss: plain, the squared error; huber, linear from one standard deviation on.
        """
        self.unit = unit if isinstance(unit, Unit) else Unit(**unit)
        self.half_width, self.level, self._loss = half_width, level, loss

    @classmethod
    def of_plan(cls, plan: Plan) -> "Regression":
        """The task of this plan."""
        assert plan.unit is not None, "a plan of numbers says what they are in"
        return cls(plan.unit)

    @classmethod
    def proposed(
        cls, learners: Sequence[str | None], train: Sequence[str | None]
    ) -> "tuple[Regression, str, str]":
        """The task of these rows, the metric that rungs are compared by, and why that one.

        Args:
            learners: cells of the rows to learn from and to choose by.
            train: of the first of these; they alone give the unit.
        """
        given = in_numbers(train)
        unit = Unit(float(given.mean()), float(given.std()) or 1.0)
        return cls(unit), "r2", (
            f"Rungs are compared by R2, the share of the target's variance that is explained; the "
            f"training rows' targets have a mean of {unit.mean:.4g} and a standard deviation of "
            f"{unit.spread:.4g}, which the network's numbers are counted in."
        )

    @staticmethod
    def require_teachable(cells: Sequence[str], *, column: str, next_: str) -> None:
        """Return if these answers hold at least two different numbers.

        Args:
            cells: of the target in the rows to learn from, none of them blank.
            column: what to call it.
            next_: what else a person may do.

        Raises:
            InputError: hardly a cell is a number, or all say the same one.
        """
        found = in_numbers(cells)
        numbers_ = found[np.isfinite(found)]
        if 2 * len(numbers_) < len(cells):
            odd = cells[int(np.flatnonzero(~np.isfinite(found))[0])]
            raise InputError(
                f"{column} holds {len(cells) - len(numbers_):,} cells of {len(cells):,} that are "
                f"no finite number, {odd!r} first. Numbers are written like 3.5 or 1e3, "
                f"and none is larger than {LARGEST:g}; give "
                f"--task classification if these are names.{next_}"
            )
        if len(np.unique(numbers_)) == 1:
            raise InputError(
                f"{column} says {numbers_[0]:g} in every row, so there is nothing to learn. Add "
                f"rows with other numbers.{next_}"
            )

    @staticmethod
    def answered(cells: Sequence[str | None]) -> np.ndarray:
        """Which cells hold an answer, bool (rows,): all that are finite numbers."""
        return np.isfinite(in_numbers(cells))

    @staticmethod
    def parted(cells: Sequence[str | None]) -> np.ndarray:
        """What a split should have an even share of, (rows,): the target's tenths."""
        return _binned(in_numbers(cells))

    def facts(self) -> Mapping[str, Any]:
        """The unit, and how sure an answer is."""
        return {
            "unit": {"mean": self.unit.mean, "spread": self.unit.spread},
            "half_width": self.half_width, "level": self.level,
        }

    def targets(self, cells: Sequence[str | None]) -> np.ndarray:
        """The cells as numbers in their own unit, float (rows,).

        Raises:
            InputError: a cell is no finite number.
        """
        found = in_numbers(cells)
        if not np.isfinite(found).all():
            odd = cells[int(np.flatnonzero(~np.isfinite(found))[0])]
            raise InputError(
                f"The target {odd!r} is no finite number. Mend the cell, or take the row out."
            )
        return found

    def coded(self, targets: np.ndarray) -> np.ndarray:
        """Standard deviations from the mean."""
        return np.asarray((targets - self.unit.mean) / self.unit.spread)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The targets' tenths: int (rows,)."""
        return _binned(targets)

    def head(self, card: Card, pooling: str, dropout: float) -> Mapping[str, Any]:
        """A linear head over pooled vectors; of length 1 where the network was trained so."""
        return {
            "kind": "linear", "pooling": pooling, "normalise": card.embeds_sentences,
            "dropout": dropout, "outputs": 1,
        }

    def taught(self, targets: np.ndarray, *, loss: str, label_smoothing: float) -> "Regression":
        """The same task with another loss: plain or huber.

        Source: Huber, "Robust Estimation of a Location Parameter", Ann. Math. Statist. 35, 1964.
        """
        return Regression(self.unit, half_width=self.half_width, level=self.level, loss=loss)

    def constants(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The median, which the Huber loss likes, and the mean of the targets."""
        coded = self.coded(targets)
        return np.array([np.median(coded)]), np.array([coded.mean()])

    def is_flat(self, outputs: np.ndarray, targets: np.ndarray) -> bool:
        """Whether every row is given nearly one number, although the targets differ."""
        return bool(outputs.std() < 0.01 and self.coded(targets).std() > 0.01)

    def plain_loss(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """The mean squared error, in variances of the targets."""
        return float(np.square(outputs[:, 0] - self.coded(targets)).mean())

    def counts(self, batch: "dict[str, torch.Tensor]") -> dict[str, int]:
        """Rows with a target."""
        return {"error": len(batch["target"])}

    def loss(
        self, outputs: "torch.Tensor", batch: "dict[str, torch.Tensor]"
    ) -> dict[str, LossPart]:
        """The squared or Huber error in standard deviations, summed over rows."""
        from torch.nn import functional

        wanted = ((batch["target"] - self.unit.mean) / self.unit.spread).to(outputs.device)
        found = outputs.float()[:, 0]
        if self._loss == "huber":
            total = 2 * functional.huber_loss(found, wanted.float(), reduction="sum", delta=HUBER)
        else:
            total = functional.mse_loss(found, wanted.float(), reduction="sum")
        return {"error": LossPart(total, len(outputs))}

    def calibrated(self, outputs: np.ndarray) -> np.ndarray:
        """The numbers in the target's unit, float64 (rows, 1)."""
        return self.judge.said(outputs)[:, None]

    def predictions(
        self, outputs: np.ndarray, ids: Sequence[str], version: str
    ) -> list[Prediction]:
        """The number of each row in the target's unit, and the interval around it."""
        half = self.half_width
        return [
            Prediction(id, value, None, version,
                       interval=None if half is None else (value - half, value + half))
            for id, value in zip(ids, self.judge.said(outputs).tolist(), strict=True)
        ]

    def score(self, metric: str) -> Callable[[np.ndarray, np.ndarray], float]:
        """From (outputs, targets) to this metric."""
        measure = regression.SCORES[metric]
        return lambda outputs, targets: measure(targets, self.judge.said(outputs))

    def interval(
        self, metric: str, outputs: np.ndarray, targets: np.ndarray, *, seed: int,
        groups: np.ndarray | None = None,
    ) -> Score:
        """The metric with its bootstrap interval."""
        return regression.score(
            metric, targets, self.judge.said(outputs), seed=seed, groups=groups)

    def paired_loss(
        self, metric: str, best: np.ndarray, other: np.ndarray, targets: np.ndarray, *, seed: int,
        groups: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """Loss of the other against the best by the metric, and its bootstrap standard error."""
        said = self.judge.said(best), self.judge.said(other)
        return regression.paired_loss(metric, targets, *said, seed=seed, groups=groups)

    def fitted(self, outputs: np.ndarray, targets: np.ndarray) -> "Regression":
        """With the interval that these rows, which were not learned from, give its answers."""
        errors = np.abs(self.judge.said(outputs) - targets)
        return Regression(
            self.unit, half_width=regression.half_width(errors, self.level), level=self.level)

    def of(self, evaluation: Evaluation) -> "Regression":
        """With the interval that was found."""
        found = evaluation.residuals
        return Regression(
            self.unit, half_width=found.half_width if found else None, level=self.level)

    @property
    def judge(self) -> JudgeOfNumbers:
        """Absolute errors, row by row."""
        return JudgeOfNumbers(self.unit, self.half_width, self.level)


def _binned(values: np.ndarray) -> np.ndarray:
    """The number of each value's part by rank, int (rows,); equal values share theirs."""
    bins = max(min(BINS, len(values) // FEWEST_IN_A_BIN), 1)
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="left")
