"""Classification: one label a row; judged by accuracy and macro precision, recall and F1."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fettle.core.errors import InputError
from fettle.core.evaluation import Outcomes
from fettle.core.parts import Card, LossPart
from fettle.measures import classification as measures

if TYPE_CHECKING:
    import torch

__all__ = ["Classification", "softmax"]


SHOWN = 3
"""Classes of an answer that are told."""


class Classification:
    """One of `classes` a row; outputs stand in the order of `classes`."""

    name = "classification"
    couples_rows = False

    def __init__(
        self, classes: Sequence[str], *, label_smoothing: float = 0.0,
        weights: np.ndarray | None = None, log_prior: np.ndarray | None = None,
    ) -> None:
        """The task of these classes.

        Args:
            classes: in the order of the outputs.
            label_smoothing: share of each answer that is spread over all classes.
            weights: what a row of each class counts in the loss, (classes,); 1 where not given.
            log_prior: added to the outputs inside the loss, (classes,); nothing where not given.
        """
        self.classes = tuple(classes)
        self.label_smoothing = label_smoothing
        self.weights, self.log_prior = weights, log_prior
        self._number = {label: number for number, label in enumerate(self.classes)}

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

    def answers(self, outputs: np.ndarray) -> list[Mapping[str, float]]:
        """For each row its likeliest classes with their probabilities, the likeliest first."""
        probabilities = softmax(outputs.astype(np.float64))
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :SHOWN]
        return [
            {self.classes[one]: float(probabilities[row, one]) for one in order}
            for row, order in enumerate(best)
        ]

    def judge(self, outputs: np.ndarray, targets: np.ndarray) -> Outcomes:
        """Target, predicted class, whether it is right, and its probability, row by row."""
        probabilities = softmax(outputs)
        predicted = outputs.argmax(axis=1)
        return Outcomes({
            "target": targets,
            "predicted": predicted,
            "correct": predicted == targets,
            "confidence": probabilities.max(axis=1),
        })

    @property
    def scores(self) -> Mapping[str, Callable[[Outcomes, np.ndarray], float]]:
        """accuracy, macro_precision, macro_recall, macro_f1."""
        return {
            name: _score(measure)
            for name, measure in (
                ("accuracy", measures.accuracy),
                ("macro_precision", measures.macro_precision),
                ("macro_recall", measures.macro_recall),
                ("macro_f1", measures.macro_f1),
            )
        }


def _score(
    measure: Callable[[np.ndarray, np.ndarray], float],
) -> Callable[[Outcomes, np.ndarray], float]:
    def score(outcomes: Outcomes, rows: np.ndarray) -> float:
        return measure(outcomes.columns["target"][rows], outcomes.columns["predicted"][rows])

    return score


def softmax(outputs: np.ndarray) -> np.ndarray:
    """Probabilities (rows, classes) from raw outputs (rows, classes)."""
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
