"""Heads: what turns a row's hidden states into the task's raw outputs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from fettle.models.dropout import Dropout

__all__ = ["HEADS", "POOLINGS", "BareHead", "LinearHead", "MlpHead", "pooled"]

POOLINGS = ("mean", "cls", "max")


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector a row, in fp32.

    Args:
        hidden: (rows, tokens, width).
        mask: (rows, tokens); 1 for a token, 0 for padding.
        pooling: mean over tokens, the first token (cls), or the largest value of each (max).
    """
    if pooling == "cls":
        return hidden[:, 0].float()
    here = mask.unsqueeze(-1)
    if pooling == "max":
        return hidden.masked_fill(here == 0, float("-inf")).amax(1).float()
    weights = here.float()
    return (hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1.0)


class LinearHead(nn.Module):
    """Pooled, brought to length 1 where asked, dropped out, and one linear map."""

    def __init__(self, width: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.pooling: str = settings["pooling"]
        self.normalise: bool = settings["normalise"]
        self.dropout = Dropout(settings["dropout"])
        self.linear = nn.Linear(width, settings["outputs"])

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Raw outputs (rows, outputs) from pooled vectors (rows, width)."""
        if self.normalise:
            vectors = functional.normalize(vectors, dim=-1)
        return self.linear(self.dropout(vectors))


class MlpHead(LinearHead):
    """A hidden layer beside the pooled vectors, added to them, and one linear map.

    The hidden layer begins at nothing, so that under a solved map the head begins as the solved
    head. Source: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016, for the sum.
    """

    def __init__(self, width: int, settings: Mapping[str, Any]) -> None:
        super().__init__(width, settings)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Raw outputs (rows, outputs) from pooled vectors (rows, width)."""
        if self.normalise:
            vectors = functional.normalize(vectors, dim=-1)
        hidden = self.outer(self.dropout(functional.gelu(self.inner(vectors))))
        return self.linear(self.dropout(vectors + hidden))


class BareHead(nn.Module):
    """No map at all: the pooled vectors, brought to length 1."""

    def __init__(self, width: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.pooling: str = settings["pooling"]

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors of length 1 (rows, width) from pooled vectors (rows, width)."""
        return functional.normalize(vectors, dim=-1)


HEADS = {"linear": LinearHead, "mlp": MlpHead, "bare": BareHead}
"""The heads, by the names a version's file uses."""
