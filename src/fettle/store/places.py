"""Places: a registry's, by folder or URL, and what lies beside it. Opens nothing."""

from pathlib import Path

__all__ = ["is_url", "journal_folder", "runs_folder"]


def is_url(place: str) -> bool:
    """Whether this is a URL, and no folder."""
    return "://" in place


def runs_folder(registry: str) -> Path:
    """Where runs lie by default: in the registry's folder, or in .fettle where it is a URL."""
    return Path(".fettle" if is_url(registry) else registry) / "runs"


def journal_folder(registry: str, name: str) -> Path:
    """Where the journal of a name lies: beside the runs, whatever the registry is."""
    return runs_folder(registry).parent / "journal" / name
