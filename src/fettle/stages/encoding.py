"""Encoding: a Dataset in, what a frozen encoder makes of each row out. Nothing is learned."""

from collections.abc import Generator

import numpy as np

from fettle.checks.evidence import Sizes
from fettle.core.dataset import Dataset
from fettle.core.parts import Card
from fettle.core.plan import Machine
from fettle.core.progress import Progress
from fettle.engine.device import set_threads
from fettle.engine.predict import taps_of
from fettle.modalities import ENCODERS
from fettle.models.network import open_network, preprocessing

__all__ = ["encode"]

_UNCUT = 2**31 - 1
"""Tokens: more than any row has."""


def encode(
    dataset: Dataset, card: Card, machine: Machine, *, most_tokens: int
) -> Generator[Progress, None, tuple[np.ndarray, Sizes | None]]:
    """Features of every row, float32 (rows, width), and how many tokens each text has.

    Args:
        dataset: rows of texts, or of pictures, which have no tokens.
        card: of the encoder; its own pooling is taken.
        machine: what it runs on.
        most_tokens: of a row, where the encoder reads as many.

    Yields:
        Progress after every batch.
    """
    set_threads(machine.cores)
    limit = min(card.max_tokens, most_tokens)
    fields, rows = dataset.schema.inputs, dataset.fields()
    whole, cut = (
        ENCODERS[card.modality].fit(card, preprocessing(card), fields=fields, max_tokens=most)
        for most in (_UNCUT, limit)
    )
    sizes = None
    if card.modality == "text":
        sizes = Sizes(np.array([whole.size(item) for item in whole.encode(rows)]), limit)
    found = yield from taps_of(
        open_network(card), cut, cut.encode(rows), names=(card.pooling,),
        precision="bf16" if machine.bf16 else "fp32",
    )
    return found[card.pooling], sizes
