"""Encoding: a Dataset in, what a frozen encoder makes of each row out. Nothing is learned.

What a run's frozen pass has made of its rows is found again where it is kept.
"""

from collections.abc import Generator
from pathlib import Path

import numpy as np

from fettle.checks.evidence import Sizes
from fettle.core.dataset import Dataset
from fettle.core.parts import Card
from fettle.core.plan import Machine
from fettle.core.progress import Progress
from fettle.engine.device import set_threads
from fettle.engine.predict import taps_of
from fettle.engine.replay import remembered
from fettle.modalities import ENCODERS
from fettle.models.network import open_network, preprocessing
from fettle.store import folders
from fettle.store.answers import features_of

__all__ = ["encode", "kept"]

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
    set_threads(machine.threads)
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


def kept(run: Path) -> np.ndarray | None:
    """What the frozen encoder made of a run's rows: float32 (learning and test rows, width).

    In the order of the split. None where it was not kept: nothing is computed here.

    Args:
        run: the folder of a run that was evaluated.
    """
    noted = features_of(run)
    if noted is None:
        return None
    pooling, keys = noted
    learn, test = (remembered(folders.cache() / "replay", keys[side], pooling)
                   for side in ("learn", "test"))
    return None if learn is None or test is None else np.concatenate([learn, test])
