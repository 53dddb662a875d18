"""Probes: what one kind of work costs on this machine, in seconds or in bytes a second.

A figure is the best of several tries and not their mean: another process can only make a try
slower. No random number is drawn, and nothing is chosen here; `calibrate` chooses.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import harmonic_mean

import torch
from torch.nn import functional

from fettle.core.plan import Attention, Products, Threads
from fettle.engine.device import autocast, set_threads
from fettle.engine.optim import AdamW, Group
from fettle.store import files

__all__ = [
    "SHAPES", "TRIAL", "Gpu", "Shape", "attended", "attention", "copied", "disk_rates", "fastest",
    "gpu", "is_dear", "operations", "optimizer_step", "product_rates", "products", "threads",
]

Shape = tuple[int, int, int]
"""(tokens, width, inner) of one matrix product."""

SECONDS = 0.04
"""A probe goes on for so long, and for two rounds at least: the first one also warms up."""
DEAR = 0.4
"""Seconds that one try may take; a shape that would take longer is left out."""
LOST = 0.5
"""bf16 below this share of fp32 is emulated: nothing larger is tried in it."""

TRIAL: Shape = (64, 384, 384)
"""So small that even emulated bf16 ends within milliseconds."""
SHAPES: tuple[Shape, ...] = ((512, 384, 384), (512, 384, 1536), (2048, 768, 3072))
"""Of a small encoder's attention and wide layer, and of a larger one's wide layer."""
GPU_SHAPE: Shape = (8192, 4096, 4096)

HEADS, HEAD_WIDTH, BATCH_TOKENS = 12, 32, 512
TENSORS, PARAMETERS = 8, 4_000_000
"""Of the probed optimizer: with gradients and two moments 64 MB, more than most caches hold."""
BUFFER = (2**26, 2**28)
"""Bytes at least and at most of the buffer whose one half is copied to the other."""
FILE_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor."""

    name: str
    memory_bytes: int
    fp32: float
    """Matrix products, floating-point operations a second; 0.0 where there was no room for them."""
    bf16: float


def fastest(*ways: Callable[[], object]) -> tuple[float, ...]:
    """The least seconds that each way took; they take turns, so that a busy moment meets all."""
    best = [inf] * len(ways)
    begun, rounds = time.perf_counter(), 0
    while rounds < 2 or time.perf_counter() - begun < SECONDS:
        for number, way in enumerate(ways):
            start = time.perf_counter()
            way()
            best[number] = min(best[number], time.perf_counter() - start)
        rounds += 1
    return tuple(best)


def operations(shape: Shape) -> int:
    """Floating-point operations of one product of this shape: a multiplication and an addition."""
    tokens, width, inner = shape
    return 2 * tokens * width * inner


def is_dear(shape: Shape, rate: float) -> bool:
    """Whether one try at this rate (operations a second) takes too long to be made."""
    return operations(shape) / rate > DEAR


def product_rates(shape: Shape, *types: torch.dtype, device: str = "cpu") -> tuple[float, ...]:
    """Matrix products of this shape in each type, floating-point operations a second."""
    ways = [_product(shape, kind, device) for kind in types]
    return tuple(operations(shape) / seconds for seconds in fastest(*ways))


def products() -> tuple[Products, ...]:
    """The trial and every shape that is not too dear here; bf16 as long as it is in the race."""
    measured: list[Products] = []
    for shape in (TRIAL, *SHAPES):
        fp32 = max((one.fp32 for one in measured), default=inf)
        bf16 = max((one.bf16 or 0.0 for one in measured), default=inf)
        if is_dear(shape, fp32):
            break
        if bf16 >= LOST * fp32:
            measured.append(Products(*shape, *product_rates(shape, torch.float32, torch.bfloat16)))
        else:
            measured.append(Products(*shape, *product_rates(shape, torch.float32)))
    return tuple(measured)


def threads(
    counts: Sequence[int], shapes: Sequence[Shape], kind: torch.dtype
) -> tuple[Threads, ...]:
    """Matrix products with each number of threads; the last number stays set."""
    tried = []
    for count in counts:
        set_threads(count)
        tried.append(Threads(count, harmonic_mean(product_rates(s, kind)[0] for s in shapes)))
    return tuple(tried)


def attended(cores: int) -> float:
    """The share of the processor time asked for that was given, with all cores busy; 1.0 is all.

    Args:
        cores: how many threads ask.
    """
    set_threads(cores)
    way = _product(SHAPES[1], torch.float32, "cpu")
    way()
    wall, given = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < SECONDS:
        way()
    return (time.process_time() - given) / (cores * (time.perf_counter() - wall))


def attention(precision: str, tokens: int) -> Attention:
    """Attention over rows of so many tokens, forward and backward, written in both ways."""
    plain, fused = fastest(
        _attention(precision, tokens, fused=False), _attention(precision, tokens, fused=True)
    )
    return Attention(precision, tokens, plain, fused)


def optimizer_step() -> float:
    """Seconds of one step of fused AdamW, for a million parameters."""
    weights = [torch.nn.Parameter(torch.ones(PARAMETERS // TENSORS)) for _ in range(TENSORS)]
    for one in weights:
        one.grad = torch.ones_like(one)
    optimizer = AdamW([Group(0, 0.01, weights, 1e-4)])
    seconds, *_ = fastest(lambda: optimizer.step(clip=1.0, norm=1.0))
    return seconds / (PARAMETERS / 1e6)


def copied() -> float:
    """Bytes a second that memory reads and writes, together, while a large buffer is copied."""
    size = min(max(4 * _largest_cache(), BUFFER[0]), BUFFER[1])
    source, target = torch.ones(2, size // 8)                     # (size / 8,) each, 4 bytes a cell
    return size / fastest(lambda: target.copy_(source))[0]


def disk_rates(folder: Path) -> tuple[float, float]:
    """(bytes read a second, bytes written a second) of the disk under this folder.

    A file is written there, flushed, read back and removed. Reading is 0.0 where the system
    cannot be asked to forget what it has in memory.

    Raises:
        StoreError: the folder cannot be written to.
    """
    content = os.urandom(2**20) * (FILE_BYTES // 2**20)
    path = folder / "probe" / str(os.getpid())
    read = inf
    try:
        (write,) = fastest(lambda: files.write_bytes(path, content))
        for _ in range(2):
            read = min(read, _read_seconds(path))
    finally:
        files.remove_folder(path.parent)
    return FILE_BYTES / read, FILE_BYTES / write


def gpu() -> Gpu | None:
    """The first GPU and its matrix products, or None; a GPU that others have filled has none."""
    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    try:
        fp32, bf16 = product_rates(GPU_SHAPE, torch.float32, torch.bfloat16, device="cuda")
    except torch.cuda.OutOfMemoryError:
        fp32, bf16 = 0.0, 0.0
    torch.cuda.empty_cache()
    return Gpu(found.name, found.total_memory, fp32, bf16)


def _product(shape: Shape, kind: torch.dtype, device: str) -> Callable[[], None]:
    tokens, width, inner = shape
    left = torch.ones(tokens, width, dtype=kind, device=device)
    weight = torch.ones(inner, width, dtype=kind, device=device)

    def once() -> None:
        with torch.inference_mode():
            functional.linear(left, weight)
        if device != "cpu":
            torch.cuda.synchronize()

    return once


def _attention(precision: str, tokens: int, *, fused: bool) -> Callable[[], object]:
    """One forward and backward pass; a mask is added, as it is for most batches."""
    rows, width = max(BATCH_TOKENS // tokens, 1), HEADS * HEAD_WIDTH
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    values = torch.linspace(-1, 1, rows * tokens * width).view(rows, tokens, width).to(kind)
    inputs = [values.clone().requires_grad_() for _ in range(3)]
    mask = torch.zeros(rows, 1, 1, tokens, dtype=kind)

    def once() -> object:
        with torch.enable_grad(), autocast(precision):
            query, key, value = (
                one.view(rows, tokens, HEADS, HEAD_WIDTH).transpose(1, 2) for one in inputs
            )
            if fused:
                mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            else:
                scores = (query * HEAD_WIDTH**-0.5) @ key.transpose(-1, -2) + mask
                mixed = scores.softmax(-1).to(value.dtype) @ value
            output = mixed.transpose(1, 2).reshape(rows, tokens, width)
            total = (output * values).sum()  # a gradient that is handed in imports sympy
        return torch.autograd.grad(total, inputs)

    return once


def _read_seconds(path: Path) -> float:
    """Of the whole file, from the disk; endless where memory would answer for it."""
    if not hasattr(os, "posix_fadvise"):
        return inf
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        begun = time.perf_counter()
        while os.read(descriptor, 2**20):
            pass
        return time.perf_counter() - begun
    finally:
        os.close(descriptor)


def _largest_cache() -> int:
    """Bytes of the largest cache of a core, as the system gives it; 0 where it does not."""
    found = [0]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        if text.endswith("K") and text[:-1].isdigit():
            found.append(int(text[:-1]) * 1024)
    return max(found)
