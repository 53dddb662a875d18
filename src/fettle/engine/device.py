"""The device: threads, precision, memory, and random numbers that belong to a step."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

__all__ = ["autocast", "cores", "peak_bytes", "seeded", "set_threads"]


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(threads: int) -> None:
    """Use this many threads for one operation, and one operation at a time."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def peak_bytes() -> int:
    """Resident memory of this process at its highest, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def autocast(precision: str) -> AbstractContextManager[object]:
    """Matrix products in bf16 while weights stay fp32, or nothing at all for fp32."""
    if precision == "bf16":
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Torch's random numbers inside the block follow from these numbers and nothing else."""
    before = torch.get_rng_state()
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 1) % (2**63)
    torch.manual_seed(mixed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
