"""Costs: what a training takes, from who learns and where it starts.

Counted are matrix products: 2 operations a weight and token forward, 2 for the gradient of what
came in, 2 for the gradient of the weight itself. Attention's own products are left out: at the
lengths of most texts they are a few percent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fettle.core.parts import Card, Network, Strategy
from fettle.core.plan import Cost, Rung

__all__ = [
    "RANGE_STEPS", "RUNG", "Pace", "Size", "matrix_weights", "operations", "predicted",
    "replayed_blocks", "state_bytes",
]

LOOKED_UP = ("embeddings", "word_embedding", "embed_tokens", "wte", "wpe", "shared")
"""Tables are read by row, not multiplied."""
SOLVING = 4.5e-8
"""Seconds for the head by row, width and class: 14 s for 10,003 rows of 384 in 77 classes."""
SHARE_OF_PEAK = {"features": 0.55, "lora": 0.35}
SHARE_WHEN_TUNED = 0.50
"""Of the measured matrix products, reached on texts of the usual lengths (from bench runs)."""
ADAPTERS = 0.1
"""Weights of LoRA's adapters, of those that they stand beside, roughly."""
STEP, STEP_OF_A_BLOCK = 0.004, 0.003
"""Seconds of a step that are no matrix product, whatever its size: once, and by learning block."""
RUNG = 2.0
"""Seconds of a tuned network beside its steps: opened, checked, judged and saved."""
RANGE_STEPS = 100
"""Of a range test, where the rate is found by one."""
ACTIVATIONS = 600e6
"""Bytes of what a batch leaves for the backward pass."""
TRACE = 1e-6
"""What a norm or a table that learns counts for: next to nothing, but its block is awake."""


def matrix_weights(network: Network, strategy: Strategy) -> tuple[list[float], list[float]]:
    """Weights that stand in matrix products, by block: all, and those that may learn."""
    every = [0.0] * network.blocks
    learning = [0.0] * network.blocks
    if network.card.operations:
        return _of_pictures(network, strategy)
    for name, parameter in network.module.named_parameters():
        block = network.block_of(name)
        multiplied = parameter.ndim >= 2 and not any(part in name for part in LOOKED_UP)
        every[block] += parameter.numel() if multiplied else 0
        if strategy.learns(name):
            learning[block] += parameter.numel() if multiplied else TRACE
    return every, learning


def _of_pictures(network: Network, strategy: Strategy) -> tuple[list[float], list[float]]:
    """The same where a weight is used at many places: what each block does for one square."""
    every = [*_for_a_square(network.card), 0.0]
    learning = [0.0] * network.blocks
    for name, _ in network.module.named_parameters():
        block = network.block_of(name)
        if strategy.learns(name):
            learning[block] = every[block]
    return every, learning


def _for_a_square(card: Card) -> list[float]:
    """Multiplications of each block below the head for one square of 16 by 16 pixels."""
    assert card.picture is not None, "the operations are those of a picture"
    squares = max((card.picture.side // 16) ** 2, 1)
    return [one / 2 / squares for one in card.operations]


def operations(
    every: Sequence[float], learning: Sequence[float], rates: Sequence[float], *, start: int,
    back: Sequence[float] | None = None,
) -> float:
    """Floating-point operations for one token of one epoch.

    Args:
        every, learning: weights by block, from input to head.
        rates: of this epoch, by block; 0.0 is frozen.
        start: the first block that runs; below it all is replayed.
        back: what the gradient of what came in costs by block, where that is not as much.
    """
    back = every if back is None else back
    awake = [block for block, rate in enumerate(rates) if rate > 0.0 and learning[block]]
    lowest = min(awake, default=len(rates))
    total = 0.0
    for block in range(start, len(rates)):
        total += 2 * every[block]
        if block > lowest:
            total += 2 * back[block]
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


def state_bytes(card: Card, size: "Size", block: int) -> float:
    """What is kept of all rows where replay starts at this block, in bf16."""
    if not card.operations or card.picture is None:
        return 2 * size.tokens * size.rows * card.width
    squares = max((card.picture.side // 16) ** 2, 1)
    return 2 * size.rows * card.crossing[block] * size.tokens / squares


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a network of pictures took on a few of them: kernels and depthwise maps wait for
    memory, so operations alone say too little."""

    forward: tuple[float, ...]
    """Seconds for one picture in each block below the head."""
    backward: tuple[float, ...]
    """The same, for the gradients of what came in and of the weights together."""


@dataclass(frozen=True, slots=True)
class Size:
    """What the cost of a rung depends on beside the model."""

    rows: int
    tokens: float
    """Of a row, on average."""
    classes: int
    networks: int
    """That are tuned: one, or one a fold and one on all rows."""
    views: int = 0
    """Of each row, that frozen blocks run on once to be replayed."""
    live: int = 0
    """Last epochs in which they run all the same."""
    pace: Pace | None = None
    """Of the network, where it was tried."""


def predicted(
    rung: Rung, strategy: Strategy, size: Size, card: Card, *, peak: float, cache_limit: int
) -> Cost:
    """What a rung will take, from the operations that its strategy needs.

    Args:
        rung, strategy: of one name.
        size: of the rows.
        card: of the network.
        peak: measured matrix products in the run's precision, operations a second. Of a network
            that was tried, its own pace counts instead.
        cache_limit: bytes that kept states may take; what does not fit is not replayed.
    """
    every, back = _work(card, size, peak)
    tokens, base = size.tokens * size.rows, 600e6 + 8 * card.parameters
    forward = peak * (SHARE_OF_PEAK["features"] if size.pace is None else 1.0)
    if rung.strategy == "features":
        seconds = 3.0 + 2 * sum(every[:-1]) * tokens / forward
        seconds += SOLVING * size.rows * card.width * size.classes
        return Cost("features", round(seconds, 1), int(base + 12 * size.rows * card.width))
    epochs = int(rung.settings["epochs"])
    starts = tuple(
        block for block in replayed_blocks(strategy, blocks=len(every), epochs=epochs)
        if (1 + size.views) * state_bytes(card, size, block) <= cache_limit
    )
    adapters, weights = back, [*_weights(card), every[-1]]
    if rung.strategy == "lora":
        adapters, weights = ([one * ADAPTERS for one in row] for row in (back, weights))
    views = 2 * sum(every[: max(starts, default=0)]) * size.views * tokens / forward
    work, awake, lowest, most = 0.0, 0.0, len(every), 0
    for epoch in range(epochs):
        rates = strategy.rates(len(every), epoch)
        lowest = min([lowest, *(block for block, rate in enumerate(rates) if rate > 0.0)])
        start = max((one for one in starts if one <= lowest), default=0)
        start = 0 if epoch >= epochs - size.live else start
        work += operations(every, adapters, rates, start=start, back=back) * tokens
        awake = max(awake, sum(one for one, rate in zip(weights, rates, strict=True) if rate > 0.0))
        most = max(most, sum(rate > 0.0 for rate in rates[1:-1]))
    share = SHARE_OF_PEAK.get(rung.strategy, SHARE_WHEN_TUNED)
    share = share if size.pace is None else 1.0
    steps = epochs * size.rows / int(rung.settings["batch_rows"])
    step = awake * 28 / 20e9 + STEP + STEP_OF_A_BLOCK * most
    seconds = views + (work / (peak * share) + steps * step + RUNG) * size.networks
    if rung.settings.get("rate_by") == "find":  # as many steps of the first epoch, once
        rates = strategy.rates(len(every), 0)
        start = max((one for one in starts if all(rate == 0.0 for rate in rates[:one])), default=0)
        one = operations(every, adapters, rates, start=start, back=back) * size.tokens
        rows = min(int(rung.settings["batch_rows"]), size.rows)
        seconds += RANGE_STEPS * (rows * one / (peak * share) + step)
    return Cost(rung.strategy, max(round(seconds, 1), 0.1), int(base + 24 * awake + ACTIVATIONS))


def _work(card: Card, size: Size, peak: float) -> tuple[list[float], list[float]]:
    """Multiplications for one token, by block: of a pass forward, and of each of the two gradients;
    where the pace is known, those that this peak does in as long."""
    head = card.width * size.classes / (size.tokens if card.operations else 1.0)
    if size.pace is None:
        every = [*_weights(card), head]
        return every, every
    one = peak / 2 / size.tokens
    return ([*(seconds * one for seconds in size.pace.forward), head],
            [*(seconds * one / 2 for seconds in size.pace.backward), head])


def _weights(card: Card) -> list[float]:
    """Roughly, the weights of each block below the head; of pictures, multiplications."""
    if card.operations:
        return _for_a_square(card)
    inside = max(card.parameters - 30_000 * card.width, card.parameters // 4)
    return [0.0, *(inside / max(card.blocks, 1),) * max(card.blocks, 1)]
