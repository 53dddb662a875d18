"""Opening: the bytes of a file as lines of text, or one message that says where they are not."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from encodings.aliases import aliases
from pathlib import Path
from typing import IO, Any

from fettle.core.errors import InputError, unknown_name

__all__ = [
    "UNPACKED_BYTES", "UNPACKED_TIMES", "Source", "packed_error", "source_of_bytes",
    "source_of_file", "text_lines",
]

UNPACKED_BYTES, UNPACKED_TIMES = 64_000_000, 200
"""A .gz may grow to the larger of so many bytes and so many times its size."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
"""Byte order marks; UTF-32 before UTF-16, whose mark it begins with."""

_NOT_TEXT = (
    (b"\x1f\x8b", "gzip", "Add .gz to its name."),
    (b"PK\x03\x04", "zip (or Excel)", "Unpack it, or save the sheet as CSV in UTF-8."),
    (b"\xd0\xcf\x11\xe0", "old Excel", "Save the sheet as CSV in UTF-8."),
    (b"PAR1", "Parquet", "Let its name end in .parquet."),
)
"""What other formats begin with, their names, and what to do."""

_NO_FILE_ENCODINGS = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes with a name; they can be opened more than once."""

    name: str
    """As it stands in row ids and messages."""
    open: Callable[[], IO[bytes]]
    """The bytes from the beginning, unpacked where the file is packed."""
    path: Path | None = None
    """Where they lie as they are; None where they are packed or in memory."""


def source_of_file(path: Path, *, name: str = "") -> Source:
    """The bytes of a file, unpacked if its name ends in .gz."""
    if path.name.lower().endswith(".gz"):
        return Source(name or path.name, lambda: _unpacked(path, name or path.name))
    return Source(name or path.name, lambda: path.open("rb"), path)


def _unpacked(path: Path, name: str) -> IO[bytes]:
    """What a .gz holds, as long as it grows no more than text does."""
    return io.BufferedReader(_Unpacked(path, name))


class _Unpacked(io.RawIOBase):
    """The bytes of a gzip file, counted as they come: a few kilobytes may claim to be a disk."""

    def __init__(self, path: Path, name: str) -> None:
        self._stream = gzip.GzipFile(path, "rb")
        self._most = max(UNPACKED_BYTES, UNPACKED_TIMES * path.stat().st_size)
        self._name = name
        self._seen = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._seen += len(content)
        if self._seen > self._most:
            raise InputError(
                f"{self._name} unpacks to more than {UNPACKED_TIMES} times its size, as no table "
                "does. If it is one all the same, unpack it yourself and give the unpacked file."
            )
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def source_of_bytes(content: bytes, *, name: str) -> Source:
    """Bytes that are already in memory, such as standard input."""
    return Source(name, lambda: io.BytesIO(content))


def text_lines(source: Source, encoding: str | None) -> tuple[Iterator[str], tuple[str, ...]]:
    """The lines with their ends (LF, CR LF or CR), and notes on how they were decoded.

    Args:
        source: the bytes.
        encoding: as told by the user; None for what the byte order mark says, else UTF-8.

    Raises:
        UnknownName: there is no such encoding.
        InputError: the bytes are no text of this encoding, hold a NUL, or the .gz is damaged; the
            message names the line, and the byte and what to try. Raised while iterating, too.
    """
    if encoding is not None:
        _require_encoding(encoding)
    try:
        with source.open() as stream:
            start = stream.read(4)
    except (OSError, EOFError, zlib.error) as error:
        raise packed_error(source.name, error) from error
    for mark, kind, remedy in _NOT_TEXT:
        if start.startswith(mark):
            raise InputError(f"{source.name} is a {kind} file, whatever its name says. {remedy}")
    codec, notes = _codec(source.name, start, encoding)
    return _lines(source, codec), notes


def packed_error(name: str, error: Exception, *, line: int = 0) -> InputError:
    """The error for a file that cannot be read to its end."""
    place = f"{name}, after line {line}" if line else name
    if isinstance(error, (gzip.BadGzipFile, EOFError, zlib.error)):
        return InputError(
            f"{place}: the gzip file is damaged or cut short ({error}). Pack it anew."
        )
    return InputError(f"{place}: cannot be read ({error}). Check the file and who may read it.")


def _lines(source: Source, codec: str) -> Iterator[str]:
    number = 0
    try:
        with source.open() as stream, io.TextIOWrapper(stream, codec, newline="") as lines:
            for number, line in enumerate(lines, 1):
                if "\0" in line:
                    raise _nul(source.name, number, line)
                yield line
    except UnicodeError as error:
        raise _undecodable(source, codec, error, line=number) from error
    except (OSError, EOFError, zlib.error) as error:
        raise packed_error(source.name, error, line=number) from error


def _codec(name: str, start: bytes, encoding: str | None) -> tuple[str, tuple[str, ...]]:
    """The codec to read with, and a note where it is not plain UTF-8."""
    for mark, codec, title in _MARKS:
        if not start.startswith(mark):
            continue
        if encoding is not None and not _same_family(encoding, codec):
            raise InputError(
                f"{name} begins with the byte order mark of {title}, so it is not {encoding}. "
                "Leave out --encoding."
            )
        return codec, () if title == "UTF-8" else (f"{name} is read as {title}.",)
    if encoding is None:
        return "utf-8", ()
    return encoding, (f"{name} is read as {encoding}, as told.",)


def _same_family(encoding: str, codec: str) -> bool:
    return codecs.lookup(encoding).name.startswith(codec.removesuffix("-sig"))


def _require_encoding(encoding: str) -> None:
    try:
        known = codecs.lookup(encoding).name.replace("-", "_") not in _NO_FILE_ENCODINGS
        b"a".decode(encoding)
    except UnicodeError:
        pass  # a half character of UTF-16: the encoding exists
    except (LookupError, ValueError):
        known = False
    if not known:
        names = {alias.replace("_", "-") for alias in aliases.values()} - {"rot-13"}
        raise unknown_name("encoding", encoding, names | {"latin-1", "windows-1252", "utf-8-sig"})


def _nul(name: str, number: int, line: str) -> InputError:
    hint = "Remove it, or write the file anew."
    if line.count("\0") * 3 > len(line):
        wide = "utf-16-be" if line.startswith("\0") else "utf-16-le"
        hint = f"The text may be UTF-16 without its mark: try --encoding {wide}."
    return InputError(f"{name}, line {number}: a NUL character stands in the text. {hint}")


def _undecodable(source: Source, codec: str, error: UnicodeError, *, line: int) -> InputError:
    """Where the first bad byte is, and the encoding that can read the whole file."""
    codec = "utf-8" if codec == "utf-8-sig" else codec
    try:
        with source.open() as stream:
            raw = stream.read()
    except (OSError, EOFError, zlib.error) as damage:  # further on: what the bad byte came from
        return packed_error(source.name, damage, line=line)
    try:
        raw.decode(codec)
    except UnicodeDecodeError as place:
        start = place.start
    except UnicodeError:
        return InputError(f"{source.name} is not {codec} ({error}). Leave out --encoding.")
    else:
        return InputError(f"{source.name} is not {codec} ({error}). Try another --encoding.")
    line = len(re.findall("\r\n|\r|\n", raw[:start].decode(codec, "ignore"))) + 1
    what = f"{source.name}, line {line}: the byte 0x{raw[start]:02x} (byte {start + 1} of the file)"
    other = _encoding_that_reads(raw, leaving_out=codec)
    piece = _decoded_around(raw, start, other)
    advice = "Try"
    if codec == "utf-8" and not raw.decode("utf-8", "ignore").isascii():
        advice = "Other letters are UTF-8, so the file mixes encodings: mend that line, or try"
    return InputError(
        f"{what} is not {codec.upper()}. {advice} --encoding {other}, which reads {piece!r} there."
    )


def _encoding_that_reads(raw: bytes, *, leaving_out: str) -> str:
    for name in ("utf-8", "cp1252"):
        if name != codecs.lookup(leaving_out).name:
            try:
                raw.decode(name)
            except UnicodeDecodeError:
                continue
            return name
    return "latin-1"


def _decoded_around(raw: bytes, start: int, encoding: str) -> str:
    """The words around a byte, on its own line."""
    before = re.split(rb"[\r\n]", raw[max(start - 12, 0) : start])[-1]
    after = re.split(rb"[\r\n]", raw[start : start + 12])[0]
    return (before + after).decode(encoding, "ignore").strip()
