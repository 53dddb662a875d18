"""Classification: one label a row; judged by accuracy and macro precision, recall and F1."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fettle.core.errors import InputError
from fettle.core.evaluation import Evaluation
from fettle.core.parts import Card, LossPart
from fettle.core.plan import Plan, Unit
from fettle.core.score import Score
from fettle.core.version import Prediction
from fettle.measures import calibration, intervals, judging, paired
from fettle.measures import classification as measures
from fettle.tasks.judging_classes import JudgeOfClasses

if TYPE_CHECKING:
    import torch

__all__ = ["Classification", "softmax"]


SHOWN = 3
"""Classes of an answer that are told."""
RARE = 0.1
"""A rarest class under this share of the largest makes macro F1 the metric."""
OF_COUNTS = {
    "accuracy": measures.accuracy_of,
    "macro_f1": measures.macro_f1_of,
}


class Classification:
    """One of `classes` a row; outputs stand in the order of `classes`."""

    name = "classification"
    couples_rows = False
    solver = "multinomial"
    unit: Unit | None = None
    half_width: float | None = None
    metrics: tuple[str, ...] = tuple(OF_COUNTS)
    stops: tuple[str, ...] = ("accuracy", "macro_f1", "macro_precision", "macro_recall")
    losses: tuple[str, ...] = ("plain", "weighted", "adjusted")
    named = True
    """Whether the cells of the target are names, so that some may be new."""
    evenly = "as many of each class as its share"
    """How `parted` spreads the rows."""

    def __init__(
        self, classes: Sequence[str], *, label_smoothing: float = 0.0,
        weights: np.ndarray | None = None, log_prior: np.ndarray | None = None,
        temperature: float = 1.0,
    ) -> None:
        """The task of these classes.

        Args:
            classes: in the order of the outputs.
            label_smoothing: share of each answer that is spread over all classes.
            weights: what a row of each class counts in the loss, (classes,); 1 where not given.
            log_prior: added to the outputs inside the loss, (classes,); nothing where not given.
            temperature: that outputs are divided by before they become probabilities.
        """
        self.classes = tuple(classes)
        self.outputs = len(self.classes)
        self.temperature = float(temperature)
        self.label_smoothing = label_smoothing
        self.weights, self.log_prior = weights, log_prior
        self._number = {label: number for number, label in enumerate(self.classes)}

    @classmethod
    def of_plan(cls, plan: Plan) -> "Classification":
        """The task of this plan."""
        return cls(plan.classes)

    @classmethod
    def proposed(
        cls, learners: Sequence[str | None], train: Sequence[str | None]
    ) -> "tuple[Classification, str, str]":
        """The task of these rows, the metric that rungs are compared by, and why that one.

        Args:
            learners: cells of the rows to learn from and to choose by.
            train: of the first of these.
        """
        counts = Counter(cell or "" for cell in learners)
        rarest, largest = min(counts.values()), max(counts.values())
        share = rarest / largest
        task = cls(tuple(sorted(counts)))
        if share < RARE:
            return task, "macro_f1", (
                f"Rungs are compared by macro F1: the rarest class has {rarest:,} rows, "
                f"{share:.1%} of the largest, and accuracy would hide it."
            )
        return task, "accuracy", (
            f"Rungs are compared by accuracy: the rarest class has {share:.0%} of the largest "
            "one's rows (macro F1 is used below 10%)."
        )

    @staticmethod
    def require_teachable(cells: Sequence[str], *, column: str, next_: str) -> None:
        """Return if these answers are at least two classes, some of which come twice.

        Args:
            cells: of the target in the rows to learn from, none of them blank.
            column: what to call it.
            next_: what else a person may do.

        Raises:
            InputError: there is one class, or as many as rows.
        """
        classes = len(set(cells))
        if classes == 1:
            raise InputError(
                f"{column} says {cells[0]!r} in every row, and a choice needs two classes. Add "
                f"rows of another class.{next_}"
            )
        if classes == len(cells):
            raise InputError(
                f"{column} says something else in every row, so it looks like an id; name the "
                "label column with --target."
            )

    @staticmethod
    def answered(cells: Sequence[str | None]) -> np.ndarray:
        """Which cells hold an answer, bool (rows,): all that are not blank."""
        return np.array([bool((cell or "").strip()) for cell in cells], dtype=bool)

    @staticmethod
    def parted(cells: Sequence[str | None]) -> np.ndarray:
        """What a split should have an even share of, (rows,): the labels as they stand."""
        return np.unique(np.asarray(cells, dtype=str), return_inverse=True)[1]

    def facts(self) -> Mapping[str, Any]:
        """The classes, and the temperature."""
        return {"classes": list(self.classes), "temperature": self.temperature}

    def targets(self, cells: Sequence[str | None], *, unseen: int | None = None) -> np.ndarray:
        """The cells as class numbers, (rows,).

        Args:
            cells: labels as they stand in the file.
            unseen: the number for a label that is no class of this task; without it, an error.

        Raises:
            InputError: a label is not one of the classes.
        """
        if unseen is None:
            for cell in cells:
                if cell not in self._number:
                    raise InputError(
                        f"The label {cell!r} is not one of the {len(self.classes)} classes "
                        "that the model knows. Add rows with it to the training data."
                    )
        return np.array([self._number.get(cell or "", unseen or 0) if cell in self._number
                         else unseen for cell in cells], dtype=np.int64)

    def head(self, card: Card, pooling: str, dropout: float) -> Mapping[str, Any]:
        """A linear head over pooled vectors; of length 1 where the network was trained so."""
        return {
            "kind": "linear",
            "pooling": pooling,
            "normalise": card.embeds_sentences,
            "dropout": dropout,
            "outputs": len(self.classes),
        }

    def coded(self, targets: np.ndarray) -> np.ndarray:
        """The class numbers."""
        return targets

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The class numbers."""
        return targets

    def taught(
        self, targets: np.ndarray, *, loss: str, label_smoothing: float
    ) -> "Classification":
        """The same task with another loss.

        Args:
            targets: of the rows that will be learned from, (rows,).
            loss: plain; weighted: a row counts as much as its class is rarer than the mean class;
                adjusted: the classes' shares are learned beside the outputs and left out of them,
                so that the outputs are right for classes that are equally likely.
            label_smoothing: share of each answer that is spread over all classes.

        Source: King and Zeng, "Logistic Regression in Rare Events Data", 2001, section 4.2
        (weighted); Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, equation 10
        with tau = 1 (adjusted); Szegedy et al., "Rethinking the Inception Architecture", CVPR
        2016, section 7 (smoothing).
        """
        shares = np.bincount(targets, minlength=len(self.classes)).clip(min=1) / len(targets)
        return Classification(
            self.classes, label_smoothing=label_smoothing,
            weights=1 / (len(self.classes) * shares) if loss == "weighted" else None,
            log_prior=np.log(shares) if loss == "adjusted" else None,
        )

    def constants(self, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All classes as likely, which a weighted loss likes best; then the classes' shares."""
        classes = len(self.classes)
        shares = np.bincount(targets, minlength=classes).clip(min=1) / len(targets)
        return np.zeros(classes), np.log(shares)

    def is_flat(self, outputs: np.ndarray, targets: np.ndarray) -> bool:
        """Whether every row is given one class, although the targets have several."""
        return len(np.unique(outputs.argmax(axis=1))) == 1 < len(np.unique(targets))

    def plain_loss(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """Mean cross-entropy of raw outputs (rows, classes), in nats."""
        logs = calibration.log_probabilities(outputs)
        return float(-logs[np.arange(len(targets)), targets].mean())

    def counts(self, batch: "dict[str, torch.Tensor]") -> dict[str, int]:
        """Rows with a target."""
        return {"cross_entropy": len(batch["target"])}

    def loss(
        self, outputs: "torch.Tensor", batch: "dict[str, torch.Tensor]"
    ) -> dict[str, LossPart]:
        """Cross-entropy, summed over rows."""
        import torch
        from torch.nn import functional

        logits, weights = outputs.float(), None
        if self.log_prior is not None:
            logits = logits + torch.from_numpy(self.log_prior).to(logits)
        if self.weights is not None:
            weights = torch.from_numpy(self.weights).to(logits)
        total = functional.cross_entropy(
            logits, batch["target"], weight=weights,
            reduction="sum", label_smoothing=self.label_smoothing,
        )
        return {"cross_entropy": LossPart(total, len(outputs))}

    def calibrated(self, outputs: np.ndarray) -> np.ndarray:
        """The calibrated probability of each class, float64 (rows, classes)."""
        return softmax(outputs.astype(np.float64) / self.temperature)

    def predictions(
        self, outputs: np.ndarray, ids: Sequence[str], version: str
    ) -> list[Prediction]:
        """The likeliest class of each row, with its probability and those of the next ones."""
        return [
            Prediction(id, value := next(iter(answer)), answer[value], version, answer)
            for id, answer in zip(ids, self.answers(outputs), strict=True)
        ]

    def answers(self, outputs: np.ndarray) -> list[Mapping[str, float]]:
        """For each row its likeliest classes with their probabilities, the likeliest first."""
        probabilities = self.calibrated(outputs)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :SHOWN]
        return [
            {self.classes[one]: float(probabilities[row, one]) for one in order}
            for row, order in enumerate(best)
        ]

    def score(self, metric: str) -> Callable[[np.ndarray, np.ndarray], float]:
        """From (outputs, targets) to this metric."""
        measure = getattr(measures, metric)
        return lambda outputs, targets: float(measure(targets, outputs.argmax(axis=1)))

    def interval(
        self, metric: str, outputs: np.ndarray, targets: np.ndarray, *, seed: int,
        groups: np.ndarray | None = None,
    ) -> Score:
        """Accuracy by Wilson's interval; macro F1 by the bootstrap."""
        said, score = outputs.argmax(axis=1), OF_COUNTS[metric]
        if metric == "accuracy":
            return judging.accuracy(said == targets, groups)
        rng, classes = np.random.default_rng(seed), len(self.classes)
        counts = measures.confusion(targets, said, classes)
        low, high = intervals.confusion_interval(score, counts, rng=rng)
        if groups is not None:
            (whole,) = intervals.grouped_intervals(
                [score], targets, said, classes, groups, rng=rng)
            low, high = min(low, whole[0]), max(high, whole[1])
        return Score(metric, float(score(counts)), low, high, len(targets))

    def paired_loss(
        self, metric: str, best: np.ndarray, other: np.ndarray, targets: np.ndarray, *, seed: int,
        groups: np.ndarray | None = None,
    ) -> tuple[float, float]:
        """Mean loss of the other against the best by the metric, and its standard error."""
        first, second = best.argmax(axis=1), other.argmax(axis=1)
        if metric == "accuracy":
            return paired.paired_loss(first == targets, second == targets, groups)
        rng = np.random.default_rng(seed)
        return paired.paired_score_loss(
            OF_COUNTS[metric], targets, first, second, rng=rng, groups=groups)

    def fitted(self, outputs: np.ndarray, targets: np.ndarray) -> "Classification":
        """With the temperature that makes its probabilities true on these rows."""
        return Classification(
            self.classes, temperature=calibration.temperature(outputs, targets)
        )

    def of(self, evaluation: Evaluation) -> "Classification":
        """With the temperature that was found."""
        found = evaluation.calibration
        return Classification(self.classes, temperature=found.temperature if found else 1.0)

    @property
    def judge(self) -> JudgeOfClasses:
        """Right or wrong, row by row."""
        return JudgeOfClasses(self.classes, self.temperature)


def softmax(outputs: np.ndarray) -> np.ndarray:
    """Probabilities (rows, classes) from raw outputs (rows, classes)."""
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
