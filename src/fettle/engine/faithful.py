"""Is replay faithful? A network that starts at a block must say what it says from its input.

Asked on real rows before any replayed state is trusted, for every network that is opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fettle.core.parts import Encoder, Item, Network, tap_of_block
from fettle.core.progress import finish
from fettle.engine.device import device_of, placed
from fettle.engine.predict import outputs_of
from fettle.engine.replay import States

__all__ = ["Faithful", "compare"]

SAME_BATCH, OTHER_BATCHES = 16, 256
"""Rows: in one batch in fp32, and in batches of other shapes in the run's precision."""
MOST = {"fp32": 1e-5, "bf16": 2e-2}
"""Relative difference of outputs between batches of other shapes."""
AGREEMENT = 0.995


@dataclass(frozen=True, slots=True)
class Faithful:
    """How replayed outputs differ from those of the full forward pass."""

    block: int
    same_batch: float
    """Largest difference, same batch in fp32."""
    relative: float
    """Largest difference over the largest output, other batches, in the run's precision."""
    agreement: float
    """Share of rows with the same answer."""
    rows: int
    precision: str

    @property
    def holds(self) -> bool:
        """Whether replay may be used."""
        return (self.same_batch == 0.0 and self.relative <= MOST[self.precision]
                and self.agreement >= AGREEMENT)

    @property
    def sentence(self) -> str:
        """What was found, for the report."""
        found = (
            f"block {self.block}: largest difference {self.same_batch:g} in the same batch in "
            f"fp32, {self.relative:.1e} of the largest output over {self.rows} rows in other "
            f"batches in {self.precision}, the same answer on {self.agreement:.1%}"
        )
        if self.holds:
            return f"Replayed from {found}."
        return f"Replay is not used, everything runs anew each time: it was not exact at {found}."


def compare(
    network: Network, encoder: Encoder, items: Sequence[Item], states: States, *, precision: str
) -> Faithful:
    """Outputs from kept states against those from the input.

    Args:
        network: with a head, as it came, in evaluation mode.
        encoder, items: of the rows that were kept.
        states: of these rows.
        precision: of the kept states.
    """
    spread = np.unique(np.linspace(0, len(items) - 1, min(OTHER_BATCHES, len(items))).astype(int))
    few = [items[row] for row in spread]
    part = states.of(spread)
    full = finish(outputs_of(network, encoder, few, precision=precision))
    replayed = finish(outputs_of(network, encoder, few, precision=precision, states=part))
    largest = max(float(np.abs(full).max()), 1e-12)
    return Faithful(
        states.block,
        same_batch=_same_batch(network, encoder, few[:SAME_BATCH], part),
        relative=float(np.abs(full - replayed).max()) / largest,
        agreement=float((full.argmax(axis=1) == replayed.argmax(axis=1)).mean()),
        rows=len(few),
        precision=precision,
    )


def _same_batch(
    network: Network, encoder: Encoder, items: Sequence[Item], states: States
) -> float:
    """The largest difference where only the way differs: fp32, and not the kept values."""
    batch = placed(encoder.collate(items), device_of(network.module))
    name = tap_of_block(states.block)
    with torch.inference_mode():
        hidden = network.taps(batch, (name,))[name].clone()
        for row, (start, stop) in enumerate(zip(
            states.starts[states.rows[: len(items)]], states.starts[states.rows[: len(items)] + 1],
            strict=True,
        )):
            hidden[row, stop - start :] = 0  # as in a batch of kept states
        return float((network(batch) - network(batch, start=states.block, hidden=hidden))
                     .abs().max())
