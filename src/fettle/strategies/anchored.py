"""L2-SP: full fine-tuning that is pulled back to where it began."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fettle.core.parts import Network, Strategy
from fettle.core.plan import Setting
from fettle.strategies.full import full
from fettle.strategies.keeping import copied
from fettle.strategies.tuning import TUNING

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULTS", "l2sp"]

DEFAULTS: dict[str, Setting] = {**TUNING, "weight_decay": 0.0, "anchor": 0.01, "head_decay": 0.01}
"""The paper's alpha and beta: what it tried first. The anchor stands in place of weight decay."""


def l2sp(settings: Mapping[str, Setting]) -> Strategy:
    """As `full`, with anchor / 2 times the squared way from the start added to the loss.

    The head has no start that means anything: head_decay / 2 times its squared weights are added.

    Source: Li et al., "Explicit Inductive Bias for Transfer Learning with Convolutional Networks",
    ICML 2018, equation 2.
    """
    plain = full(settings)
    anchor = _Anchor(float(settings["anchor"]), float(settings["head_decay"]))

    def prepare(network: Network) -> Network:
        return anchor.held(plain.prepare(network))

    return replace(plain, prepare=prepare, penalty=anchor.pull)


class _Anchor:
    """Where a network began, and how hard it is pulled back."""

    def __init__(self, anchor: float, head_decay: float) -> None:
        self._anchor, self._head_decay = anchor, head_decay
        self._start: dict[str, torch.Tensor] = {}

    def held(self, network: Network) -> Network:
        """The network, whose weights are remembered."""
        self._start = copied({
            name: value for name, value in network.module.named_parameters()
            if not name.startswith("head.")
        })
        return network

    def pull(self, network: Network) -> "torch.Tensor":
        """The penalty, over the weights that learn."""
        import torch

        total = torch.zeros(())
        for name, value in network.module.named_parameters():
            if value.requires_grad and name in self._start:
                away = value - self._start[name].to(value.device)
                total = total.to(value.device) + self._anchor / 2 * away.square().sum()
            elif value.requires_grad:
                total = total.to(value.device) + self._head_decay / 2 * value.square().sum()
        return total
