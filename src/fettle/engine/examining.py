"""Examining: what training did to each block of a network."""

from fettle.core.evaluation import BlockUse
from fettle.core.parts import Network, Strategy

__all__ = ["block_uses"]


def block_uses(
    tuned: Network, base: Network, strategy: Strategy, *, epochs: int
) -> tuple[BlockUse, ...]:
    """Every block with its parameters, its rates, and how far its weights have moved.

    Args:
        tuned: the kept network, with its head.
        base: as it came.
        strategy: that it was tuned by.
        epochs: how many it was tuned for; 0 for a solved head.
    """
    first, last = (strategy.rates(tuned.blocks, epoch) for epoch in (0, max(epochs - 1, 0)))
    came = dict(base.module.named_parameters())
    numbers = [0] * tuned.blocks
    learned = [0] * tuned.blocks
    moved = [0.0] * tuned.blocks
    whole = [0.0] * tuned.blocks
    for name, value in tuned.module.named_parameters():
        block = tuned.block_of(name)
        numbers[block] += value.numel()
        before = came.get(name)
        if before is None or before.shape != value.shape:
            learned[block] += value.numel()  # a head or an adapter: training made it
            continue
        change = float((value.detach().float() - before.detach().float()).norm() ** 2)
        learned[block] += value.numel() if change else 0
        moved[block] += change
        whole[block] += float(before.detach().float().norm() ** 2)
    lowest = "embeddings" if tuned.card.modality == "text" else "input"
    names = [lowest, *(f"block {at}" for at in range(1, tuned.blocks - 1)), "head"]
    return tuple(
        BlockUse(
            name, numbers[at], learned[at], first[at], last[at],
            (moved[at] / whole[at]) ** 0.5 if whole[at] else None,
        )
        for at, name in enumerate(names)
    )
