"""The optimizer: AdamW with one group of parameters a block, and no decay on norms and biases."""

from collections.abc import Callable, Sequence

import torch

from fettle.core.parts import Network

__all__ = ["adamw", "set_rates"]


def adamw(
    network: Network,
    rates: Sequence[float],
    *,
    learns: Callable[[str], bool],
    weight_decay: float,
) -> torch.optim.AdamW:
    """AdamW over the parameters that learn; each group knows its block.

    A parameter of a block whose rate is 0.0, or that `learns` refuses, is frozen: it takes no
    gradient and stands in no group.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.module.named_parameters():
        block = network.block_of(name)
        awake = rates[block] > 0.0 and learns(name)
        parameter.requires_grad_(awake)
        if awake:
            groups.setdefault((block, parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "block": block,
                "lr": rates[block],
                "weight_decay": weight_decay if decays else 0.0,
            }
            for (block, decays), parameters in sorted(groups.items())
        ],
        fused=True,
    )


def set_rates(optimizer: torch.optim.AdamW, rates: Sequence[float], share: float) -> None:
    """Give every group its block's rate at this step."""
    for group in optimizer.param_groups:
        group["lr"] = rates[group["block"]] * share
