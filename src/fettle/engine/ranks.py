"""Ranks: several processes, one training. What each adds is summed; alone, nothing happens.

Everything that decides (batches, rates, when to stop) is a pure function of the plan, so that all
ranks come to the same; only losses, counts and gradients are exchanged. `torchrun` starts the
processes, whoever starts them has called `torch.distributed.init_process_group`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import distributed

__all__ = ["World", "world"]

BUCKET = 25 << 20
"""Bytes of gradients that travel together."""


@dataclass(frozen=True, slots=True)
class World:
    """How many processes train together, and which of them this is."""

    rank: int = 0
    size: int = 1

    def summed(self, *values: float) -> tuple[float, ...]:
        """Each value, summed over all ranks."""
        if self.size == 1:
            return values
        together = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(together)
        return tuple(together.tolist())

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Every gradient becomes the sum over all ranks; a missing one counts as zero."""
        if self.size == 1:
            return
        bucket: list[torch.Tensor] = []
        held = 0
        for number, parameter in enumerate(parameters, start=1):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            held += parameter.grad.numel() * parameter.grad.element_size()
            if held >= BUCKET or number == len(parameters):
                _sum_in_place(bucket)
                bucket, held = [], 0


def world() -> World:
    """The processes that train together; one where nobody has started more."""
    if distributed.is_available() and distributed.is_initialized():
        return World(distributed.get_rank(), distributed.get_world_size())
    return World()


def _sum_in_place(tensors: Sequence[torch.Tensor]) -> None:
    flat = torch.cat([one.flatten() for one in tensors])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [one.numel() for one in tensors])
    for one, part in zip(tensors, parts, strict=True):
        one.copy_(part.view_as(one))
