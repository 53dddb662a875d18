"""The doctor: what this machine is and does, and whether everything that fettle needs is there."""

import shutil
from importlib import metadata
from pathlib import Path

from fettle.core.errors import FettleError
from fettle.core.plan import Machine
from fettle.models.cards import card_of
from fettle.models.sources import DEFAULT_TEXT_MODEL
from fettle.store import folders

__all__ = ["examine"]

LIBRARIES = ("fettle", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow",
             "scikit-learn", "sqlalchemy")


def examine(registry: Path, machine: Machine) -> dict[str, str]:
    """One line a fact: machine, libraries, default model, registry, disk."""
    facts = {
        "processor": f"{machine.processor}, {machine.cores} cores",
        "memory": f"{machine.memory_bytes / 2**30:.1f} GiB",
        "gpu": machine.gpu or "none",
        "matrix products": f"fp32 {machine.flops_fp32 / 1e9:.0f} GFLOP/s, "
                           f"bf16 {machine.flops_bf16 / 1e9:.0f} GFLOP/s",
        "precision chosen": "bf16" if machine.bf16 else "fp32",
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


def _registry(folder: Path) -> str:
    """How many versions there are, or why that cannot be said."""
    if not (folder / "registry.db").is_file():
        return f"none in {folder} yet"
    from fettle.store.registry import Registry

    try:
        return f"{folder}: {len(Registry(folder).versions())} versions"
    except FettleError as error:
        return str(error)
