"""Costs: how many floating-point operations a training takes, from who learns and where it starts.

Counted are matrix products: 2 operations a weight and token forward, 2 for the gradient of what
came in, 2 for the gradient of the weight itself. Attention's own products are left out: at the
lengths of most texts they are a few percent.
"""

from collections.abc import Sequence

from fettle.core.parts import Network, Strategy

__all__ = ["matrix_weights", "operations"]

LOOKED_UP = ("embeddings", "embed_tokens", "wte", "wpe", "shared")
"""Tables are read by row, not multiplied."""


def matrix_weights(network: Network, strategy: Strategy) -> tuple[list[float], list[float]]:
    """Weights that stand in matrix products, by block: all, and those that may learn."""
    every = [0.0] * network.blocks
    learning = [0.0] * network.blocks
    for name, parameter in network.module.named_parameters():
        if parameter.ndim < 2 or any(part in name for part in LOOKED_UP):
            continue
        block = network.block_of(name)
        every[block] += parameter.numel()
        if strategy.learns(name):
            learning[block] += parameter.numel()
    return every, learning


def operations(
    every: Sequence[float], learning: Sequence[float], rates: Sequence[float], *, start: int
) -> float:
    """Floating-point operations for one token of one epoch.

    Args:
        every, learning: weights by block, from input to head.
        rates: of this epoch, by block; 0.0 is frozen.
        start: the first block that runs; below it all is replayed.
    """
    awake = [block for block, rate in enumerate(rates) if rate > 0.0 and learning[block]]
    lowest = min(awake, default=len(rates))
    total = 0.0
    for block in range(start, len(rates)):
        total += 2 * every[block]
        if block > lowest:
            total += 2 * every[block]
        if block in awake:
            total += 2 * learning[block]
    return total
