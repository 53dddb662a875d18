"""Shingles: each text as the set of its overlapping pieces, which is what resemblance compares.

A piece is known by a 32-bit hash. The hash is ours, so that the same texts give the same numbers
in every process and on every machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Shingles", "jaccard", "of_letters", "of_words"]

_LETTER = np.uint64(0x9E3779B97F4A7C15)
_WORD = np.uint64(0xC2B2AE3D27D4EB4F)
"""Odd factors of the polynomials that roll over letters and over words, modulo 2**64."""
_SPACES = np.array([9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 0x85, 0xA0, 0x2028, 0x2029, 0x3000])
_LETTERS_AT_ONCE = 4_000_000
_LONGEST = 100_000
"""Letters; of a longer text its beginning stands for it."""
_PAIRS_AT_ONCE = 4_000_000
"""Pieces that are compared at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Shingles:
    """A set of hashes for each row, one after the other."""

    values: np.ndarray = field(repr=False)
    """uint32 (pieces,): each row's different pieces, ascending."""
    starts: np.ndarray = field(repr=False)
    """int64 (rows + 1,): where each row begins, and the end."""

    @property
    def rows(self) -> int:
        """How many texts there are."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """int64 (rows,): different pieces of each row."""
        return np.diff(self.starts)


def of_letters(texts: Sequence[str], length: int = 5) -> Shingles:
    """The sets of `length` letters in a row, blanks included; a shorter text is one piece.

    Args:
        texts: one a row.
        length: letters a piece.
    """
    return _joined([_letter_pieces(part, length) for part in _portions(_cut(texts))])


def of_words(texts: Sequence[str], length: int = 5) -> Shingles:
    """The sets of `length` words in a row; a shorter text is one piece.

    Args:
        texts: one a row; blanks separate words.
        length: words a piece.
    """
    return _joined([_word_pieces(part, length) for part in _portions(_cut(texts))])


def jaccard(shingles: Shingles, pairs: np.ndarray) -> np.ndarray:
    """Shared pieces over all pieces of two rows: float64 (pairs,), 1.0 where the sets are equal.

    Args:
        shingles: of all rows.
        pairs: int (pairs, 2), row numbers.

    Source: Broder, "On the resemblance and containment of documents", SEQUENCES 1997, section 2.
    """
    sizes = shingles.sizes
    both = sizes[pairs].sum(axis=1)  # (pairs,)
    ends = np.cumsum(both)
    shared = np.zeros(len(pairs))
    begin = 0
    while begin < len(pairs):
        before = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, before + _PAIRS_AT_ONCE)), begin + 1)
        shared[begin:end] = _shared(shingles, pairs[begin:end])
        begin = end
    return shared / np.maximum(both - shared, 1)


def _shared(shingles: Shingles, pairs: np.ndarray) -> np.ndarray:
    """How many pieces the two rows of each pair have in common."""
    rows = pairs.T.reshape(-1)  # the first of every pair, then the second
    sizes = shingles.sizes[rows]
    number = np.repeat(np.tile(np.arange(len(pairs), dtype=np.uint64), 2), sizes)
    offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found = shingles.values[np.repeat(shingles.starts[rows], sizes) + offsets]
    keys = np.sort(number << np.uint64(32) | found)
    twice = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(32)
    return np.bincount(twice.astype(np.int64), minlength=len(pairs))


def _cut(texts: Sequence[str]) -> list[str]:
    return [text[:_LONGEST] for text in texts]


def _portions(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, a few million letters at a time."""
    begin = letters = 0
    for number, text in enumerate(texts):
        letters += len(text) + 1
        if letters > _LETTERS_AT_ONCE:
            yield texts[begin : number + 1]
            begin, letters = number + 1, 0
    if begin < len(texts):
        yield texts[begin:]


def _letter_pieces(texts: Sequence[str], length: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(row numbers, hashes, rows) of all pieces of these texts."""
    padded = [text.ljust(length, "\0") for text in texts]
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    row = np.repeat(np.arange(len(texts)), [len(text) for text in padded])
    rolled = _rolled(letters.astype(np.uint64), length, _LETTER)
    inside = row[: len(rolled)] == row[length - 1 :]
    return row[: len(rolled)][inside], rolled[inside], len(texts)


def _word_pieces(texts: Sequence[str], length: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(row numbers, hashes, rows) of all pieces of these texts."""
    blank = " "
    joined = blank + blank.join(texts) + blank
    letters = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    space = np.isin(letters, _SPACES)
    begins = np.flatnonzero(space[:-1] & ~space[1:]) + 1  # (words,)
    ends = np.flatnonzero(~space[:-1] & space[1:]) + 1
    row_ends = np.cumsum([len(text) + 1 for text in texts])
    row = np.searchsorted(row_ends, begins - 1, side="right")  # (words,)
    words = _hashed_spans(letters.astype(np.uint64), begins, ends)
    counts = np.bincount(row, minlength=len(texts))
    row, words = _filled(row, words, counts, length)
    rolled = _rolled(words, length, _WORD)
    inside = row[: len(rolled)] == row[length - 1 :]
    return row[: len(rolled)][inside], rolled[inside], len(texts)


def _filled(
    row: np.ndarray, words: np.ndarray, counts: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Empty words behind those of each row that has fewer than `length`."""
    missing = np.maximum(length - counts, 0)
    if not missing.any():
        return row, words
    added = np.repeat(np.arange(len(counts)), missing)
    every = np.concatenate([row, added])
    order = np.argsort(every, kind="stable")
    return every[order], np.concatenate([words, np.zeros(len(added), np.uint64)])[order]


def _hashed_spans(letters: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """A hash for each span, the same wherever it stands: uint64 (spans,)."""
    powers = np.cumprod(np.full(len(letters), _LETTER))
    back = np.cumprod(np.full(len(letters), np.uint64(pow(int(_LETTER), -1, 2**64))))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((letters + np.uint64(1)) * powers)])
    return _mixed((sums[ends] - sums[begins]) * back[begins])


def _rolled(values: np.ndarray, length: int, factor: np.uint64) -> np.ndarray:
    """A hash of every `length` values in a row: uint64 (values - length + 1,)."""
    windows = max(len(values) - length + 1, 0)
    rolled = np.zeros(windows, dtype=np.uint64)
    for place in range(length):
        rolled = rolled * factor + values[place : place + windows]
    return _mixed(rolled)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Every bit of the input moves every bit of the output.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _joined(portions: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> Shingles:
    """The different pieces of each row, portion behind portion."""
    values = [np.zeros(0, np.uint32)]
    counts = [np.zeros(0, np.int64)]
    for row, pieces, rows in portions:
        keys = np.sort(row.astype(np.uint64) << np.uint64(32) | pieces >> np.uint64(32))
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]  # np.unique is far slower
        values.append(keys.astype(np.uint32))  # the lower half
        counts.append(np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=rows))
    sizes = np.concatenate(counts)
    return Shingles(np.concatenate(values), np.concatenate([[0], np.cumsum(sizes)]))
