"""Blobs: files under the name of their own sha256; written once, never changed."""

from pathlib import Path

from fettle.store import files

__all__ = ["path_of", "put"]


def path_of(root: Path, sha256: str) -> Path:
    """Where the blob of this hash lies."""
    return root / "blobs" / "sha256" / sha256[:2] / sha256


def put(root: Path, source: Path) -> str:
    """Keep a copy of this file; its sha256 is the name to ask for it by."""
    digest = files.sha256(source)
    target = path_of(root, digest)
    if not target.is_file() or files.sha256(target) != digest:
        files.copy_file(source, target)
        files.require_hash(target, digest)
    return digest
