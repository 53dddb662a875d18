"""What all strategies that tune share: their usual settings, and rates that fall with depth."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from fettle.core.errors import SettingError
from fettle.core.parts import Network, Strategy
from fettle.core.plan import Setting

__all__ = [
    "TUNING", "all_but_words", "discriminative_rates", "learns", "redrawn", "usual_without",
    "with_fresh_top",
]

TUNING: dict[str, Setting] = {
    "rate": 1.5e-4,
    "rate_by": "plan",
    "slower": 0.9,
    "head_rate": 1e-3,
    "epochs": 6,
    "batch_rows": 32,
    "schedule": "cosine",
    "warmup": 0.1,
    "cycles": 3,
    "loss": "plain",
    "label_smoothing": 0.0,
    "weight_decay": 0.01,
    "clip": 1.0,
    "dropout": 0.1,
    "patience": 3,
    "stop_by": "metric",
    "word_embeddings": "frozen",
    "head": "linear",
    "reinit_top": 0,
    "networks": 5,
    "kept": "mean",
}
"""`networks` networks are tuned to be judged where no row is held out, and `kept` is their mean, or
one that is retrained on all rows."""
DEVIATION = 0.02
"""Of weights that are drawn: BERT's initializer_range."""
WORDS = ("word_embedding", "embed_tokens", "tok_embeddings", "wte.", "shared.")
"""What transformers' networks call the table of word vectors."""


def usual_without(*names: str) -> dict[str, Setting]:
    """The settings that all share, but for those that a strategy has no use for."""
    return {name: value for name, value in TUNING.items() if name not in names}


def discriminative_rates(
    blocks: int, epoch: int, *, rate: float, slower: float, head_rate: float
) -> tuple[float, ...]:
    """Every block's learning rate; the same in every epoch.

    Args:
        blocks: how many there are, counted from the embeddings (0) to the head (blocks - 1).
        epoch: counted from 0; not used, every block learns all the time.
        rate: of the topmost block below the head, per optimizer step.
        slower: each block learns at this share of the rate of the block above it.
        head_rate: of the head.

    Source: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL
    2018, section 3.2.
    """
    top = blocks - 2
    return (*(rate * slower ** (top - block) for block in range(blocks - 1)), head_rate)


def all_but_words(parameter: str) -> bool:
    """Half of a small encoder's weights are word vectors; most words of a text set are rare, and
    moving those that occur away from those that do not is what overfits."""
    return not any(name in parameter for name in WORDS)


def learns(settings: Mapping[str, Setting], parameter: str) -> bool:
    """Whether a parameter learns where its block does."""
    return settings["word_embeddings"] != "frozen" or all_but_words(parameter)


def with_fresh_top(strategy: Strategy, settings: Mapping[str, Setting]) -> Strategy:
    """The strategy, of a network whose last `reinit_top` blocks begin at random.

    What lies highest is closest to what a network was pre-trained for, and may be a bad start.

    Source: Zhang et al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021, section 5.
    """
    blocks = int(settings["reinit_top"])
    if not blocks:
        return strategy
    return replace(strategy, prepare=partial(_fresh_top, blocks=blocks), reworks=True)


def _fresh_top(network: Network, *, blocks: int) -> Network:
    if blocks > network.blocks - 2:
        raise SettingError(
            f"reinit_top is {blocks}; {network.card.name} has {network.blocks - 2} blocks. To "
            "begin with no pre-trained weight at all, take the rung scratch."
        )
    return redrawn(network, lowest=network.blocks - 1 - blocks)


def redrawn(network: Network, *, lowest: int) -> Network:
    """The network, with all weights drawn anew from this block up to the head, which is left.

    Matrices are normal with a deviation of 0.02, biases 0 and the factors of norms 1, as in BERT.
    """
    import torch

    with torch.no_grad():
        for name, value in network.module.named_parameters():
            if not lowest <= network.block_of(name) < network.blocks - 1:
                continue
            if value.ndim >= 2:
                value.normal_(std=DEVIATION)
            else:
                value.fill_(0.0 if name.endswith("bias") else 1.0)
        for name, module in network.module.named_modules():
            inside = lowest <= network.block_of(f"{name}.weight") < network.blocks - 1
            if inside and hasattr(module, "reset_running_stats"):
                module.reset_running_stats()  # what others' pictures were like is no start
                module.learns_statistics = True
    return network
