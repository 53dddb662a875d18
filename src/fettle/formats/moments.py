"""Moments: cells that say when, as seconds since 1970.

One way of writing dates is found for the whole column, so that 03/04/2024 means the same day in
every row. A cell without a time zone counts as UTC.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial

import numpy as np

__all__ = ["EXAMPLES", "seconds"]

EXAMPLES = "2024-03-31, 2024-03-31 14:05, 31.03.2024, 31 Mar 2024 or plain numbers"
"""Ways of writing that are read, for messages."""

_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
_DAYS = ("%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d %Y",
         "%B %d %Y", "%Y-%m")
_DAY_FIRST, _MONTH_FIRST = ("%d/%m/%Y", "%d-%m-%Y"), ("%m/%d/%Y", "%m-%d-%Y")


def seconds(cells: Sequence[str | None]) -> tuple[np.ndarray, bool]:
    """When each cell says, float (rows,), and whether day and month cannot be told apart.

    Returns:
        nan for a cell that is missing, empty, or cannot be read as most of the others are. True
        where days before months and months before days read the column equally well and mean
        different days; the numbers are then those of days first.
    """
    texts = [(cell or "").strip() for cell in cells]
    best = np.full(len(texts), np.nan)
    for read in (_number, _iso, partial(_in_any, _DAYS), _of_mail):
        best = _better(best, _all(read, texts))
    day_first = _all(partial(_in_any, _DAY_FIRST), texts)
    month_first = _all(partial(_in_any, _MONTH_FIRST), texts)
    slashes = _better(day_first, month_first)
    if _read(slashes) <= _read(best):
        return best, False
    is_tied = _read(day_first) == _read(month_first)
    return slashes, is_tied and not np.array_equal(day_first, month_first, equal_nan=True)


def _all(read: Callable[[str], float], texts: Sequence[str]) -> np.ndarray:
    """What each different text is read as, (rows,)."""
    known = {text: read(text) if text else math.nan for text in set(texts)}
    return np.array([known[text] for text in texts], dtype=float)


def _better(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The reading that makes sense of more cells; of equals, the first."""
    return other if _read(other) > _read(one) else one


def _read(found: np.ndarray) -> int:
    return int(np.isfinite(found).sum())


def _number(text: str) -> float:
    """A year, a count, or seconds since 1970: only the order matters."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _iso(text: str) -> float:
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        return math.nan


def _of_mail(text: str) -> float:
    """Sun, 31 Mar 2024 14:05:00 +0200."""
    try:
        return _utc(parsedate_to_datetime(text))
    except (ValueError, TypeError):
        return math.nan


def _in_any(days: Sequence[str], text: str) -> float:
    plain = " ".join(text.replace(",", " ").replace("T", " ").split())
    for day in days:
        for clock in _CLOCKS:
            try:
                return _utc(datetime.strptime(plain, day + clock))
            except ValueError:
                continue
    return math.nan


def _utc(moment: datetime) -> float:
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return math.nan
