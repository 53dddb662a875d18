"""Multi-label classification: any number of labels a row, none among them.

Each label is a question of yes or no with a threshold of its own. Thresholds and temperature are
fitted on rows that were not learned from, and belong to the task from then on.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fettle.core.errors import InputError, ShapeError
from fettle.core.evaluation import Evaluation
from fettle.core.labels import indicators, packed, unpacked
from fettle.core.parts import Card, LossPart
from fettle.core.plan import Plan
from fettle.core.score import Score
from fettle.core.version import Prediction
from fettle.measures import label_calibration, label_intervals, label_sets, thresholds
from fettle.tasks.judging_labels import JudgeOfLabels

if TYPE_CHECKING:
    import torch

__all__ = ["MultiLabel"]

MOST_WEIGHT = 100.0
"""Of a row that has a rare label, where the loss is weighted: more makes single rows decide."""
RARE = 0.1
"""A rarest label under this share of the largest makes macro F1 the metric."""
SHOWN = 3
"""Labels of an answer that are told beside those that are called."""


class MultiLabel:
    """Any of `classes` a row; outputs stand in the order of `classes`."""

    name = "multi-label"
    couples_rows = False
    solver = "each"
    unit = None
    half_width: float | None = None
    metrics: tuple[str, ...] = ("micro_f1", "macro_f1")
    stops: tuple[str, ...] = ("micro_f1", "macro_f1", "ranking_precision", "subset_accuracy")
    losses: tuple[str, ...] = ("plain", "weighted")
    named = True
    """Whether the cells of the target are names, so that some may be new."""
    evenly = "as many rows with each label as its share (iterative stratification)"
    """How `parted` spreads the rows."""
    log_prior: np.ndarray | None = None

    def __init__(
        self, classes: Sequence[str], *, temperature: float = 1.0,
        thresholds: Sequence[float] | None = None, own: Sequence[bool] | None = None,
        label_smoothing: float = 0.0, weights: np.ndarray | None = None,
    ) -> None:
        """The task of these labels.

        Args:
            classes: the labels, in the order of the outputs.
            temperature: that outputs are divided by before they become probabilities.
            thresholds: a label is called from this probability on, (labels,); 0.5 where not given.
            own: whether each threshold was fitted for its label alone; it was not where not given.
            label_smoothing: share of each yes or no that is given to the other.
            weights: what a row that has a label counts in the loss of that label, (labels,); 1
                where not given.

        Raises:
            ShapeError: there is not one threshold for each label.
        """
        self.classes = tuple(classes)
        self.temperature = float(temperature)
        self.thresholds = np.full(len(self.classes), 0.5) if thresholds is None else (
            np.asarray(thresholds, dtype=np.float64))
        self.own = tuple(bool(one) for one in own or (False,) * len(self.classes))
        if not len(self.classes) == len(self.thresholds) == len(self.own):
            raise ShapeError(
                f"{len(self.thresholds)} thresholds for {len(self.classes)} labels: each needs one."
            )
        self.label_smoothing, self.weights = label_smoothing, weights
        self.outputs = len(self.classes)

    @classmethod
    def of_plan(cls, plan: Plan) -> "MultiLabel":
        """The task of this plan."""
        return cls(plan.classes)

    @classmethod
    def proposed(
        cls, learners: Sequence[str | None], train: Sequence[str | None]
    ) -> "tuple[MultiLabel, str, str]":
        """The task of these rows, the metric that rungs are compared by, and why that one.

        Args:
            learners: cells of the rows to learn from and to choose by.
            train: of the first of these.
        """
        counts = Counter(label for cell in learners for label in unpacked(cell))
        rarest, largest = min(counts.values()), max(counts.values())
        share, task = rarest / largest, cls(tuple(sorted(counts)))
        a_row = sum(counts.values()) / max(len(learners), 1)
        told = f"Rows have {a_row:.2f} of {len(counts):,} labels each, none and several among them."
        if share < RARE:
            return task, "macro_f1", (
                f"{told} Rungs are compared by macro F1: the rarest label has {rarest:,} rows, "
                f"{share:.1%} of the largest, and micro F1 would hide it."
            )
        return task, "micro_f1", (
            f"{told} Rungs are compared by micro F1: the rarest label has {share:.0%} of the "
            "largest one's rows (macro F1 is used below 10%)."
        )

    @staticmethod
    def require_teachable(cells: Sequence[str], *, column: str, next_: str) -> None:
        """Return if these answers hold at least two labels.

        Args:
            cells: of the target in the rows to learn from, none of them blank.
            column: what to call it.
            next_: what else a person may do.

        Raises:
            InputError: there is one label, or none.
        """
        labels = {label for cell in cells for label in unpacked(cell)}
        if len(labels) < 2:
            only = f"the label {min(labels)!r} alone" if labels else "no label in any row"
            raise InputError(
                f"{column} holds {only}, and several labels are two at least. Add rows with "
                "others; one label that a row has or has not is --task classification of a column "
                f"with two answers.{next_}"
            )

    @staticmethod
    def answered(cells: Sequence[str | None]) -> np.ndarray:
        """Which cells hold an answer, bool (rows,): all that are not blank; "[]" is one."""
        return np.array([bool((cell or "").strip()) for cell in cells], dtype=bool)

    @staticmethod
    def parted(cells: Sequence[str | None]) -> np.ndarray:
        """What a split should have an even share of: each label, bool (rows, labels)."""
        return indicators(cells, sorted({label for cell in cells for label in unpacked(cell)}))

    def targets(self, cells: Sequence[str | None], *, unseen: bool = False) -> np.ndarray:
        """The cells as labels that each row has: bool (rows, labels).

        Args:
            cells: JSON lists of labels (core.labels).
            unseen: pass over labels that are none of this task; without it, an error.

        Raises:
            InputError: a cell is no list, or a label is none of these.
        """
        known = set(self.classes)
        for cell in () if unseen else cells:
            for label in unpacked(cell):
                if label not in known:
                    raise InputError(
                        f"The label {label!r} is not one of the {len(self.classes)} that the "
                        "model knows. Add rows with it to the training data."
                    )
        return indicators(cells, self.classes)

    def coded(self, targets: np.ndarray) -> np.ndarray:
        """The targets as a head is solved for them: float32 (rows, labels), 1 for yes."""
        return targets.astype(np.float32)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The rarest label of each row, int (rows,); one number more for rows that have none."""
        has = targets.sum(axis=0)
        order = np.argsort(has, kind="stable")
        ranked = targets[:, order]  # the rarest first
        return np.where(ranked.any(axis=1), order[ranked.argmax(axis=1)], len(self.classes))

    def head(self, card: Card, pooling: str, dropout: float) -> Mapping[str, Any]:
        """A linear head over pooled vectors; of length 1 where the network was trained so."""
        return {
            "kind": "linear",
            "pooling": pooling,
            "normalise": card.embeds_sentences,
            "dropout": dropout,
            "outputs": len(self.classes),
        }

    def taught(self, targets: np.ndarray, *, loss: str, label_smoothing: float) -> "MultiLabel":
        """The same task with another loss.

        Args:
            targets: of the rows that will be learned from, bool (rows, labels).
            loss: plain; weighted: a row that has a label counts in the loss of that label as much
                as all rows that have it not count together for one that has, up to 100.
            label_smoothing: share of each yes or no that is given to the other.

        Source: King and Zeng, "Logistic Regression in Rare Events Data", 2001, section 4.2, for
        each label by itself.
        """
        has = targets.sum(axis=0).clip(min=1)
        weights = ((len(targets) - has).clip(min=1) / has).clip(max=MOST_WEIGHT)
        return MultiLabel(
            self.classes, temperature=self.temperature, thresholds=self.thresholds.tolist(),
            own=self.own, label_smoothing=label_smoothing,
            weights=weights if loss == "weighted" else None,
        )

    def counts(self, batch: "dict[str, torch.Tensor]") -> dict[str, int]:
        """Rows with a target."""
        return {"cross_entropy": len(batch["target"])}

    def loss(
        self, outputs: "torch.Tensor", batch: "dict[str, torch.Tensor]"
    ) -> dict[str, LossPart]:
        """Binary cross-entropy, summed over rows and labels."""
        import torch
        from torch.nn import functional

        logits = outputs.float()
        wanted = batch["target"].to(logits)
        wanted = wanted * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = None if self.weights is None else torch.from_numpy(self.weights).to(logits)
        total = functional.binary_cross_entropy_with_logits(
            logits, wanted, pos_weight=weights, reduction="sum"
        )
        return {"cross_entropy": LossPart(total, len(outputs))}

    def constants(self, targets: np.ndarray) -> Sequence[np.ndarray]:
        """Outputs of somebody who knows nothing, and who knows the labels' shares: (labels,)."""
        has = targets.sum(axis=0)
        shares = (has + 0.5) / (len(targets) + 1)
        return np.zeros(len(self.classes)), np.log(shares / (1 - shares))

    def is_flat(self, outputs: np.ndarray, targets: np.ndarray) -> bool:
        """Whether every row is given the same labels, although they have different ones."""
        alike = len(np.unique(outputs > 0, axis=0)) == 1
        return alike and len(np.unique(targets, axis=0)) > 1

    def plain_loss(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Mean binary cross-entropy of a row, summed over labels, in nats."""
        return -float(label_calibration.log_likelihood(outputs, targets).mean())

    def score(self, metric: str) -> Callable[[np.ndarray, np.ndarray], float]:
        """From (outputs, targets) to this metric, of `stops`.

        Labels are called by the one threshold that is best for these outputs: a network that is
        too sure, or not sure enough, is put right afterwards and must not lose by it here.
        """
        if metric == "ranking_precision":
            return lambda outputs, targets: float(
                label_sets.ranking_precision(targets, outputs).mean()) if len(targets) else 0.0
        if metric == "subset_accuracy":
            return lambda outputs, targets: label_sets.subset_accuracy(
                targets, _at_best(outputs, targets))
        measure = label_sets.SCORES[metric]
        return lambda outputs, targets: float(
            measure(label_sets.tallies(targets, _at_best(outputs, targets))))

    def interval(
        self, metric: str, outputs: np.ndarray, targets: np.ndarray, *, seed: int,
        groups: np.ndarray | None = None,
    ) -> Score:
        """The metric, of `metrics`, on these rows, with its 95% interval; as `score` calls."""
        answers = _at_best(outputs, targets)
        measure = label_sets.SCORES[metric]
        low, high = label_intervals.tally_interval(
            measure, targets, answers, rng=np.random.default_rng(seed), groups=groups)
        value = float(measure(label_sets.tallies(targets, answers)))
        return Score(metric, value, low, high, len(targets))

    def paired_loss(
        self, metric: str, best: np.ndarray, other: np.ndarray, targets: np.ndarray, *, seed: int,
        groups: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """What is lost by the other outputs against the best, and its standard error."""
        said, errors, loss = [_at_best(one, targets) for one in (other, best)], [], 0.0
        for whole in (None,) if groups is None else (None, groups):
            loss, *_, error = label_intervals.paired_difference(
                label_sets.SCORES[metric], targets, *said, rng=np.random.default_rng(seed),
                groups=whole)
            errors.append(error)
        return loss, max(errors)

    def calibrated(self, outputs: np.ndarray) -> np.ndarray:
        """The calibrated probability of each label, float64 (rows, labels)."""
        return label_calibration.probabilities(outputs, self.temperature)

    def called(self, outputs: np.ndarray) -> np.ndarray:
        """Which labels are called: bool (rows, labels)."""
        return self.calibrated(outputs) >= self.thresholds

    def sure(self, said: np.ndarray) -> np.ndarray:
        """The probability that all calls of a row are right, (rows,), as if labels had nothing to
        do with each other.

        Args:
            said: float (rows, labels), of `probabilities`.
        """
        each = np.where(said >= self.thresholds, said, 1 - said)
        return np.asarray(np.exp(np.log(np.maximum(each, 1e-300)).sum(axis=1)))

    def labels(self, said: np.ndarray) -> list[tuple[str, ...]]:
        """The labels that are called in each row, the likeliest first.

        Args:
            said: float (rows, labels), of `probabilities`.
        """
        return [
            tuple(self.classes[at] for at in np.argsort(-line, kind="stable")
                  if line[at] >= self.thresholds[at])
            for line in said
        ]

    def predictions(
        self, outputs: np.ndarray, ids: Sequence[str], version: str
    ) -> list[Prediction]:
        """The labels that are called in each row, and how sure it is that these are they."""
        said = self.calibrated(outputs)
        return [
            Prediction(id, packed(labels), sure, version, answer, labels=labels)
            for id, labels, sure, answer in zip(
                ids, self.labels(said), self.sure(said).tolist(), self.answers(said), strict=True)
        ]

    def answers(self, said: np.ndarray) -> list[Mapping[str, float]]:
        """For each row the labels that are called, and the three likeliest, with probabilities.

        Args:
            said: float (rows, labels), of `probabilities`.

        Returns:
            The likeliest first; `labels` tells which are called.
        """
        told: list[Mapping[str, float]] = []
        for line in said:
            order = np.argsort(-line, kind="stable")
            shown = [at for rank, at in enumerate(order)
                     if line[at] >= self.thresholds[at] or rank < SHOWN]
            told.append({self.classes[at]: float(line[at]) for at in shown})
        return told

    def facts(self) -> Mapping[str, Any]:
        """What makes the same task again."""
        return {
            "classes": list(self.classes), "temperature": self.temperature,
            "thresholds": [float(one) for one in self.thresholds], "own": list(self.own),
        }

    def fitted(self, outputs: np.ndarray, targets: np.ndarray) -> "MultiLabel":
        """The same task with the temperature and the thresholds that suit these rows.

        Args:
            outputs: float (rows, labels), of rows that the network did not learn from.
            targets: bool (rows, labels).
        """
        heat = label_calibration.temperature(outputs, targets)
        said = label_calibration.probabilities(outputs, heat)
        cuts, own = thresholds.fitted(said, targets)
        return MultiLabel(
            self.classes, temperature=heat, thresholds=cuts.tolist(), own=own.tolist(),
            label_smoothing=self.label_smoothing, weights=self.weights,
        )


    def of(self, evaluation: Evaluation) -> "MultiLabel":
        """With the temperature and the thresholds that were found."""
        found, rules = evaluation.calibration, evaluation.rules
        return MultiLabel(
            self.classes, temperature=found.temperature if found else 1.0,
            thresholds=[one.threshold for one in rules] or None,
            own=[one.own for one in rules] or None,
        )

    @property
    def judge(self) -> JudgeOfLabels:
        """By the F1 of each row's labels."""
        return JudgeOfLabels(self)


def _at_best(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Which labels are called by the one threshold with the highest micro F1 on these rows."""
    said = label_calibration.probabilities(outputs)
    return said >= thresholds.fitted_together(said, targets)
