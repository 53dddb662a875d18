"""Calibration: what this machine does, measured once and kept, and what follows for training.

`probes` measures, the functions here choose; the numbers behind a choice are kept with it.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import log
from pathlib import Path

import torch

from fettle.core.errors import CorruptFile, StoreError
from fettle.core.plan import Attention, Machine, Products, Threads
from fettle.engine.device import cores, granted, processor, set_threads, whole_cores
from fettle.store import records

__all__ = ["best_threads", "machine", "math_below", "pays"]

VERSION = 2
"""Of the probes: counted up when what they measure changes, so that everyone measures again."""
CALM = 0.6
"""A load average below this share of the cores is no bar to a fair measurement."""
ATTENDED = 0.85
"""With less of the processor time that was asked for, others were busy whatever the load says."""
WORTH = 1.15
"""bf16 must be this many times faster than fp32 to be chosen; and so much must be lost by what
was chosen before for it to be chosen anew, so that a run that was stopped keeps its plan."""
TIES = 1.03
"""Fewer threads are taken where more of them are not even this many times as fast."""
PLAIN = 1.05
"""Plain products, which keep every score in memory, must be this many times faster than fused."""
LENGTHS = (32, 128, 512)
"""Tokens of a row in the probe of attention."""


def machine(cache: Path) -> Machine:
    """This machine, from the cache or measured now (one or two seconds).

    What was measured while much else ran is measured again when that is over; `calm` says so
    until then. What was chosen stays as long as little is lost by it.

    Args:
        cache: a folder; the file in it is named by what would change the measurement: another
            processor, or another allowance of cores, time or memory, is another machine.
    """
    path = cache / f"machine-{_key()}.json"
    is_calm = os.getloadavg()[0] < CALM * cores()
    kept = _kept(path)
    if kept is not None and (kept.calm or not is_calm):
        return kept
    with _threads_put_back():
        found = _measured(cache, kept, is_calm=is_calm)
    with suppress(StoreError):  # what cannot be kept is measured again next time
        records.save(path, found)
    return found


def pays(products: Sequence[Products], *, before: bool | None = None) -> bool:
    """Whether to multiply in bf16: where its best shape is clearly faster than fp32's.

    Args:
        products: at least one shape, measured in both.
        before: what was chosen before; it stays while it loses less than `WORTH`.
    """
    fp32, bf16 = _peaks(products)
    if before:
        return bf16 * WORTH >= fp32
    return bf16 > WORTH * fp32


def best_threads(tried: Sequence[Threads], *, before: int | None = None) -> int:
    """The number of threads to train with: the fewest that are about as fast as any.

    Args:
        tried: at least one.
        before: what was chosen before; it stays while it loses less than `WORTH`.
    """
    best = max(one.flops for one in tried)
    for one in tried:
        if one.threads == before and one.flops * WORTH >= best:
            return one.threads
    return min(one.threads for one in tried if one.flops * TIES >= best)


def math_below(timed: Sequence[Attention], *, before: int | None = None) -> int:
    """The longest row, in tokens, whose attention trains faster as plain products; 0 for none.

    Between the longest length that plain products won and the first that they lost, the place
    where both are equal is read off a straight line in logarithms. Beyond what was measured, and
    where nothing was, attention is fused.

    Args:
        timed: of one precision, the shortest rows first.
        before: what was chosen before; it stays while it loses less than `WORTH` at each length.
    """
    found, lead = 0, 0.0
    for one in timed:
        ahead = log(one.fused_seconds / (PLAIN * one.plain_seconds))
        if ahead <= 0:
            if found:
                found = round(found * (one.tokens / found) ** (lead / (lead - ahead)))
            break
        found, lead = one.tokens, ahead
    if before is not None and all(
        _seconds(one, before) <= WORTH * _seconds(one, found) for one in timed
    ):
        return before
    return found


def _measured(cache: Path, kept: Machine | None, *, is_calm: bool) -> Machine:
    """Every probe, run now, and the choices that follow; the slow imports stay here."""
    from fettle.engine import probes

    given = probes.attended(cores())
    due = ATTENDED * min(granted() / cores(), 1.0)  # what is not granted, nobody else takes away
    calm = is_calm and (given >= due or sys.platform != "linux")  # elsewhere: not counted
    trial = probes.product_rates(probes.TRIAL, torch.float32, torch.bfloat16)
    kind = torch.bfloat16 if trial[1] > trial[0] else torch.float32
    shapes = [s for s in probes.SHAPES if not probes.is_dear(s, max(trial) / cores())]
    tried = probes.threads(_counts(cores()), shapes[-2:] or probes.SHAPES[:1], kind)
    set_threads(best_threads(tried))
    products = probes.products()
    fp32, bf16 = _peaks(products)
    is_bf16 = pays(products, before=kept.bf16 if kept else None)
    attention = tuple(
        probes.attention(precision, tokens)
        for precision in (("fp32", "bf16") if is_bf16 else ("fp32",))
        for tokens in LENGTHS
    )
    read, written = 0.0, 0.0
    with suppress(StoreError):  # a folder that may not be written to has no rates
        read, written = probes.disk_rates(cache)
    gpu = probes.gpu()
    return Machine(
        processor=processor(),
        cores=cores(),
        memory_bytes=_memory(),
        gpu=gpu.name if gpu else None,
        bf16=is_bf16,
        flops_fp32=fp32,
        flops_bf16=bf16,
        calm=calm,
        versions={"torch": torch.__version__.split("+")[0], "python": platform.python_version()},
        probes=VERSION,
        products=products,
        threads=_threads(tried, kept, calm=calm),
        tried=tried,
        attention=attention,
        math_below_fp32=_limit(attention, "fp32", kept),
        math_below_bf16=_limit(attention, "bf16", kept),
        optimizer_seconds=probes.optimizer_step(),
        memory_bytes_per_second=probes.copied(),
        disk_read_bytes_per_second=read,
        disk_write_bytes_per_second=written,
        gpu_memory_bytes=gpu.memory_bytes if gpu else 0,
        gpu_flops_fp32=gpu.fp32 if gpu else 0.0,
        gpu_flops_bf16=gpu.bf16 if gpu else 0.0,
    )


def _threads(tried: Sequence[Threads], kept: Machine | None, *, calm: bool) -> int:
    """As `best_threads`; all cores where others were busy, for that time says nothing of later."""
    before = kept.threads if kept is not None else None
    return best_threads(tried, before=before) if calm else before or cores()


def _limit(attention: Sequence[Attention], precision: str, kept: Machine | None) -> int:
    """As `math_below`, of what was timed in this precision."""
    timed = [one for one in attention if one.precision == precision]
    return math_below(timed, before=kept.math_below(precision) if kept is not None else None)


def _peaks(products: Sequence[Products]) -> tuple[float, float]:
    """The best shape's operations a second in fp32 and in bf16."""
    return max(one.fp32 for one in products), max(one.bf16 or 0.0 for one in products)


def _seconds(one: Attention, limit: int) -> float:
    """Of this attention, where rows of up to `limit` tokens are written as plain products."""
    return one.plain_seconds if one.tokens <= limit else one.fused_seconds


def _counts(most: int) -> tuple[int, ...]:
    """The powers of two up to `most`, and `most` itself."""
    return tuple(sorted({most, *(2**power for power in range(most.bit_length()))}))


@contextmanager
def _threads_put_back() -> Iterator[None]:
    """Whatever is set inside, afterwards there are as many threads as before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        set_threads(before)


def _key() -> str:
    """Twelve hex digits over everything that would change a measurement."""
    allowed = (cores(), whole_cores(), round(min(granted(), cores()), 1), _gigabytes())
    parts = (processor(), *allowed, torch.__version__, torch.cuda.device_count(), VERSION)
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:12]


def _gigabytes() -> int:
    """Of memory: two machines that share a home may have the same processor and not as much."""
    return round(_memory() / 2**30)


def _memory() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _kept(path: Path) -> Machine | None:
    """What was measured before, where it can be read and these probes measured it."""
    try:
        kept = records.load(path, Machine) if path.is_file() else None
    except CorruptFile:
        return None
    return kept if kept is not None and kept.probes == VERSION else None
