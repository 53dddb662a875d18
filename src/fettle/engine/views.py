"""Views: what frozen blocks make of several augmented views of each row, kept for replay.

Every epoch takes another view of a row, in turn. The last epochs may take none of them: then the
frozen blocks run once more, on views that were never seen.
"""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fettle.core.parts import Encoder, Item, Network
from fettle.core.plan import Plan
from fettle.core.progress import Note, Progress
from fettle.engine.replay import Kept, States, prefix
from fettle.engine.several import Several

__all__ = ["Views", "kept"]

CODE = "1"
"""Raised whenever a change here or in an encoder changes what a view is."""
DRAWN = 8
"""Views whose content is part of the key under which all are kept."""


@dataclass(frozen=True, slots=True)
class Views:
    """What reaches some blocks of several views of each row."""

    states: Mapping[int, States] = field(default_factory=dict)
    """By block; all rows of one view stand before those of the next."""
    times: int = 1
    """Views of a row."""
    live: int = 0
    """Last epochs that take none of them."""

    def of(self, rows: np.ndarray) -> "Views":
        """Those of some rows."""
        return replace(self, states={
            block: states.of(np.concatenate([
                rows + view * self._rows(states) for view in range(self.times)]))
            for block, states in self.states.items()
        })

    def at(self, epoch: int) -> dict[int, States]:
        """The one view of each row that this epoch takes, by block; none where none are kept."""
        found = {}
        for block, states in self.states.items():
            rows = np.arange(self._rows(states))
            found[block] = states.of(rows + (epoch + rows) % self.times * len(rows))
        return found

    def only(self, blocks: Sequence[int]) -> "Views":
        """Without the states of other blocks."""
        return replace(self, states={block: states for block, states in self.states.items()
                                     if block in blocks})

    def _rows(self, states: States) -> int:
        return len(states.rows) // self.times


def kept(
    network: Network, encoder: Encoder, items: Sequence[Item], plain: Kept, plan: Plan, *,
    folder: Path,
) -> Generator[Progress | Note, None, Views]:
    """What reaches the blocks of `plain`, of several views of these rows; none of texts.

    Args:
        network, encoder: of which nothing has learned yet.
        items: the rows that teach.
        plain: what was kept of the rows themselves; it stays, and its bytes count.
        plan: how many views, how many live epochs, and how many bytes may be kept.
        folder: as for `prefix`.
    """
    pictures = plan.pictures
    if pictures is None:
        return Views()
    blocks = sorted(plain.states)
    if not pictures.views or not blocks:
        return Views(live=pictures.live)
    several = Several(items, encoder, times=pictures.views, seed=plan.seed)
    named = f"{CODE}|{pictures}|{plan.seed}|{len(items)}|{plain.key}|{_drawn(several)}"
    work = prefix(network, encoder, several, poolings=(), blocks=blocks, precision=plan.precision,
                  folder=folder, limit=plan.cache_limit, named=named, beside=plain.files)
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            found: Kept = end.value
            return Views(found.states, pictures.views, pictures.live)
        yield (Note(f"Of {pictures.views} views of each row: {event.sentence}")
               if isinstance(event, Note) else replace(event, what=f"views: {event.what}"))


def _drawn(several: Several) -> str:
    """The hash of some of the views: another version of who draws them makes others."""
    digest = hashlib.sha256()
    for view in several[:DRAWN]:
        digest.update(np.asarray(view).tobytes())
    return digest.hexdigest()
