"""Looks: what the cells of one column look like, from their shapes alone."""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fettle.core.columns import numbers

__all__ = ["Look", "look", "present"]

_SAMPLE = 500
_CHARACTERS = 200  # the beginning of a cell shows what it is
_MOST = 0.95

_NUMBER = re.compile(
    r"[-+(]?\s*[$€£]?\s*\d[\d.,'\u00a0 ]*(?:e[-+]?\d+)?\s*[%$€£)]?|[-+]?\.\d+", re.I
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = (
    r"(?:\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    rf"|\d{{1,2}}[- ]{_MONTH},?[- ]\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}})"
)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[ap]m)?\s*(?:Z|UTC|GMT|[-+]\d{2}:?\d{2})?"
_DATE = re.compile(rf"(?:[a-z]{{3,9}},? )?{_DAY}(?:[T ,]+{_CLOCK})?|{_CLOCK}", re.I)
_NO_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
)
"""Letters of languages that put no blanks between words; about two of them make a word."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a column looks like."""

    kind: str
    """text (words in a row), words (one word a cell), number, date, id, constant or empty."""
    distinct: int
    """Different cells, without missing and blank ones."""
    filled: int
    """Cells that are neither missing nor blank."""
    words: float
    """Words a filled cell, on average."""

    @property
    def sentence(self) -> str:
        """Why a column like this is not read as text, in words that follow its name."""
        return {
            "text": "holds text",
            "words": "holds single words",
            "number": "holds numbers",
            "date": "holds dates",
            "id": "looks like an id",
            "constant": "says the same in every row",
            "empty": "is empty in every row",
        }[self.kind]


def look(column: pa.ChunkedArray) -> Look:
    """What a string column looks like, judged on up to 500 of its cells, evenly spaced."""
    cells = present(column)
    filled, distinct = len(cells), pc.count_distinct(cells).as_py()
    if distinct < 2:
        return Look("constant" if distinct else "empty", distinct, filled, 0.0)
    chosen = np.linspace(0, filled - 1, min(filled, _SAMPLE)).astype(int)
    sample = [cell.strip()[:_CHARACTERS] for cell in cells.take(numbers(chosen)).to_pylist()]
    words = sum(map(_words, sample)) / len(sample)
    return Look(_kind(sample, words, distinct / filled), distinct, filled, words)


def present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cells of a string column that are neither missing nor blank."""
    return column.filter(pc.utf8_length(pc.utf8_trim_whitespace(column)).cast(pa.bool_()))


def _kind(sample: list[str], words: float, different: float) -> str:
    if _share(sample, _NUMBER) >= _MOST:
        return "number"
    if _share(sample, _DATE) >= _MOST:
        return "date"
    if different >= _MOST and _are_ids(sample, words):
        return "id"
    with_letters = sum(any(letter.isalpha() for letter in cell) for cell in sample)
    if with_letters * 2 <= len(sample):
        return "number"
    return "text" if words > 1 else "words"


def _are_ids(sample: list[str], words: float) -> bool:
    """Single tokens with digits, addresses, or one text that only counts: "Ticket 123"."""
    marked = sum(bool(re.search(r"\d|@|://", cell)) for cell in sample)
    if marked < _MOST * len(sample):
        return False
    shapes = {re.sub(r"\d+", "0", cell) for cell in sample}
    return words <= 1.05 or (words <= 2 and len(shapes) == 1)


def _share(sample: list[str], shape: re.Pattern[str]) -> float:
    return sum(shape.fullmatch(cell) is not None for cell in sample) / len(sample)


def _words(cell: str) -> int:
    blanks = len(cell.split())
    return blanks if cell.isascii() else max(blanks, (len(_NO_SPACES.findall(cell)) + 1) // 2)
