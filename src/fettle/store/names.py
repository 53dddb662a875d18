"""Names that may become part of a path: one check, used wherever a name comes from outside."""

import re
import unicodedata
from collections.abc import Iterable

from fettle.core.errors import CorruptFile, SettingError

__all__ = ["is_digest", "require_digest", "require_model_name", "require_paths"]

MODEL = re.compile(r"\w[\w. -]{0,99}")
DIGEST = re.compile(r"[0-9a-f]{64}")
PART_BYTES, PATH_BYTES = 255, 1000
PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in range(10))
RESERVED = {"con", "prn", "aux", "nul", *PORTS}
"""What Windows takes for a device, whatever its ending: a version can be copied there."""


def require_model_name(name: str) -> str:
    """The name, once it is known to be one that can stand in a path and before an @.

    Raises:
        SettingError: it is no such name.
    """
    good = MODEL.fullmatch(name) and name[-1] not in ". " and not _reserved(name)
    if not good or unicodedata.normalize("NFC", name) != name:
        shown = name if len(name) <= 60 else name[:57] + "..."
        raise SettingError(
            f"The name is {shown!r}; letters, digits, spaces, '.', '_' and '-' make a name of at "
            "most 100, a letter or digit begins it, and neither a space nor a '.' ends it. Give "
            "one with --name."
        )
    return name


def is_digest(name: str) -> bool:
    """Whether this is a sha256 in hex."""
    return DIGEST.fullmatch(name) is not None


def require_digest(digest: object) -> str:
    """The sha256 in hex, once it is known to be one.

    Raises:
        CorruptFile: it is something else.
    """
    if not isinstance(digest, str) or not is_digest(digest):
        raise CorruptFile(f"{str(digest)[:80]!r} is no sha256 in hex, so it names no file.")
    return digest


def require_paths(paths: Iterable[str], *, place: str) -> None:
    """Every path stays inside the folder that it will be joined to, and no two are one file.

    Args:
        paths: as a version lists its files, with / between the parts.
        place: where they are listed, for the message.

    Raises:
        CorruptFile: a path is absolute, leads out, or means another file on another system.
    """
    seen: dict[str, str] = {}
    for path in paths:
        why = _fault(path)
        folded = unicodedata.normalize("NFC", str(path)).casefold()
        if why is None and folded in seen:
            why = f"is the same as {seen[folded]!r} where capitals do not count"
        if why is not None:
            raise CorruptFile(
                f"{place} lists a file called {str(path)[:80]!r}, which {why}. Nothing was opened."
            )
        seen[folded] = path


def _fault(path: object) -> str | None:
    """What is wrong with the path of a file inside a version, or None."""
    if not isinstance(path, str) or not path:
        return "is no name"
    if unicodedata.normalize("NFC", path) != path:
        return "is not in the normal form of Unicode (NFC)"
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in path):
        return "holds a control character"
    if any(letter in path for letter in '\\:*?"<>|%'):
        return "holds a character that other systems read as more than a letter"
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "leads out of its folder"
    if any(part != part.strip() or part.endswith(".") or _reserved(part) for part in parts):
        return "means something else on another system"
    if len(path.encode()) > PATH_BYTES or any(len(part.encode()) > PART_BYTES for part in parts):
        return "is too long"
    return None


def _reserved(part: str) -> bool:
    return part.split(".")[0].strip().casefold() in RESERVED
