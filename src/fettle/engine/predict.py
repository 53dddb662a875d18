"""Forward passes: items in, numpy arrays out, in batches of like length; order is kept."""

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from fettle.core.parts import Encoder, Item, Network, Objective
from fettle.core.progress import Progress
from fettle.engine.batches import by_length
from fettle.engine.device import device_of, placed
from fettle.engine.several import sizes_of

if TYPE_CHECKING:
    from fettle.engine.replay import States

__all__ = ["BUDGET", "loss_of", "outputs_of", "read_batch", "taps_by_batch", "taps_of"]

BUDGET = 4096
"""Tokens of a batch: larger ones fall out of the processor's cache and are slower (measured)."""


def taps_by_batch(
    network: Network, encoder: Encoder, items: Sequence[Item], *, names: Sequence[str],
    precision: str,
) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
    """Row numbers and named outputs of the frozen backbone, batch by batch; each row runs once.

    `names` is read anew for each batch: what is taken out of it is not asked for any more.
    """
    ready = network.in_precision(precision)
    device = device_of(ready.module)
    for rows in by_length(sizes_of(encoder, items), budget=BUDGET):
        batch = placed(encoder.collate([items[row] for row in rows]), device)
        with torch.inference_mode():
            yield rows, {name: tap.cpu() for name, tap in ready.taps(batch, names).items()}


def taps_of(
    network: Network, encoder: Encoder, items: Sequence[Item], *, names: Sequence[str],
    precision: str,
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """Pooled outputs of the frozen backbone, fp32 (rows, width) each; each row runs once.

    Yields:
        Progress after every batch.
    """
    found = {name: np.empty((len(items), network.card.width), np.float32) for name in names}
    done = 0
    for rows, taps in taps_by_batch(network, encoder, items, names=names, precision=precision):
        for name in names:
            found[name][rows] = taps[name].float().numpy()
        done += len(rows)
        yield Progress("features", done, len(items))
    return found


def outputs_of(
    network: Network, encoder: Encoder, items: Sequence[Item], *, precision: str,
    states: "States | None" = None,
) -> Generator[Progress, None, np.ndarray]:
    """The head's raw outputs, fp32 (rows, outputs), for a network that is evaluated.

    Args:
        states: what reaches one of its blocks, for these rows: the blocks below do not run.
    """
    ready = network.in_precision(precision)
    device = device_of(ready.module)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    done = 0
    for rows in by_length(sizes_of(encoder, items), budget=BUDGET):
        batch = placed(encoder.collate([items[row] for row in rows]), device)
        with torch.inference_mode():
            if states is None:
                outputs = ready(batch)
            else:
                outputs = ready(batch, start=states.block, hidden=states.batch(rows).to(device))
        parts.append((rows, outputs.float().cpu().numpy()))
        done += len(rows)
        yield Progress("predictions", done, len(items))
    width = parts[0][1].shape[1]
    found = np.empty((len(items), width), np.float32)
    for numbers, part in parts:
        found[numbers] = part
    return found


def loss_of(task: Objective, outputs: np.ndarray, targets: np.ndarray) -> float:
    """The mean loss of raw outputs.

    Args:
        task: whose loss it is.
        outputs: float (rows, outputs).
        targets: (rows, ...), at least one row.
    """
    parts = task.loss(torch.from_numpy(outputs), {"target": torch.from_numpy(targets)})
    return sum(float(part.sum) * part.weight / part.count for part in parts.values())


def read_batch(
    network: Network, encoder: Encoder, items: Sequence[Item], *, precision: str
) -> tuple[np.ndarray, np.ndarray]:
    """Raw outputs (rows, outputs) and pooled vectors (rows, width), fp32, of one pass."""
    ready = network.in_precision(precision)
    batch = placed(encoder.collate(items), device_of(ready.module))
    with torch.inference_mode():
        outputs, vectors = ready.read(batch)
    return outputs.float().cpu().numpy(), vectors.float().cpu().numpy()
