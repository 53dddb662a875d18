"""Checkpoints: tensors and facts, found again only when every byte is the one that was written.

The manifest is written last and carries the tensors' hash and its own; a checkpoint whose bytes
do not match is passed over, aloud, for the one before.
"""

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fettle.core.errors import CorruptFile
from fettle.store import files

if TYPE_CHECKING:
    import torch

__all__ = ["Checkpoint", "latest", "read_tensors", "save", "write_tensors"]

KEPT = 2
"""An older checkpoint goes only after a newer one is whole."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved at one moment."""

    number: int
    tensors: "Mapping[str, torch.Tensor]"
    facts: Mapping[str, Any]


def write_tensors(path: Path, tensors: "Mapping[str, torch.Tensor]") -> Path:
    """A safetensors file that is whole or not there."""
    plain = {name: value.contiguous() for name, value in tensors.items()}
    return files.write_with(path, lambda temporary: _dump(plain, temporary))


def read_tensors(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors in a safetensors file.

    Raises:
        CorruptFile: the file is missing, or its structure is broken.
    """
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CorruptFile(f"{path} is not a whole safetensors file: {error}.") from error


def save(
    folder: Path, number: int, tensors: "Mapping[str, torch.Tensor]", facts: Mapping[str, Any]
) -> None:
    """One more checkpoint; older ones than KEPT are removed once this one is on the disk."""
    weights = write_tensors(folder / f"{number:012d}.safetensors", tensors)
    manifest = {"number": number, "sha256": files.sha256(weights), "facts": dict(facts)}
    own = files.write_json(
        folder / f"{number:012d}.json", {**manifest, "manifest_sha256": _hash(manifest)}
    )
    numbered = sorted(folder.glob("*.json"))
    here = numbered.index(own)  # what follows was passed over: it is of a run that broke
    for old in (*numbered[: max(here + 1 - KEPT, 0)], *numbered[here + 1 :]):
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def latest(folder: Path) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """The newest whole checkpoint, and a sentence for each newer one that is not whole."""
    passed_over: list[str] = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            manifest = _manifest(path)
            weights = files.require_hash(path.with_suffix(".safetensors"), manifest["sha256"])
            found = Checkpoint(manifest["number"], read_tensors(weights), manifest["facts"])
            return found, tuple(passed_over)
        except CorruptFile as error:
            passed_over.append(f"Checkpoint {path.stem} is not whole and is passed over: {error}")
    return None, tuple(passed_over)


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest, once it is known to be the one that was written."""
    found = files.read_json(path)
    if not isinstance(found, dict) or found.pop("manifest_sha256", None) != _hash(found):
        raise CorruptFile(f"{path} is not the manifest that was written.")
    return found


def _hash(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _dump(tensors: "Mapping[str, torch.Tensor]", path: Path) -> None:
    """safetensors' own writer; its error for a full disk is made the system's again."""
    import safetensors
    import safetensors.torch

    try:
        safetensors.torch.save_file(dict(tensors), path, metadata={"format": "pt"})
    except safetensors.SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error)) from error
