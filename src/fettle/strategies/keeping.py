"""What strategies that keep weights of a training share: a memory that keeps nothing yet."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fettle.core.parts import Network
from fettle.core.plan import Setting

if TYPE_CHECKING:
    import torch

__all__ = ["Keeper", "Weights", "copied", "put"]

Weights = Mapping[str, "torch.Tensor"]


class Keeper:
    """A memory that keeps nothing; each strategy keeps what it needs."""

    def __init__(self) -> None:
        self.chosen: dict[str, Setting] = {}
        self.trials: tuple[Mapping[str, Setting], ...] = ()

    def copies(self, *, held_out: bool) -> int:
        """How many sets of the weights that learn it keeps, at most."""
        return 0

    def begin(self, weights: Weights, *, steps: int, held_out: bool = True) -> None:
        """A training of about so many steps begins at these weights."""

    def step(self, weights: Weights) -> None:
        """One step is done."""

    def epoch(self, weights: Weights, score: float | None, *, is_best: bool = False) -> None:
        """One epoch is done; None where nothing is judged."""

    def state(self) -> "dict[str, torch.Tensor]":
        """Everything it keeps, for a checkpoint."""
        return {}

    def restore(self, state: Weights) -> None:
        """Go on from what `state` gave."""


def copied(weights: Weights) -> "dict[str, torch.Tensor]":
    """The weights as they are now."""
    return {name: value.detach().clone() for name, value in weights.items()}


def put(network: Network, weights: Weights) -> Network:
    """The network, with these of its weights and buffers."""
    own = network.module.state_dict()  # its tensors are the network's own
    for name, value in weights.items():
        own[name].copy_(value)
    return network
