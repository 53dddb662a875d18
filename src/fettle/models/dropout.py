"""Dropout from sixteen random bits a number: torch's own draws a float for each, which on a
processor takes a good part of a training step.

Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR
2014, section 4, scaled in training instead of in testing.
"""

import torch
from torch import nn

__all__ = ["Dropout", "set_dropout"]

LEVELS = 65_536
"""Sixteen bits: p is kept to one part in so many."""


class Dropout(nn.Dropout):
    """Each number becomes 0 with probability p; the others are scaled so that the mean stays."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The input itself outside of training."""
        if not self.training or self.p == 0.0:
            return input
        if input.device.type != "cpu" or self.p >= 1.0:
            return super().forward(input)
        below = round(self.p * LEVELS)
        words = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: input.numel()].view(input.shape)
        keep = (bits >= below - LEVELS // 2).to(input.dtype).mul_(LEVELS / (LEVELS - below))
        return input * keep


def set_dropout(module: nn.Module, p: float) -> None:
    """Every dropout inside drops this share from now on, and draws its numbers the fast way."""
    for name, one in list(module.named_modules()):
        if type(one) is nn.Dropout:
            above, _, last = name.rpartition(".")
            one = Dropout(p)
            setattr(module.get_submodule(above), last, one)
        if isinstance(one, nn.Dropout):
            one.p = p
