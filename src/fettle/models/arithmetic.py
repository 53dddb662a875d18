"""Arithmetic: whose code computes what a network gives, so that another version of it is known."""

import hashlib
import inspect
from importlib.metadata import version
from pathlib import Path

from torch import nn

from fettle.core.parts import Card

__all__ = ["code_of"]

LIBRARIES = {"transformers": "transformers", "timm": "timm", "keras": "keras"}
"""By the source of a card, the library that the network's code is in."""


def code_of(card: Card, model: nn.Module) -> str:
    """Whose code runs, in which version: another one may round otherwise.

    Of a module of the user's own, the content of the files that its classes are in; what those
    call in other files is not seen.

    Args:
        card: of the network.
        model: what runs.
    """
    if card.source in LIBRARIES:
        return f"{card.source} {version(LIBRARIES[card.source])}"
    digest = hashlib.sha256()
    kinds = {type(one) for one in model.modules()}
    for kind in sorted(kinds, key=lambda one: f"{one.__module__}.{one.__qualname__}"):
        if kind.__module__.partition(".")[0] not in ("torch", "fettle"):  # their versions count
            digest.update(f"{kind.__qualname__} {_file_of(kind)}|".encode())
    return f"{card.source} {digest.hexdigest()[:16]}"


def _file_of(kind: type) -> str:
    """The hash of the file that a class is written in; nothing where there is none to read."""
    try:
        place = inspect.getsourcefile(kind)
    except (TypeError, OSError):  # written in C, or typed in
        place = None
    path = Path(place or "")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
