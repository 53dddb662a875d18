"""The formats, by the endings of file names. To add one: write its file, add its line."""

from collections.abc import Callable

from fettle.formats.json_lines import read_json_lines
from fettle.formats.opening import Source
from fettle.formats.parquet import read_parquet
from fettle.formats.plain_lines import read_plain_lines
from fettle.formats.rows import Rows
from fettle.formats.separated import read_csv, read_tsv

__all__ = ["FORMATS", "TEXT_FORMATS"]

FORMATS: dict[str, Callable[[Source, str | None], Rows]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_json_lines,
    ".parquet": read_parquet,
}
"""A source and the encoding that the user told (or None) to Rows. Each may also end in .gz."""

TEXT_FORMATS: dict[str, Callable[[Source, str | None], Rows]] = {
    **FORMATS,
    ".txt": read_plain_lines,
}
"""The formats of rows without answers."""
