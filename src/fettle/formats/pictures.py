"""Pictures: files or bytes in, cells with what was seen of each out; what cannot be used is named.

Every picture is decoded once while it is read, so that none fails in the middle of training.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count
from pathlib import Path

from fettle.core.dataset import Refused
from fettle.core.errors import InputError
from fettle.core.pictures import Look
from fettle.store import decoding, pictures

__all__ = ["Gathered", "gather", "is_picture_name", "remarks"]

AT_ONCE = 256
"""Pictures whose bytes may lie in memory together."""
TWELVE_BITS = 1 / 16
"""Brighter than this no picture of 16 bits is that uses the lowest 12."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What became of some pictures, in their order."""

    cells: Sequence[str | None]
    """None for one that cannot be used."""
    looks: Mapping[str, Look] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()


def is_picture_name(name: str) -> bool:
    """Whether a file's name ends like a picture's, in any case of letters."""
    return name.lower().endswith(decoding.ENDINGS)


def gather(places: Sequence[str], sources: Sequence[Path | bytes | None]) -> Gathered:
    """The pictures' cells, each decoded once to see that it can be.

    Args:
        places: what each is called in messages and row ids.
        sources: where each lies, or its bytes; None for one that is missing.
    """
    cells: list[str | None] = []
    looks: dict[str, Look] = {}
    refused: list[Refused] = []
    with ThreadPoolExecutor(max_workers=cpu_count() or 1) as pool:
        for start in range(0, len(sources), AT_ONCE):
            some = sources[start : start + AT_ONCE]
            for at, found in enumerate(pool.map(_seen, some), start):
                if isinstance(found, str):
                    cells.append(None)
                    refused.append(Refused(places[at], found))
                else:
                    cells.append(found[0])
                    looks[found[0]] = found[1]
    return Gathered(cells, looks, tuple(refused))


def remarks(looks: Iterable[Look], *, place: str) -> tuple[str, ...]:
    """What is done with pictures that are not plain: animated, see-through, 16 bits, CMYK."""
    kinds: list[tuple[str, Callable[[Look], bool]]] = [
        ("animated, and the first frame is read", lambda one: one.frames > 1),
        ("see-through parts are laid on white",
         lambda one: one.colors in ("RGBA", "LA", "PA")),
        ("16 bits become 8", lambda one: one.colors == "I" or ";16" in one.mode),
        ("of 16 bits, and nearly black. Scanners often use 12 of the 16: then stretch the numbers "
         "to 65,535, or save them with 8 bits",
         lambda one: one.colors == "I" and one.brightness < TWELVE_BITS),
        ("CMYK is read as RGB", lambda one: one.colors == "CMYK"),
        ("bands beside the colors are not read", lambda one: "+" in one.mode),
    ]
    seen = list(looks)
    counts = [(sum(map(test, seen)), what) for what, test in kinds]
    return tuple(f"{number:,} picture{'s' if number != 1 else ''} of {place}: {what}."
                 for number, what in counts if number)


def _seen(source: Path | bytes | None) -> tuple[str, Look] | str:
    """A picture's cell and what was seen of it, or why it cannot be used."""
    if source is None:
        return "there is no such file"
    try:
        if isinstance(source, bytes):
            seen = decoding.look(source)
            return pictures.keep_bytes(source), seen
        if source.stat().st_size > decoding.MOST_BYTES:
            return f"the file is larger than {decoding.MOST_BYTES:,} bytes"
        content = source.read_bytes()
        return pictures.keep_file(source, content), decoding.look(content)
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
