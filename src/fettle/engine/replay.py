"""Replay: a frozen prefix runs once for each row; what it gave is kept and used again.

So far the prefix is the whole backbone and what is kept are its pooled vectors. They are keyed by
everything that determines them; a key that differs in anything computes anew.
"""

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import torch

from fettle.core.parts import Encoder, Item, Network
from fettle.core.progress import Note, Progress
from fettle.engine.predict import BUDGET, taps_of
from fettle.store import checkpoints

__all__ = ["CODE", "features"]

CODE = "1"
"""Raised whenever a change here or in the networks changes what is computed."""


def features(
    network: Network,
    encoder: Encoder,
    items: Sequence[Item],
    *,
    names: Sequence[str],
    precision: str,
    folder: Path,
) -> Generator[Progress | Note, None, dict[str, np.ndarray]]:
    """Pooled vectors of these rows, fp32 (rows, width) by pooling: kept ones, or computed now.

    Args:
        network, encoder: of which nothing learns.
        items: encoded rows; the batches are a function of these rows alone.
        names: poolings: mean, cls, max.
        precision: bf16 or fp32.
        folder: where they are kept.
    """
    digest = hashlib.sha256()
    card = network.card
    facts = (CODE, card.sha256, card.definition, precision, str(BUDGET), torch.__version__, *names)
    digest.update("|".join(facts).encode())
    for item in items:
        digest.update(np.asarray(item).tobytes() + b"|")
    place = folder / f"features-{digest.hexdigest()[:16]}"
    kept, passed_over = checkpoints.latest(place)
    for sentence in passed_over:
        yield Note(f"Kept features cannot be used and are computed again: {sentence}")
    if kept is not None:
        yield Progress("features (kept)", len(items), len(items))
        return {name: kept.tensors[name].numpy() for name in names}
    found = yield from taps_of(network, encoder, items, names=names, precision=precision)
    checkpoints.save(place, 0, {name: torch.from_numpy(found[name]) for name in names}, {})
    return found
