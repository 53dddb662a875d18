"""Probes made small, so that a test of them takes milliseconds."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from fettle.engine import probes

SMALL = {
    "SECONDS": 0.0, "SHAPES": ((8, 16, 16), (8, 16, 32), (16, 32, 32)), "BATCH_TOKENS": 64,
    "PARAMETERS": 8_000, "BUFFER": (2**20, 2**20), "FILE_BYTES": 2**20,
}  # fmt: skip


@contextmanager
def small() -> Iterator[None]:
    """Small probes inside; afterwards there are as many threads as before."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(probes, name, value)
        yield
    torch.set_num_threads(threads)
