"""Folders of fettle outside of a run: where what was measured of this machine is kept."""

import os
from pathlib import Path

__all__ = ["cache"]


def cache() -> Path:
    """$XDG_CACHE_HOME/fettle, or ~/.cache/fettle; .fettle/cache where there is no home."""
    home = os.environ.get("XDG_CACHE_HOME")
    if home:
        return Path(home) / "fettle"
    try:
        return Path.home() / ".cache" / "fettle"
    except RuntimeError:
        return Path(".fettle") / "cache"
