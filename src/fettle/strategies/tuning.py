"""What all strategies that tune share: their usual settings, and rates that fall with depth."""

from collections.abc import Mapping

from fettle.core.plan import Setting

__all__ = ["TUNING", "all_but_words", "discriminative_rates", "learns"]

TUNING: dict[str, Setting] = {
    "rate": 1.5e-4,
    "slower": 0.9,
    "head_rate": 1e-3,
    "epochs": 6,
    "batch_rows": 32,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "clip": 1.0,
    "dropout": 0.1,
    "patience": 3,
    "word_embeddings": "frozen",
}
WORDS = ("word_embedding", "embed_tokens", "tok_embeddings", "wte.", "shared.")
"""What transformers' networks call the table of word vectors."""


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
