"""The optimizer: AdamW with one group of parameters a block, and no decay on norms and biases."""

from collections.abc import Sequence

import torch

from fettle.core.errors import SettingError
from fettle.core.parts import Network, Strategy

__all__ = ["adamw", "awake_blocks", "set_rates", "wake"]


def adamw(
    network: Network, strategy: Strategy, *, epochs: int, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over the parameters that learn in some epoch; each group knows its block.

    Raises:
        SettingError: nothing learns in any epoch.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
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
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "block": block,
                "lr": 0.0,
                "weight_decay": weight_decay if decays else 0.0,
            }
            for (block, decays), parameters in sorted(groups.items(), key=lambda one: one[0])
        ],
        fused=True,
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


def set_rates(optimizer: torch.optim.AdamW, rates: Sequence[float], share: float) -> None:
    """Give every group its block's rate at this step."""
    for group in optimizer.param_groups:
        group["lr"] = rates[group["block"]] * share
