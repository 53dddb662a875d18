"""The device: threads, precision, memory, and random numbers that belong to a step."""

import os
import platform
import re
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import ceil
from pathlib import Path

import torch

# Of the processor library's kernels, one for each shape of a batch: a thousand are kept otherwise
# in each of two places, which takes hundreds of megabytes and saves training no time (measured on
# texts, whose batches have many shapes, and on convolutions, which have many shapes themselves).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
os.environ.setdefault("LRU_CACHE_CAPACITY", "128")

__all__ = [
    "autocast",
    "cores",
    "device_of",
    "granted",
    "is_out_of_memory",
    "kernels",
    "peak_bytes",
    "placed",
    "processor",
    "quota",
    "seeded",
    "set_threads",
    "whole_cores",
]

CGROUPS = Path("/sys/fs/cgroup")
PROCESSORS = Path("/sys/devices/system/cpu")
UNLIMITED = 1e6


def cores() -> int:
    """How many processor cores this process may use: those it may run on, within its quota."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), ceil(granted()))
    return os.cpu_count() or 1


def granted() -> float:
    """How many cores' worth of time the container of this process grants it; see `quota`."""
    return quota(CGROUPS, _own_group())


def whole_cores(processors: Path = PROCESSORS) -> int:
    """How many cores stand behind the processors that this process may run on: two of them may be
    threads of one core, which are no faster together; 0 where the system does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return 0
    told = (processors / f"cpu{number}" / "topology" / "thread_siblings_list"
            for number in os.sched_getaffinity(0))
    return len({path.read_text().strip() for path in told if path.is_file()})


def quota(groups: Path, own: str) -> float:
    """How many cores' worth of time a container grants its processes.

    Args:
        groups: where the control groups are mounted; version 2, or 1 with a folder `cpu`.
        own: this process's group below it, such as /user.slice; every group above it counts too.

    Returns:
        A large number where no quota is set.
    """
    granted = [UNLIMITED]
    inner = groups / own.lstrip("/")
    for folder in (inner, *inner.parents):
        granted += _share(folder / "cpu.max")
        if folder == groups:
            break
    v1 = groups / "cpu"
    granted += _share(v1 / "cpu.cfs_quota_us", v1 / "cpu.cfs_period_us")
    return min(granted)


def _own_group() -> str:
    """This process's control group of version 2; the root where there is none."""
    path = Path("/proc/self/cgroup")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")


def _share(*paths: Path) -> list[float]:
    """Time granted over the time of a period, from one file or from two; none where unlimited."""
    words = " ".join(path.read_text() for path in paths if path.is_file()).split()
    if len(words) != 2 or not all(word.isdigit() for word in words):  # "max", -1, or no file
        return []
    return [int(words[0]) / int(words[1])]


def processor() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def kernels(device: torch.device) -> str:
    """What decides which kernels run there, and how they cut their sums: the processor, what
    torch uses of it, and the number of threads; of a GPU its name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    able = torch.backends.cpu.get_cpu_capability()
    return f"{processor()} {able} {torch.get_num_threads()}"


def set_threads(threads: int) -> None:
    """Use this many threads for one operation, and one operation at a time."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def peak_bytes() -> int:
    """Resident memory of this process at its highest, in bytes.

    Linux hands `ru_maxrss` on from whoever started a process: its own status says its own peak.
    """
    status = Path("/proc/self/status")
    own = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    if own is not None:
        return int(own[1]) * 1024
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
