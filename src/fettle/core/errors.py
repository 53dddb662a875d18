"""The errors: what went wrong, where, and what to do next.

Everything a user can mend is a FettleError and says so in one message; the command line turns it
into its exit code. `assert` is for our own mistakes.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "Blocked",
    "CorruptFile",
    "FettleError",
    "InputError",
    "LockHeld",
    "MissingFile",
    "ModelUnavailable",
    "NoTargets",
    "NonFinite",
    "OutOfMemory",
    "PointerMoved",
    "SettingError",
    "ShapeError",
    "SplitError",
    "StoreError",
    "UnknownName",
    "UnsafeModel",
    "unknown_name",
]


class FettleError(Exception):
    """Something the user can mend: their input, their settings or their machine."""

    exit_code = 2


class InputError(FettleError):
    """The user's file or table cannot be used as it is."""


class SettingError(FettleError):
    """A setting is unknown, unused or impossible."""


class UnknownName(SettingError):
    """A name that we do not have."""


class ShapeError(FettleError):
    """Arrays that do not fit together."""


class SplitError(FettleError):
    """A split that would let a row stand on two sides."""


class ModelUnavailable(FettleError):
    """A pre-trained model that cannot be found or opened here."""


class UnsafeModel(FettleError):
    """A model folder that could run code; nothing of it was opened."""


class NonFinite(FettleError):
    """Training met a loss that is not a finite number."""


class NoTargets(FettleError):
    """Training met a batch in which no row has a target."""


class OutOfMemory(FettleError):
    """Not even the smallest part of a batch fits in memory."""


class StoreError(FettleError):
    """The disk said no: full, gone, or not writable."""


class CorruptFile(StoreError):
    """A file whose bytes are not the ones that were written."""


class MissingFile(CorruptFile):
    """A file that was written here and is not here any more, or was never finished."""


class LockHeld(StoreError):
    """Another process is at work in the same folder."""


class Blocked(FettleError):
    """A gate or a blocker said no; `--allow CHECK` overrides a blocker."""

    exit_code = 3


class PointerMoved(FettleError):
    """Somebody else moved the pointer since it was looked at; nothing was changed."""

    exit_code = 3


def unknown_name(kind: str, name: str, known: Iterable[str], *, place: str = "") -> UnknownName:
    """The error for a name we do not have, with the nearest one that we do.

    Args:
        kind: what is named, in the user's words: "column", "strategy".
        name: what was given.
        known: the names that exist.
        place: where it was looked for, such as a file's name; may be empty.
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    shown = ", ".join(choices[:20]) + (", ..." if len(choices) > 20 else "")
    hint = f"Did you mean {near[0]!r}?" if near else f"Choose from: {shown}."
    inside = f" in {place}" if place else ""
    return UnknownName(f"No {kind}{inside} is called {name!r}. {hint}")
