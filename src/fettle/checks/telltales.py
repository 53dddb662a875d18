"""Telltales: ids and dates that foretell the answer, although they should not know it.

Rows were then collected class by class, day by day or customer by customer: a model that reads
such a column learns the collection, and a random split puts one batch on both sides.
"""

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from fettle.checks.evidence import Evidence, Found, finding, quoted
from fettle.core.audit import Finding, Severity
from fettle.measures.order import explained, explained_by_chance, slices

__all__ = ["telltales"]

_READABLE = 0.95
"""Of the filled cells, those that must read as an id or a date."""
_DIFFERENT = 0.5
"""Of the cells of an id."""
_MATTERS = 0.1
"""Of the labels' entropy, beyond what chance explains."""
_ROWS = 20_000
_SLICES = 20
_FEWEST = 50
_DATES = (
    "", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y",
    "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S",
)  # fmt: skip
_DATE_LIKE = re.compile(r".{0,12}?\d{1,4}[-/. ]+\w{1,9}[-/. ,]+\d{2}|\d{8}$|\D{3,9} \d{1,2}, \d{4}")
_CLOCK = re.compile(r"[T ,]+\d{1,2}:\d{2}.*$")
_NUMBERED = re.compile(r"(?P<kind>[^\d\s]*\s?)(?P<number>\d{1,18})(?P<rest>[^\d\s]{0,8})")
_KINDS = 20
"""Different words around the numbers of ids at most: IMG_0001, scan-17."""


def telltales(evidence: Evidence) -> Found:
    """A warning on each input, and a note on each column not read, that foretells the answer."""
    rows = evidence.train_rows
    if len(rows) > _ROWS:
        rows = [rows[at] for at in np.linspace(0, len(rows) - 1, _ROWS).astype(int)]
    if len(rows) < _FEWEST:
        return Found()
    labels = evidence.codes(rows)
    if labels.max() == 0:
        return Found()
    schema = evidence.dataset.schema
    split_by = {schema.target, schema.group, schema.time} - set(schema.inputs)
    columns = [name for name in evidence.dataset.table.column_names if name not in split_by]
    rng = np.random.default_rng(0)  # shuffles labels only to see what chance explains
    findings = []
    for name in columns:
        cells = [(cell or "").strip() for cell in evidence.dataset.column(name, rows)]
        found = _telltale(evidence, name, cells, labels, rng)
        findings += [found] if found else []
    return Found(tuple(findings))


def _telltale(
    evidence: Evidence, name: str, cells: Sequence[str], labels: np.ndarray,
    rng: np.random.Generator,
) -> Finding | None:
    filled = np.flatnonzero([bool(cell) for cell in cells])
    if len(filled) < max(_FEWEST, _DIFFERENT * len(cells)):
        return None
    found = _ordered([cells[int(at)] for at in filled])
    if found is None:
        return None
    what, values, readable = found
    given = labels[filled][readable]
    codes = slices(values, min(_SLICES, len(given) // 10))
    share = explained(codes, given)
    if share < _MATTERS:
        return None
    chance = explained_by_chance(codes, given, rng=rng)
    beyond = share - float(chance.mean())
    if share <= chance.max() or beyond < _MATTERS:
        return None
    read = name in evidence.dataset.schema.inputs
    sentence = (
        f"{quoted(name)} holds {what} that foretell the answer: {len(np.unique(codes))} slices "
        f"from the lowest to the highest explain {beyond:.0%} of it beyond chance."
    )
    remedy = (
        "The model would learn how the rows were collected. Leave it out with --inputs."
        if read
        else "The model does not read it, yet rows of one batch stand on both sides of a random "
        "split. Split by time, or by what the rows have in common."
    )
    severity = Severity.WARN if read else Severity.NOTE
    return finding(evidence, "telltales", severity, [], (sentence, remedy), count=len(given))


def _ordered(cells: Sequence[str]) -> tuple[str, np.ndarray, np.ndarray] | None:
    """What the cells are, a number for each that can be read, and which those are."""
    for what, read in (("dates", _dates), ("ids", _ids)):
        values = read(cells)
        if values is None:
            continue
        readable = np.isfinite(values)
        if readable.mean() >= _READABLE:
            return what, values[readable], readable
    return None


def _dates(cells: Sequence[str]) -> np.ndarray | None:
    """Days and seconds as numbers, NaN where a cell is no date of the column's form."""
    sample = cells[:: max(len(cells) // 50, 1)]
    if sum(_DATE_LIKE.match(cell) is not None for cell in sample) < _READABLE * len(sample):
        return None
    for form in _DATES:
        if np.isfinite([_day(cell, form) for cell in sample]).mean() >= _READABLE:
            return np.array([_day(cell, form) for cell in cells])
    return None


def _day(cell: str, form: str) -> float:
    """Days since the year 1, NaN where the cell is no date of this form; "" is ISO 8601."""
    try:
        if not form:
            day = datetime.fromisoformat(cell)
        else:
            day = datetime.strptime(cell if "%H" in form else _CLOCK.sub("", cell), form)
    except ValueError:
        return np.nan
    return day.toordinal() + (day.hour * 3600 + day.minute * 60 + day.second) / 86_400


def _ids(cells: Sequence[str]) -> np.ndarray | None:
    """The numbers in ids, kind by kind, NaN where there is none; None where cells repeat."""
    if len(set(cells)) < _DIFFERENT * len(cells):
        return None
    found = [_NUMBERED.fullmatch(cell) for cell in cells]
    kinds = sorted({(match["kind"], match["rest"]) for match in found if match})
    if not kinds or len(kinds) > _KINDS:
        return None
    place = {kind: number for number, kind in enumerate(kinds)}
    return np.array([
        place[match["kind"], match["rest"]] * 1e18 + int(match["number"]) if match else np.nan
        for match in found
    ])
