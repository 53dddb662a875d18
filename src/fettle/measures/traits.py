"""Traits: texts and cells in, one number or one name a row out; what is watched of inputs.

No trait says what a text means, and none can be turned back into it.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np

__all__ = [
    "BLANK", "LARGEST", "column_kind", "in_numbers", "picture_traits", "surprise", "text_traits",
]

MOST_LETTERS = 20_000
"""Of a text that are looked at; its length counts all of them."""
NUMBERS, KINDS_SHARE, MOST_KINDS = 0.95, 0.05, 50
"""A column is of numbers where so many of its cells are; of categories where it has at most so
many, and at most so large a share of its rows."""
BLANK = "(empty)"
LARGEST = 1e100
"""Of numbers that are read: squares of larger ones, summed over rows, are infinite."""
FLAT = 1e-7
"""Sharpness of a picture in which nothing is to be seen."""


def column_kind(cells: Sequence[str | None]) -> str:
    """What is watched of a column: number, category or text, as most of its cells have it."""
    told = [cell.strip() for cell in cells if cell and cell.strip()]
    if not told:
        return "text"
    values = in_numbers(told)
    if np.isfinite(values).mean() >= NUMBERS and len(np.unique(values)) > 2:
        return "number"
    kinds = len(set(told))
    return "category" if kinds <= min(MOST_KINDS, KINDS_SHARE * len(told)) else "text"


def in_numbers(cells: Sequence[str | None]) -> np.ndarray:
    """Cells as float (rows,); not a number where a cell is empty or says something else, or lies
    beyond 1e100, up or down."""
    return np.array([_number(cell) for cell in cells], dtype=np.float64)


def picture_traits(
    pictures: Sequence[np.ndarray], sides: Sequence[tuple[int, int]], sharp: Sequence[float]
) -> dict[str, np.ndarray]:
    """Light, color, sharpness and size of each picture.

    Args:
        pictures: small ones in color, laid out flat: numbers from 0 to 255, (pixels * 3,) each.
        sides: width and height of the originals.
        sharp: variance of the Laplacian of each, as the network sees it.

    Returns:
        By name, float (rows,): `brightness`, the mean; `contrast`, the spread; `color`, how far the
        three colors lie apart on average; `sharpness`, the logarithm of `sharp` to the base of 10;
        `size` and `shape`, logarithms to the base of 2 of the shorter side and of width by height.
    """
    found = np.asarray(list(pictures), dtype=np.float64).reshape(len(pictures), -1, 3) / 255
    return {
        "brightness": found.mean(axis=(1, 2)),
        "contrast": found.mean(axis=2).std(axis=1),
        "color": (found.max(axis=2) - found.min(axis=2)).mean(axis=1),
        "sharpness": np.log10(np.asarray(sharp, dtype=np.float64) + FLAT),
        "size": np.log2(np.array([min(one) for one in sides], dtype=np.float64)),
        "shape": np.log2(np.array([one[0] / one[1] for one in sides], dtype=np.float64)),
    }


def text_traits(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Shape and letters of each text.

    Args:
        texts: one a row, as the model reads them.

    Returns:
        By name, float (rows,): `length`, the logarithm of 1 + letters; and, not a number for a
        text without letters, `word length` (letters), and the shares of its letters (blanks
        aside) that are `capitals`, `digits`, `punctuation` and `beyond ASCII`.
    """
    names = ("length", "word length", "capitals", "digits", "punctuation", "beyond ASCII")
    found = np.array([_traits(text) for text in texts], dtype=np.float64).reshape(-1, len(names))
    return {name: found[:, at] for at, name in enumerate(names)}


def surprise(tokens: Sequence[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Bits a token that each row takes to tell, to who knows the learning rows' tokens, (rows,).

    Args:
        tokens: int (tokens,) a row.
        counts: int (vocabulary,): how often each token stands in the rows that were learned from.

    Returns:
        Not a number for a row without tokens.
    """
    bits = -np.log2((counts + 1.0) / (counts.sum() + len(counts)))
    return np.array([
        bits[np.clip(row, 0, len(bits) - 1)].mean() if len(row) else np.nan for row in tokens
    ], dtype=np.float64)


def _number(cell: str | None) -> float:
    try:
        value = float(cell or "nan")
    except ValueError:
        return float("nan")
    return value if abs(value) <= LARGEST else float("nan")


def _traits(text: str) -> tuple[float, ...]:
    part = text[:MOST_LETTERS]
    words = part.split()
    letters = "".join(words)
    length = float(np.log1p(len(text)))
    if not letters:
        return length, *(5 * (float("nan"),))
    kinds = [_kind(letter) for letter in letters]
    of = len(letters)
    return (
        length, of / len(words), kinds.count("capital") / of, kinds.count("digit") / of,
        kinds.count("punctuation") / of, sum(letter > "\x7f" for letter in letters) / of,
    )


@cache
def _kind(letter: str) -> str:
    category = unicodedata.category(letter)
    if category in ("Lu", "Lt"):
        return "capital"
    return {"N": "digit", "P": "punctuation", "S": "punctuation"}.get(category[0], "")
