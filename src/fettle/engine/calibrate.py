"""Calibration: what this machine does, measured once and kept."""

import hashlib
import os
import platform
import time
from contextlib import suppress
from pathlib import Path

import torch

from fettle.core.errors import CorruptFile, StoreError
from fettle.core.plan import Machine
from fettle.engine.device import cores, set_threads
from fettle.store import records

__all__ = ["machine"]

SHAPE = (512, 384, 1536)
"""Of the probed products: a batch of tokens through the wide layer of a small encoder."""
SECONDS = 0.15
CALM = 0.6
"""A load average below this share of the cores is no bar to a fair measurement."""
WORTH = 1.15
"""bf16 must be this many times faster than fp32 to be chosen."""


def machine(cache: Path) -> Machine:
    """This machine, from the cache or measured now (under a second).

    What was measured while much else ran is measured again; the choice of bf16 stays, so that a
    run that was stopped keeps its plan.

    Args:
        cache: a folder; the file in it is named by what would change the measurement.
    """
    versions = {"torch": torch.__version__.split("+")[0], "python": platform.python_version()}
    processor = _processor()
    key = hashlib.sha256(
        f"{processor}|{cores()}|{torch.__version__}|{SHAPE}".encode()
    ).hexdigest()[:12]
    path = cache / f"machine-{key}.json"
    calm = os.getloadavg()[0] < CALM * cores()
    try:
        kept = records.load(path, Machine) if path.is_file() else None
    except CorruptFile:
        kept = None
    if kept is not None and (kept.calm or not calm):
        return kept
    set_threads(cores())
    fp32, bf16 = _products(torch.float32), _products(torch.bfloat16)
    found = Machine(
        processor=processor,
        cores=cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        bf16=kept.bf16 if kept is not None else bf16 > WORTH * fp32,
        flops_fp32=fp32,
        flops_bf16=bf16,
        calm=calm,
        versions=versions,
    )
    with suppress(StoreError):  # what cannot be kept is measured again next time
        records.save(path, found)
    return found


def _products(dtype: torch.dtype) -> float:
    """Matrix products a second in this type, in floating-point operations; the best of the tries.

    The best and not the mean: another process can only make a try slower.
    """
    rows, inner, columns = SHAPE
    left = torch.ones(rows, inner, dtype=dtype)
    right = torch.ones(inner, columns, dtype=dtype)
    best = 0.0
    begun = time.perf_counter()
    with torch.inference_mode():
        while time.perf_counter() - begun < SECONDS:
            start = time.perf_counter()
            for _ in range(5):
                left @ right
            best = max(best, 5 * 2 * rows * inner * columns / (time.perf_counter() - start))
    return best


def _processor() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
