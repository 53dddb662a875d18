"""Merging: the networks of several folds as one, which has the mean of their weights.

They began at the same weights and share most of the rows that they learned from. As a rule the
loss in their middle is lower than at any of them, and each row has taught all of them but one;
whether it is so is looked at, as networks that went different ways have nothing in their middle.

Source: Wortsman et al., "Model soups", ICML 2022, section 2 (uniform soup); Frankle et al.,
"Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020, section 2 (barrier).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from fettle.core.plan import Plan
from fettle.core.progress import finish
from fettle.engine.ground import Ground
from fettle.engine.predict import loss_of, outputs_of

__all__ = ["Mean"]

LOOKED_AT = 256
"""Learning rows, evenly taken, by which the mean is held against the networks that it is of."""


@dataclass
class Mean:
    """The mean of networks that are added one after the other; only their sum is held."""

    ground: Ground
    plan: Plan
    losses: list[float] = field(default_factory=list)
    """Of each network, on the rows that are looked at: those that it learned from, and others."""
    total: dict[str, torch.Tensor] = field(default_factory=dict)
    """Of each weight, in fp64: the mean of what is the same in all of them is that, to the bit."""
    sentence: str = ""
    """What became of it."""

    def add(self, network: Any) -> None:
        """One more network."""
        self.losses.append(self._loss(network))
        for name, value in _numbers(network).items():
            self.total[name] = self.total.get(name, 0.0) + value.double()

    def put_on(self, network: Any) -> bool:
        """Give a network of the same kind the mean of the weights.

        Returns:
            Whether its loss is no higher than theirs is on average.
        """
        own = _numbers(network)
        with torch.no_grad():
            for name, value in self.total.items():
                own[name].copy_(value / len(self.losses))
        loss, theirs = self._loss(network), float(np.mean(self.losses))
        holds = loss <= theirs
        self.sentence = (
            f"{'Kept is' if holds else 'Not kept is'} the mean of the weights of the "
            f"{len(self.losses)} networks that were tuned without a part of the rows each: on "
            f"{len(self._rows()):,} learning rows its loss is {loss:.3f}, and theirs "
            f"{theirs:.3f} on average.")
        return holds

    def _rows(self) -> np.ndarray:
        rows = len(self.ground.lesson.targets)
        return np.unique(np.linspace(0, rows - 1, min(rows, LOOKED_AT)).astype(int))

    def _loss(self, network: Any) -> float:
        some = self.ground.lesson.of(self._rows())
        said = finish(outputs_of(network.eval(), self.ground.encoder, some.items,
                                 precision=self.plan.precision))
        return loss_of(self.ground.task, said, some.targets)


def _numbers(network: Any) -> dict[str, torch.Tensor]:
    """Weights and buffers that a mean can be taken of; live ones."""
    return {name: value for name, value in network.module.state_dict().items()
            if value.is_floating_point()}
