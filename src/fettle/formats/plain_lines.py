"""Plain lines: one text a line, in one column called text. Only for rows without answers."""

from collections.abc import Iterable

import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.errors import InputError
from fettle.formats.opening import Source, text_lines
from fettle.formats.rows import Rows

__all__ = ["parse", "read_plain_lines"]


def read_plain_lines(source: Source, encoding: str | None = None) -> Rows:
    """One row per line that is not blank."""
    lines, notes = text_lines(source, encoding)
    rows = parse(lines, name=source.name)
    return Rows(rows.table, rows.ids, (), notes + rows.notes)


def parse(lines: Iterable[str], *, name: str) -> Rows:
    """One row per line that is not blank, and a note on how many were.

    Args:
        lines: texts, with or without their line ends.
        name: the file, for row ids and messages.

    Raises:
        InputError: every line is blank.
    """
    texts = {number: line.rstrip("\r\n") for number, line in enumerate(lines, 1)}
    kept = {number: text for number, text in texts.items() if text.strip()}
    if not kept:
        raise InputError(f"{name} is empty. Write one text a line.")
    blank = len(texts) - len(kept)
    table = pa.table({"text": strings(kept.values())})
    many = "1 blank line" if blank == 1 else f"{blank:,} blank lines"
    notes = (f"{many} of {name} left out.",) if blank else ()
    return Rows(table, tuple(f"{name}:{number}" for number in kept), (), notes)
