"""Checkpoints: tensors and facts, found again only when every byte is the one that was written.

The manifest is written last and carries the tensors' hash and its own; a checkpoint whose bytes
do not match is passed over, aloud, for the one before.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fettle.core.errors import CorruptFile, StoreError
from fettle.store import files

if TYPE_CHECKING:
    import torch

__all__ = ["KEPT", "Checkpoint", "latest", "read_tensors", "save", "write_tensors"]

KEPT = 2
"""An older checkpoint goes only after a newer one is whole."""
FORMAT = 2
"""Of the manifest; raised whenever an older fettle could misread it."""
PIECE_BYTES = 16 * 2**20
"""So much of a tensor is taken from a GPU at once."""
TYPES = {
    "torch.float64": "F64", "torch.float32": "F32", "torch.float16": "F16",
    "torch.bfloat16": "BF16", "torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2",
    "torch.int64": "I64", "torch.int32": "I32", "torch.int16": "I16", "torch.int8": "I8",
    "torch.uint64": "U64", "torch.uint32": "U32", "torch.uint16": "U16", "torch.uint8": "U8",
    "torch.bool": "BOOL", "torch.complex64": "C64",
}
"""What safetensors calls the types of torch."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved at one moment."""

    number: int
    tensors: "Mapping[str, torch.Tensor]"
    facts: Mapping[str, Any]


def write_tensors(path: Path, tensors: "Mapping[str, torch.Tensor]") -> Path:
    """A safetensors file that is whole or not there.

    The tensors are written from where they lie: from a GPU in pieces, and one that is not
    contiguous as a copy that lasts as long as its writing.

    Raises:
        StoreError: the disk is full, gone or not writable.
    """
    _write(path, tensors)
    return path


def read_tensors(path: Path, *, finite: tuple[str, ...] = ()) -> "dict[str, torch.Tensor]":
    """The tensors in a safetensors file.

    Args:
        path: of the file.
        finite: how the names begin of those that may hold no NaN and no infinity; ("",) is all.

    Raises:
        CorruptFile: the file is missing, its structure is broken, or a number is not finite where
            it must be.
    """
    import safetensors
    import safetensors.torch

    try:
        found: dict[str, torch.Tensor] = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CorruptFile(f"{path} is not a whole safetensors file: {error}.") from error
    for name, value in found.items():
        if name.startswith(finite):
            _require_finite(value, f"{name!r} in {path}")
    return found


def save(
    folder: Path, number: int, tensors: "Mapping[str, torch.Tensor]", facts: Mapping[str, Any]
) -> None:
    """One more checkpoint; older ones than KEPT are removed once this one has been read back.

    Args:
        folder: of the checkpoints of one thing.
        number: counts up; what stands under a higher one is of a run that broke, and is removed.
        tensors: written from where they lie.
        facts: what JSON can hold.

    Raises:
        StoreError: the disk is full, gone, not writable, or gave other bytes back; what was
            saved before still stands.
    """
    weights = _tensors_of(folder, number)
    digest = _write(weights, tensors)
    plain = json.loads(json.dumps(facts))
    manifest = {"format": FORMAT, "number": number, "sha256": digest, "facts": plain}
    try:
        files.require_hash(weights, digest)
        files.write_json(
            _manifest_of(folder, number), {**manifest, "manifest_sha256": _hash(manifest)}
        )
        _manifest(folder, number)
    except CorruptFile as error:
        raise StoreError(
            f"The disk did not give back what was written: {error} Check the disk, or go on with "
            "--out on another one."
        ) from error
    _remove_all_but(folder, sorted(n for n in _numbers(folder) if n <= number)[-KEPT:])


def latest(
    folder: Path, *, finite: tuple[str, ...] = ()
) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """The newest whole checkpoint, and a sentence for each newer one that is not whole.

    Args:
        folder: of the checkpoints.
        finite: how the names begin of the tensors that may hold no NaN and no infinity.
    """
    passed_over: list[str] = []
    for number in sorted(_numbers(folder), reverse=True):
        try:
            manifest = _manifest(folder, number)
            weights = files.require_hash(_tensors_of(folder, number), manifest["sha256"])
            found = Checkpoint(number, read_tensors(weights, finite=finite), manifest["facts"])
            return found, tuple(passed_over)
        except StoreError as error:
            passed_over.append(f"Checkpoint {number:012d} is not whole and is passed over: {error}")
    return None, tuple(passed_over)


def _numbers(folder: Path) -> set[int]:
    """Of the checkpoints that have a manifest."""
    return {int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()}


def _manifest_of(folder: Path, number: int) -> Path:
    return folder / f"{number:012d}.json"


def _tensors_of(folder: Path, number: int) -> Path:
    return folder / f"{number:012d}.safetensors"


def _manifest(folder: Path, number: int) -> dict[str, Any]:
    """The manifest, once it is known to be the one that was written."""
    path = _manifest_of(folder, number)
    found = files.read_json(path)
    if not isinstance(found, dict) or found.pop("manifest_sha256", None) != _hash(found):
        raise CorruptFile(f"{path} is not the manifest that was written.")
    if (found["format"], found["number"]) != (FORMAT, number):
        raise CorruptFile(f"{path} was written under another name, or by another fettle.")
    return found


def _hash(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _remove_all_but(folder: Path, numbers: list[int]) -> None:
    """A manifest goes before its tensors; tensors that never had one go too."""
    for path in sorted(folder.iterdir()):
        is_ours = path.suffix in (".json", ".safetensors") and path.stem.isdecimal()
        if is_ours and int(path.stem) not in numbers:
            files.remove_file(path)


def _write(path: Path, tensors: "Mapping[str, torch.Tensor]") -> str:
    """Write a safetensors file; the sha256 of the bytes as they lay in memory.

    safetensors' own writer copies every tensor of a GPU to memory first, leaves files under names
    of its own when it is killed, and cannot say what the bytes were before the disk had them.

    Source: safetensors, README, "Format": the header's length (8 bytes), the header, the bytes.
    """
    ordered = sorted(tensors.items(), key=lambda one: (-one[1].element_size(), one[0]))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, value in ordered:
        start, end = end, end + value.numel() * value.element_size()
        header[name] = {
            "dtype": TYPES[str(value.dtype)], "shape": list(value.shape),
            "data_offsets": [start, end],
        }
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)

    def chunks() -> Iterator[bytes | memoryview]:
        yield len(head).to_bytes(8, "little") + head
        for _, value in ordered:
            yield from _bytes_of(value)

    return files.write_chunks(path, chunks(), needed_bytes=8 + len(head) + end)


def _bytes_of(value: "torch.Tensor") -> Iterator[memoryview]:
    """The tensor's bytes, row by row, piece by piece; no copy of what lies so in memory."""
    import torch

    flat = value.detach().contiguous().reshape(-1).view(torch.uint8)
    for start in range(0, len(flat), PIECE_BYTES):
        yield flat[start : start + PIECE_BYTES].cpu().numpy().data


def _require_finite(value: "torch.Tensor", place: str) -> None:
    import torch

    if not (value.is_floating_point() or value.is_complex()):
        return
    if value.element_size() == 1:
        value = value.float()  # torch has no isfinite for eight bits
    wrong = int(value.numel() - torch.isfinite(value).sum())
    if wrong:
        raise CorruptFile(
            f"{wrong:,} of {value.numel():,} numbers of {place} are not finite (NaN or infinite)."
        )
