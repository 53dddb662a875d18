"""Costs: what a training takes, from who learns and where it starts.

Counted are matrix products: 2 operations a weight and token forward, 2 for the gradient of what
came in, 2 for the gradient of the weight itself. Attention's own products are left out: at the
lengths of most texts they are a few percent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fettle.core.parts import Card, Network, Strategy
from fettle.core.plan import Cost, Rung

__all__ = ["Size", "matrix_weights", "operations", "predicted", "replayed_blocks"]

LOOKED_UP = ("embeddings", "word_embedding", "embed_tokens", "wte", "wpe", "shared")
"""Tables are read by row, not multiplied."""
SOLVING = 4.5e-8
"""Seconds for the head by row, width and class: 14 s for 10,003 rows of 384 in 77 classes."""
SHARE_OF_PEAK = {"features": 0.55, "lora": 0.35}
SHARE_WHEN_TUNED = 0.50
"""Of the measured matrix products, reached on texts of the usual lengths (from bench runs)."""
ADAPTERS = 0.1
"""Weights of LoRA's adapters, of those that they stand beside, roughly."""
STEP = 0.004
"""Seconds of a step that are no matrix product, whatever its size."""
ACTIVATIONS = 600e6
"""Bytes of what a batch leaves for the backward pass."""
TRACE = 1e-6
"""What a norm or a table that learns counts for: next to nothing, but its block is awake."""


def matrix_weights(network: Network, strategy: Strategy) -> tuple[list[float], list[float]]:
    """Weights that stand in matrix products, by block: all, and those that may learn."""
    every = [0.0] * network.blocks
    learning = [0.0] * network.blocks
    for name, parameter in network.module.named_parameters():
        block = network.block_of(name)
        multiplied = parameter.ndim >= 2 and not any(part in name for part in LOOKED_UP)
        every[block] += parameter.numel() if multiplied else 0
        if strategy.learns(name):
            learning[block] += parameter.numel() if multiplied else TRACE
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


def replayed_blocks(strategy: Strategy, *, blocks: int, epochs: int) -> tuple[int, ...]:
    """The blocks at which replay would start, one for each depth of the frozen part.

    Below block 2 there is nothing to gain: looking vectors up is no dearer than reading them.
    """
    if strategy.solved:
        return ()
    lowest = blocks
    found = set()
    for epoch in range(epochs):
        awake = [block for block, rate in enumerate(strategy.rates(blocks, epoch)) if rate > 0.0]
        lowest = min([lowest, *awake])
        if 1 < lowest < blocks - 1:
            found.add(lowest)
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class Size:
    """What the cost of a rung depends on beside the model."""

    rows: int
    tokens: float
    """Of a row, on average."""
    classes: int
    networks: int
    """That are tuned: one, or one a fold and one on all rows."""


def predicted(
    rung: Rung, strategy: Strategy, size: Size, card: Card, *, peak: float, cache_limit: int
) -> Cost:
    """What a rung will take, from the operations that its strategy needs.

    Args:
        rung, strategy: of one name.
        size: of the rows.
        card: of the network.
        peak: measured matrix products in the run's precision, operations a second.
        cache_limit: bytes that kept states may take; what does not fit is not replayed.
    """
    inside = max(card.parameters - 30_000 * card.width, card.parameters // 4)
    blocks = max(card.blocks, 1)
    every = [0.0, *(inside / blocks,) * blocks, float(card.width * size.classes)]
    tokens = size.tokens * size.rows
    base = 600e6 + 8 * card.parameters
    if rung.strategy == "features":
        forward = 2 * inside * tokens / (peak * SHARE_OF_PEAK["features"])
        seconds = 3.0 + forward + SOLVING * size.rows * card.width * size.classes
        return Cost("features", round(seconds, 1), int(base + 12 * size.rows * card.width))
    epochs = int(rung.settings["epochs"])
    fits = 2 * tokens * card.width <= cache_limit
    starts = replayed_blocks(strategy, blocks=len(every), epochs=epochs) if fits else ()
    adapters = [one * ADAPTERS for one in every] if rung.strategy == "lora" else every
    work, awake, lowest = 0.0, 0.0, len(every)
    for epoch in range(epochs):
        rates = strategy.rates(len(every), epoch)
        lowest = min([lowest, *(block for block, rate in enumerate(rates) if rate > 0.0)])
        start = max((one for one in starts if one <= lowest), default=0)
        work += operations(every, adapters, rates, start=start) * tokens
        awake = max(awake, sum(w for w, rate in zip(adapters, rates, strict=True) if rate > 0.0))
    share = SHARE_OF_PEAK.get(rung.strategy, SHARE_WHEN_TUNED)
    steps = epochs * size.rows / int(rung.settings["batch_rows"])
    seconds = (work / (peak * share) + steps * (awake * 28 / 20e9 + STEP)) * size.networks
    return Cost(rung.strategy, max(round(seconds, 1), 0.1), int(base + 24 * awake + ACTIVATIONS))
