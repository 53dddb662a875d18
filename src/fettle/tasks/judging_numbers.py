"""Judging answers that are one number a row: errors, residuals, the interval around an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fettle.core.evaluation import Contender, Fitting, LookAt, Residuals, Span
from fettle.core.plan import Unit
from fettle.core.run import Epoch
from fettle.core.score import Comparison, Score, figures
from fettle.measures import fitting, regression
from fettle.measures.intervals import mean_interval, share_interval
from fettle.measures.traits import in_numbers

__all__ = ["LEVEL", "JudgeOfNumbers"]

LEVEL = 0.9
"""How often the interval around an answer should hold the truth."""
SPANS, FEWEST_IN_A_SPAN = 10, 10
POINTS = 500
"""Of a drawing."""
SHOWN = 15
"""Rows to look at, at most."""


class JudgeOfNumbers:
    """Of numbers in this unit, with an interval around each answer."""

    by_row = regression.ERRORS

    def __init__(self, unit: Unit, half_width: float | None, level: float) -> None:
        self.unit, self.half_width, self.level = unit, half_width, level

    def truth(self, cells: Sequence[str | None]) -> np.ndarray:
        """The cells as numbers, float (rows,)."""
        return in_numbers(cells)

    def said(self, outputs: np.ndarray) -> np.ndarray:
        """The answers in the target's unit, float64 (rows,)."""
        return np.asarray(outputs[:, 0].astype(np.float64) * self.unit.spread + self.unit.mean)

    def values(self, said: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Absolute errors, float (rows,)."""
        return np.abs(said - truth)

    def named(self, said: np.ndarray) -> list[str]:
        """The numbers with six figures."""
        return [figures(float(one)) for one in said]

    def contenders(
        self, answers: Mapping[str, tuple[str, np.ndarray, str]], truth: np.ndarray, *,
        kept: str, seed: int, groups: np.ndarray | None = None,
    ) -> tuple[Contender, ...]:
        """mae, rmse, r2 and spearman of each, and the kept model against it by its errors."""
        return regression.contenders(answers, truth, kept=kept, seed=seed, groups=groups)

    def details(
        self, outputs: np.ndarray, truth: np.ndarray, *,
        validation: tuple[np.ndarray, np.ndarray] | None, source: str, seed: int,
        groups: np.ndarray | None = None, among: np.ndarray | None = None,
    ) -> Mapping[str, Any]:
        """The residuals, and how often the interval holds the truth."""
        said = self.said(outputs)
        off = said - truth
        quantile = np.quantile(off, (0.05, 0.25, 0.5, 0.75, 0.95)).tolist()
        rng = np.random.default_rng(seed)
        low, high = mean_interval(off, rng=rng, groups=groups)
        covered = None
        if self.half_width is not None:
            held = np.abs(off) <= self.half_width
            covered = Score("coverage", float(held.mean()), *share_interval(held, groups), len(off))
        some = np.unique(np.linspace(0, len(off) - 1, min(POINTS, len(off))).astype(int))
        return {"residuals": Residuals(
            bias=Score("bias", float(off.mean()), low, high, len(off)),
            quantiles=(quantile[0], quantile[1], quantile[2], quantile[3], quantile[4]),
            level=self.level,
            half_width=self.half_width,
            fitted_on=len(validation[1]) if validation else 0,
            source=source,
            covered=covered,
            spans=_spans(said, truth, rng, groups),
            points=tuple((float(truth[row]), float(said[row])) for row in some),
        )}

    def fitting(
        self, history: Sequence[Epoch], *, train: np.ndarray, test: np.ndarray,
        baseline: Comparison | None, twins: Sequence[Sequence[str]], stopped: str,
    ) -> Fitting:
        """By the mean absolute error; twins put no ceiling on it."""
        return fitting.of_errors(
            history, train=regression.ERRORS.score(train), test=regression.ERRORS.score(test),
            baseline=baseline, stopped=stopped,
        )

    def look_at(
        self, why: str, ids: Sequence[str], outputs: np.ndarray, truth: np.ndarray
    ) -> tuple[LookAt, ...]:
        """The rows that are furthest off; of validation, those beyond the interval alone."""
        said = self.said(outputs)
        errors = np.abs(said - truth)
        order = np.argsort(-errors, kind="stable")[:SHOWN]
        beyond = self.half_width or 0.0
        return tuple(
            LookAt(ids[row], "far off" if why == "wrong and sure" else why,
                   figures(float(truth[row])), figures(float(said[row])), float(errors[row]))
            for row in order if errors[row] > beyond
        )

    def remarks(self, truth: np.ndarray) -> tuple[str, ...]:
        """Nothing that the scores do not say."""
        return ()


def _spans(
    said: np.ndarray, truth: np.ndarray, rng: np.random.Generator, groups: np.ndarray | None
) -> tuple[Span, ...]:
    """Parts of the rows by their answers, as many rows in each."""
    parts = np.array_split(
        np.argsort(said, kind="stable"), max(min(SPANS, len(said) // FEWEST_IN_A_SPAN), 1))
    return tuple(
        Span(len(part), float(said[part].mean()), float(truth[part].mean()),
             *mean_interval(truth[part], rng=rng, groups=None if groups is None else groups[part]))
        for part in parts
    )
