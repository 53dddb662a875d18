"""The Split: which rows teach, which tune, and which judge."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from fettle.core.audit import LeftOut
from fettle.core.errors import SplitError

__all__ = ["Opening", "Split", "Vault"]


@dataclass(frozen=True, slots=True)
class Opening:
    """One look at test rows."""

    test: str
    """Fingerprint of the test rows."""
    reason: str


@dataclass(frozen=True, slots=True)
class Vault:
    """The test rows, sealed. Only `evaluating` opens it, and every opening is counted."""

    sealed: tuple[int, ...]
    fingerprint: str

    def open(
        self, reason: str, count: Callable[[Opening], int]
    ) -> tuple[tuple[int, ...], int]:
        """The row numbers, and how many times these test rows have been opened by now.

        Args:
            reason: why, for the log.
            count: writes the opening down and returns how many there have been.
        """
        return self.sealed, count(Opening(self.fingerprint, reason))


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows teach, which tune, and which judge. Numbers index one Dataset."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    """Empty where the learning rows are too few: then every choice is made out of fold."""
    vault: Vault
    dataset: str
    """Fingerprint of the Dataset that the numbers belong to."""
    learning: str
    """Fingerprint of the train and validation rows, in this order: what a Plan may depend on."""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    """How the sides were chosen, one sentence each."""
    tied: tuple[tuple[int, ...], ...] = ()
    """Clusters of used rows that hang together (twins, one named group): folds keep them whole,
    and intervals draw them whole."""

    def __post_init__(self) -> None:
        times = Counter(chain(self.train, self.validation, self.vault.sealed))
        shared = sorted(row for row, count in times.items() if count > 1)
        if shared:
            raise SplitError(
                f"{len(shared)} rows stand on two sides of the split, row {shared[0]} first. "
                "Build splits with splitting.split(), which keeps the sides apart."
            )

    @property
    def id(self) -> str:
        """Twelve hex digits over the rows, what they say, and the side that each stands on."""
        sides = (self.dataset, self.train, self.validation, self.vault.sealed)
        return hashlib.sha256(json.dumps(sides).encode()).hexdigest()[:12]

    def groups(self, rows: Sequence[int]) -> np.ndarray:
        """A group number for each of these rows, (rows,); equal where they hang together."""
        first = {row: cluster[0] for cluster in self.tied for row in cluster}
        return np.array([first.get(row, row) for row in rows], dtype=np.int64)

    @property
    def learners(self) -> tuple[int, ...]:
        """Train and validation rows, in this order."""
        return self.train + self.validation
