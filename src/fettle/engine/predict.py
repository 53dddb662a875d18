"""Forward passes: items in, numpy arrays out, in batches of like length; order is kept."""

from collections.abc import Generator, Sequence

import numpy as np
import torch

from fettle.core.parts import Encoder, Item, Network
from fettle.core.progress import Progress
from fettle.engine.batches import by_length

__all__ = ["BUDGET", "outputs_of", "taps_of"]

BUDGET = 4096
"""Tokens of a batch: larger ones fall out of the processor's cache and are slower (measured)."""


def taps_of(
    network: Network, encoder: Encoder, items: Sequence[Item], *, names: Sequence[str],
    precision: str,
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """Named outputs of the frozen backbone, fp32 (rows, width) each; each row runs once.

    Yields:
        Progress after every batch.
    """
    ready = network.in_precision(precision)
    found = {name: np.empty((len(items), network.card.width), np.float32) for name in names}
    done = 0
    for rows in by_length([encoder.size(item) for item in items], budget=BUDGET):
        with torch.inference_mode():
            taps = ready.taps(encoder.collate([items[row] for row in rows]), names)
        for name in names:
            found[name][rows] = taps[name].float().numpy()
        done += len(rows)
        yield Progress("features", done, len(items))
    return found


def outputs_of(
    network: Network, encoder: Encoder, items: Sequence[Item], *, precision: str
) -> Generator[Progress, None, np.ndarray]:
    """The head's raw outputs, fp32 (rows, outputs), for a network that is evaluated."""
    ready = network.in_precision(precision)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    done = 0
    for rows in by_length([encoder.size(item) for item in items], budget=BUDGET):
        with torch.inference_mode():
            outputs = ready(encoder.collate([items[row] for row in rows]))
        parts.append((rows, outputs.float().numpy()))
        done += len(rows)
        yield Progress("predictions", done, len(items))
    width = parts[0][1].shape[1]
    found = np.empty((len(items), width), np.float32)
    for numbers, part in parts:
        found[numbers] = part
    return found
