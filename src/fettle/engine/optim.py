"""The optimizer: AdamW with one group of parameters a block, and no decay on norms and biases."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.optim.adamw import adamw as adamw_step

from fettle.core.errors import SettingError
from fettle.core.parts import Network, Strategy

__all__ = ["AdamW", "Group", "adamw", "awake_blocks", "set_rates", "wake"]


@dataclass(slots=True)
class Group:
    """Parameters of one block that decay, or do not."""

    block: int
    weight_decay: float
    parameters: list[torch.nn.Parameter]
    rate: float = 0.0


class AdamW:
    """Torch's fused AdamW by its function: torch's class imports a compiler that nobody needs.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = tuple(groups)
        self._kept: dict[int, dict[str, torch.Tensor]] = {}
        """By the parameter's number, counted over all groups."""

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """All that learn in some epoch; a parameter's place is its number."""
        return [one for group in self.groups for one in group.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for one in self.parameters:
            one.grad = None

    def step(self, *, clip: float, norm: float) -> None:
        """Move every parameter that has a gradient.

        Args:
            clip: the length that all gradients together are cut to; 0 cuts nothing.
            norm: the length that they have; they are cut while they are read, in one pass.
        """
        number = 0
        for group in self.groups:
            moved = []
            for one in group.parameters:
                if one.grad is not None:
                    moved.append((one, one.grad, self._moments(number, one)))
                number += 1
            if not moved:
                continue
            adamw_step(
                [one for one, _, _ in moved], [gradient for _, gradient, _ in moved],
                [kept["exp_avg"] for *_, kept in moved],
                [kept["exp_avg_sq"] for *_, kept in moved], [],
                [kept["step"] for *_, kept in moved],
                fused=True, amsgrad=False, beta1=0.9, beta2=0.999, lr=group.rate,
                weight_decay=group.weight_decay, eps=1e-8, maximize=False,
                grad_scale=torch.tensor(
                    max(1.0, (norm + 1e-6) / clip) if clip else 1.0, device=moved[0][0].device
                ),
            )

    def state(self) -> dict[str, torch.Tensor]:
        """The moments, as NUMBER.NAME; live ones, not copies."""
        return {f"{number}.{name}": value for number, kept in sorted(self._kept.items())
                for name, value in kept.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state` gave."""
        self._kept = {}
        parameters = self.parameters
        for key, value in state.items():
            number, _, name = key.partition(".")
            own = self._kept.setdefault(int(number), {})
            own[name] = value.to(parameters[int(number)].device, copy=True)

    def _moments(self, number: int, one: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        """Of one parameter, from its first step on."""
        if number not in self._kept:
            self._kept[number] = {
                "step": torch.zeros((), device=one.device),
                "exp_avg": torch.zeros_like(one), "exp_avg_sq": torch.zeros_like(one),
            }
        return self._kept[number]


def adamw(network: Network, strategy: Strategy, *, epochs: int, weight_decay: float) -> AdamW:
    """AdamW over the parameters that learn in some epoch; each group knows its block.

    Raises:
        SettingError: nothing learns in any epoch.
    """
    ever = {
        block
        for epoch in range(max(epochs, 1))
        for block, rate in enumerate(strategy.rates(network.blocks, epoch))
        if rate > 0.0
    }
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.module.named_parameters():
        block = network.block_of(name)
        if block in ever and strategy.learns(name):
            groups.setdefault((block, parameter.ndim >= 2), []).append(parameter)
    if not groups:
        raise SettingError(
            "No weight learns with these settings: every rate is 0. Raise `rate` or `head_rate` of "
            "this rung in the plan."
        )
    return AdamW(
        Group(block, weight_decay if decays else 0.0, parameters)
        for (block, decays), parameters in sorted(groups.items(), key=lambda one: one[0])
    )


def awake_blocks(network: Network, strategy: Strategy, epoch: int) -> tuple[int, ...]:
    """The blocks that hold a parameter which learns in this epoch, the lowest first."""
    rates = strategy.rates(network.blocks, epoch)
    return tuple(sorted({
        block for name, _ in network.module.named_parameters()
        if rates[block := network.block_of(name)] > 0.0 and strategy.learns(name)
    }))


def wake(network: Network, strategy: Strategy, epoch: int) -> list[torch.nn.Parameter]:
    """Let exactly the parameters of this epoch take gradients; those are given back.

    Modules of frozen blocks are put in evaluation mode: no dropout, no running statistics. A
    frozen block then gives the same output for the same input.
    """
    rates = strategy.rates(network.blocks, epoch)
    awake: list[torch.nn.Parameter] = []
    for name, parameter in network.module.named_parameters():
        learns = rates[network.block_of(name)] > 0.0 and strategy.learns(name)
        parameter.requires_grad_(learns)
        if learns:
            awake.append(parameter)
    for name, module in network.module.named_modules():
        module.training = rates[network.block_of(f"{name}.")] > 0.0 if name else True
    return awake


def set_rates(optimizer: AdamW, rates: Sequence[float], share: float) -> None:
    """Give every group its block's rate at this step."""
    for group in optimizer.groups:
        group.rate = rates[group.block] * share
