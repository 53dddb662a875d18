"""The doctor: what this machine is and does, and whether everything that fettle needs is there."""

import shutil
from importlib import metadata

from fettle.core.errors import FettleError
from fettle.core.plan import Machine
from fettle.models.cards import card_of
from fettle.models.sources import DEFAULT_TEXT_MODEL
from fettle.store import folders

__all__ = ["examine", "measured"]

LIBRARIES = ("fettle", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow",
             "scikit-learn", "sqlalchemy")


def examine(registry: str, machine: Machine) -> dict[str, str]:
    """One line a fact: machine, libraries, default model, registry, disk."""
    facts = {
        "processor": f"{machine.processor}, {machine.cores} cores",
        "memory": f"{machine.memory_bytes / 2**30:.1f} GiB",
        "gpu": machine.gpu or "none",
        "measured": "while little else ran" if machine.calm else
                    "while other work ran; it will be measured again when that is over",
        "measurements kept in": str(folders.cache()),
    }
    facts.update({name: metadata.version(name) for name in LIBRARIES})
    try:
        card = card_of(DEFAULT_TEXT_MODEL)
        facts["default model"] = f"{card.name}, {card.parameters:,} parameters, hash right"
    except FettleError as error:
        facts["default model"] = str(error)
    facts["registry"] = _registry(registry)
    facts["disk free here"] = f"{shutil.disk_usage('.').free / 2**30:.1f} GiB"
    return facts


def measured(machine: Machine) -> list[tuple[str, str, str]]:
    """One line a probe: what was measured, the figures, what was chosen from them and why.

    Attention is timed in training: forward and backward.
    """
    fp32, bf16 = machine.flops_fp32, machine.flops_bf16
    lines = [
        (f"products of {one.tokens} x {one.width} x {one.inner}",
         f"fp32 {_speed(one.fp32)}, bf16 {_speed(one.bf16 or 0.0)}", "")
        for one in machine.products
    ]
    lines.append((
        "matrix products at their best", f"fp32 {_speed(fp32)}, bf16 {_speed(bf16)}",
        f"{'bf16' if machine.bf16 else 'fp32'}: bf16 is {bf16 / fp32:.1f} times as fast as fp32",
    ))
    lines.append((
        "threads", ", ".join(f"{one.threads}: {_speed(one.flops)}" for one in machine.tried),
        f"{_count(machine.threads, 'thread')}: " + (
            "no other number is clearly faster" if machine.calm
            else "others were busy, so the figures do not count"
        ),
    ))
    for precision in ("fp32", "bf16"):
        timed = [one for one in machine.attention if one.precision == precision]
        lines += [
            (f"attention, {precision}, {one.tokens} tokens a row",
             f"plain {one.plain_seconds * 1e3:.1f} ms, fused {one.fused_seconds * 1e3:.1f} ms",
             _attention(machine.math_below(precision)) if one is timed[-1] else "")
            for one in timed
        ]
    lines += [
        ("optimizer step, a million parameters", f"{machine.optimizer_seconds * 1e3:.2f} ms", ""),
        ("memory, copying", _rate(machine.memory_bytes_per_second), ""),
        ("disk, reading", _rate(machine.disk_read_bytes_per_second), ""),
        ("disk, writing", _rate(machine.disk_write_bytes_per_second), ""),
    ]
    if machine.gpu is not None:
        lines.append((
            f"GPU, {machine.gpu_memory_bytes / 2**30:.0f} GiB",
            f"fp32 {_speed(machine.gpu_flops_fp32)}, bf16 {_speed(machine.gpu_flops_bf16)}", "",
        ))
    return lines


def _attention(limit: int) -> str:
    """Which way of attention is taken, and why."""
    if not limit:
        return "fused: plain products were slower at every length, or not faster enough"
    return f"plain products up to {limit} tokens, fused beyond: each is faster there"


def _speed(flops: float) -> str:
    return f"{flops / 1e9:,.0f} GFLOP/s" if flops else "not measured"


def _rate(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e9:.2f} GB/s" if bytes_per_second else "not measured"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _registry(place: str) -> str:
    """How many versions there are and whether all is as it was written, or why not to be said."""
    from fettle.store import inspecting
    from fettle.store.registry import Registry

    try:
        found = inspecting.inspect(held := Registry(place, create=False))
    except FettleError as error:
        return str(error)
    wrong = f"; {len(found.problems)} problems, see `fettle verify`" if found.problems else ""
    return " ".join([f"{held.place}: {found.versions} versions{wrong}.", *found.notes])
