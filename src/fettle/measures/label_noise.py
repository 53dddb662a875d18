"""Label noise: how many labels are wrong, and which, from what held-out probabilities say.

As in confident learning, a label is suspect where a model that never saw its row is confidently
elsewhere. What a doubtful model gets wrong is told apart from what was labelled wrong by shape:
doubt fades as the model becomes sure, and wrong labels do not.
"""

from dataclasses import dataclass, field

import numpy as np

from fettle.core.errors import ShapeError

__all__ = ["LabelNoise", "label_noise"]

_TEMPERATURES = np.geomspace(0.25, 8.0, 31)
_RATES = np.concatenate([[0.0], np.geomspace(1e-4, 0.5, 60)])
_FINER_TEMPERATURES, _FINER_RATES = 15, 81
_FIT_ROWS = 50_000
"""Two numbers are fitted; more rows than this, taken evenly, would not move them."""
_DROP = 3.841 / 2
"""In log-likelihood, from the best rate to the ends of its 95% interval (chi-squared, 1 degree)."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class LabelNoise:
    """What the held-out probabilities say about the labels."""

    rate: float
    """The share of rows whose label is wrong."""
    low: float
    high: float
    """Its 95% interval; low is 0.0 where the labels may all be right."""
    own: np.ndarray = field(repr=False)
    """float (rows,): the sharpened probability of the given label."""
    wrong: np.ndarray = field(repr=False)
    """float (rows,): the probability that this row's label is wrong."""
    likely: np.ndarray = field(repr=False)
    """int (rows,): the likeliest class other than the given one."""
    loss: float
    """Mean negative log-likelihood of the labels in nats; the better probe has the lower one."""

    @property
    def ranking(self) -> np.ndarray:
        """Row numbers, the likeliest wrong label first: int (rows,)."""
        return np.argsort(self.own, kind="stable")

    @property
    def suspects(self) -> np.ndarray:
        """As many rows of the ranking as labels are estimated to be wrong; none where low is 0."""
        several = round(self.rate * len(self.wrong)) if self.low > 0 else 0
        return self.ranking[:several]

    @property
    def false_flags(self) -> float:
        """How many of the suspects are expected to be labelled right after all."""
        return float((1 - self.wrong[self.suspects]).sum())


def label_noise(probabilities: np.ndarray, labels: np.ndarray) -> LabelNoise:
    """The rate of wrong labels, its interval, and for each row how likely its label is wrong.

    The given label is taken to be drawn from the model's probabilities, sharpened by one
    temperature, in all rows but a share, where it is any of the other classes alike. Both numbers
    are fitted by maximum likelihood. Where wrong labels prefer the classes that a model confuses
    anyway, the rate comes out too low: it errs on the side of the labels.

    Args:
        probabilities: float (rows, classes); of models that did not learn from the row.
        labels: int (rows,); each in [0, classes).

    Raises:
        ShapeError: the arrays differ in rows, or there are no rows or fewer than two classes.

    Source: the question is that of Northcutt, Jiang and Chuang, "Confident Learning: Estimating
    Uncertainty in Dataset Labels", JAIR 70, 2021; the answer is the lapse rate of Wichmann and
    Hill, "The psychometric function: I", Perception & Psychophysics 63, 2001, section 2, with
    the noise of Angluin and Laird, "Learning From Noisy Examples", 1988.
    """
    rows, classes = probabilities.shape
    if len(labels) != rows or rows < 1 or classes < 2:
        raise ShapeError(
            f"Probabilities of {rows} rows and {classes} classes, {len(labels)} labels: one label "
            "a row is needed, and at least two classes."
        )
    logs = np.log(np.maximum(probabilities, _TINY))
    some = np.unique(np.linspace(0, rows - 1, min(rows, _FIT_ROWS)).astype(int))
    temperature, rate, low, high, best = _fitted(logs[some], labels[some])
    sharpened = _sharpened(logs, temperature)
    own = sharpened[np.arange(rows), labels]
    by_chance = rate * (1 - own) / (classes - 1)
    wrong = by_chance / np.maximum(by_chance + (1 - rate) * own, _TINY)
    sharpened[np.arange(rows), labels] = -1.0
    return LabelNoise(
        rate=rate, low=low, high=high, own=own, wrong=wrong,
        likely=sharpened.argmax(axis=1), loss=-best / len(some),
    )


def _fitted(logs: np.ndarray, labels: np.ndarray) -> tuple[float, float, float, float, float]:
    """The best temperature and rate, the ends of the rate's interval, the log-likelihood."""
    grid = _likelihoods(logs, labels, _TEMPERATURES, _RATES)
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    cold, hot = np.clip([row - 1, row + 1], 0, len(_TEMPERATURES) - 1)
    temperatures = np.geomspace(_TEMPERATURES[cold], _TEMPERATURES[hot], _FINER_TEMPERATURES)
    inside = np.flatnonzero(grid.max(axis=0) >= grid.max() - _DROP)
    below, above = np.clip([inside[0] - 1, inside[-1] + 1], 0, len(_RATES) - 1)
    rates = np.linspace(_RATES[below], _RATES[above], _FINER_RATES)
    finer = _likelihoods(logs, labels, temperatures, rates)
    row, column = np.unravel_index(finer.argmax(), finer.shape)
    best = float(finer.max())
    inside = np.flatnonzero(finer.max(axis=0) >= best - _DROP)
    low, high = rates[inside[[0, -1]]]
    return float(temperatures[row]), float(rates[column]), float(low), float(high), best


def _sharpened(logs: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities raised to the temperature and brought back to a sum of 1, (rows, classes)."""
    powers = logs * temperature
    powers -= powers.max(axis=1, keepdims=True)
    np.exp(powers, out=powers)
    return powers / powers.sum(axis=1, keepdims=True)


def _likelihoods(
    logs: np.ndarray, labels: np.ndarray, temperatures: np.ndarray, rates: np.ndarray
) -> np.ndarray:
    """The log-likelihood of the labels, (temperatures, rates)."""
    found = np.empty((len(temperatures), len(rates)))
    for row, temperature in enumerate(temperatures):
        own = _sharpened(logs, temperature)[np.arange(len(labels)), labels]
        slope = (1 - own) / (logs.shape[1] - 1) - own
        for column, rate in enumerate(rates):
            found[row, column] = np.log(np.maximum(own + rate * slope, _TINY)).sum()
    return found
