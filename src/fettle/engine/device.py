"""The device: threads, precision, memory, and random numbers that belong to a step."""

import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

__all__ = [
    "autocast",
    "cores",
    "device_of",
    "is_out_of_memory",
    "peak_bytes",
    "placed",
    "seeded",
    "set_threads",
]


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


def device_of(module: torch.nn.Module) -> torch.device:
    """Where a module's weights lie."""
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def placed(batch: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """The batch on the device; the same tensors where they are there already."""
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def autocast(precision: str, device: str = "cpu") -> AbstractContextManager[object]:
    """Matrix products in bf16 while weights stay fp32, or nothing at all for fp32."""
    if precision == "bf16":
        return torch.autocast(device, dtype=torch.bfloat16)
    return nullcontext()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is the machine's or the accelerator's memory running out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        part in said for part in ("can't allocate memory", "not enough memory", "out of memory")
    )


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Torch's random numbers inside the block follow from these numbers and nothing else."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 1) % (2**63)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(mixed)
        yield
