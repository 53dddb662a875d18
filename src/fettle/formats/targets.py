"""Targets: what the answers are, told or found by rule: classes, several labels, or numbers."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from fettle.core.dataset import Schema
from fettle.core.errors import InputError, SettingError, unknown_name
from fettle.formats.label_columns import COLUMNS, LIST, SEPARATORS, found_in
from fettle.formats.looks import present
from fettle.measures.traits import in_numbers

__all__ = ["KINDS", "with_task"]

SEVERAL = "multi-label"
KINDS = ("classification", SEVERAL, "regression")
"""What a target can be."""
FEW = 20
"""Different whole numbers at most that are taken for the names of classes."""
FEW_FRACTIONS = 10
"""The same of numbers with a fraction, such as grades of 0.5."""
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
NOTHING = frozenset(("nan", "inf", "infinity"))
READABLE = 0.99
"""Of the cells, those that must be numbers; the audit names the others."""
ROWS_A_CLASS = 10
"""Whole numbers from 0 or 1 on without a gap, with so many rows each, are classes that somebody
has numbered, however many there are."""


def with_task(
    schema: Schema, table: pa.Table, *, told: str | None, separator: str | None = None
) -> Schema:
    """The schema with what its target is, and why.

    Args:
        schema: whose target is looked at.
        table: rows that may be learned from; string columns.
        told: what it is, if a person says so.
        separator: what stands between labels, if a person says so; columns where it was made of
            columns of 0 and 1.

    Raises:
        UnknownName: there is no such task.
        SettingError: a separator is told for another task.
        InputError: no cell holds what stands between labels, or numbers are written with commas.
    """
    if told is not None and told not in KINDS:
        raise unknown_name("task", told, KINDS)
    if separator is not None and told not in (None, SEVERAL):
        raise SettingError(
            f"Several labels a row (--label-separator, or several columns with --target) are "
            f"--task {SEVERAL}, not {told}. Leave one of them away."
        )
    if told in (None, SEVERAL):
        several = _with_several(schema, table, told=told is not None, separator=separator)
        if several is not None:
            return several
    if told is not None:
        why = f"{schema.target!r} is read as told: --task {told}."
        return replace(schema, task=told, reasons=(*schema.reasons, why))
    cells = present(table.column(schema.target)).to_pylist()
    _require_points(cells, f"Column {schema.target!r}")
    kind, why = _kind(cells)
    reasons = (f"{schema.target!r} {why}",) if why else ()
    return replace(schema, task=kind, reasons=(*schema.reasons, *reasons))


def _kind(cells: Sequence[str]) -> tuple[str, str]:
    """What these cells are, and why in words that follow the column's name; no word for names."""
    found = in_numbers(cells)
    known = found[np.isfinite(found)]
    names = len(cells) - len(known) - sum(_marks_nothing(cell) for cell in cells)
    if not len(known) or len(known) < READABLE * (len(known) + names):
        return "classification", ""
    counts = Counter(known.tolist())
    values = sorted(counts)
    whole = all(value == int(value) for value in values)
    few = FEW if whole else FEW_FRACTIONS
    what = "whole numbers" if whole else "numbers"
    if len(values) <= few:
        return "classification", (
            f"holds {len(values)} different {what}, {values[0]:g} to {values[-1]:g}: so few are "
            "taken for classes, in no order. --task regression takes them for numbers."
        )
    if whole and _are_classes(values, len(known)):
        return "classification", (
            f"holds {len(values):,} whole numbers without a gap, {values[0]:g} to {values[-1]:g}, "
            f"of {len(known) // len(values)} rows each: they are taken for numbered classes. "
            "--task regression takes them for numbers."
        )
    if whole and len(values) == len(known) and values[-1] - values[0] == len(values) - 1:
        return "classification", ""  # it counts the rows; an id is told as one
    return "regression", (
        f"holds numbers ({len(values):,} different ones, {values[0]:g} to {values[-1]:g}), so "
        "numbers are predicted: regression. --task classification takes each for a class."
    )


def _are_classes(values: Sequence[float], rows: int) -> bool:
    is_counted = values[0] in (0.0, 1.0) and values[-1] - values[0] == len(values) - 1
    return is_counted and rows >= ROWS_A_CLASS * len(values)


def _marks_nothing(cell: str) -> bool:
    """It is NaN or an infinity, as programs write a number that is not there."""
    return cell.strip().lstrip("+-").casefold() in NOTHING


def _with_points(cells: Sequence[str | None]) -> list[str]:
    """The filled cells; of numbers with commas, such as 1,5 and 1,200.75, as if with points."""
    filled = [cell.strip() for cell in cells if cell and cell.strip()]
    return [cell.replace(",", "") if THOUSANDS.fullmatch(cell) else cell.replace(",", ".", 1)
            for cell in filled]


def _are_numbers(cells: Sequence[str | None]) -> bool:
    """Nearly all of them read as numbers: "1,5" and "1,200" are no pairs of labels."""
    filled = _with_points(cells)
    return bool(np.isfinite(in_numbers(filled)).sum() >= READABLE * len(filled))


def _require_points(cells: Sequence[str], column: str) -> None:
    """Return unless these are many numbers that are written with commas.

    Raises:
        InputError: they are, and neither numbers nor labels can be read there for certain.
    """
    odd = [cell for cell in cells if "," in cell]
    is_read = np.isfinite(in_numbers(cells)).sum() >= READABLE * len(cells)
    if not odd or is_read or len(set(cells)) <= FEW or not _are_numbers(cells):
        return
    raise InputError(
        f"{column} holds numbers with commas in {len(odd):,} of {len(cells):,} cells, "
        f"{odd[0].strip()!r} first, and what they mean differs from country to country. Write "
        "them like 1.5 or 1200; --task classification takes each for a class, and "
        "--label-separator , for several labels."
    )


def _with_several(
    schema: Schema, table: pa.Table, *, told: bool, separator: str | None
) -> Schema | None:
    """The schema of several labels a row, and how that shows; None where a row has one."""
    assert schema.target is not None, "rows to learn from have a target"
    column = f"column {schema.target!r}"
    if separator == COLUMNS:
        return replace(schema, task=SEVERAL, several=COLUMNS)
    cells = table.column(schema.target).to_pylist()
    if separator is not None:
        sign = "[" if separator == LIST else separator
        if not sign or not any(sign in (cell or "") for cell in cells):
            raise InputError(
                f"No cell of {column} holds {separator!r}, which --label-separator names. Name "
                "what stands between labels there, or leave it away."
            )
        found = separator, f"--label-separator {separator}"
    else:
        seen = None if _are_numbers(cells) else found_in(cells)
        if seen is None and not told:
            return None
        if seen is None:
            raise InputError(
                f"No cell of {column} holds several labels with one of {' '.join(SEPARATORS)} "
                "between them, nor a JSON list. Name what stands between them with "
                "--label-separator, or columns of 0 and 1 with --target a,b,c."
            )
        found = seen
    how, why = found
    between = "as a JSON list" if how == LIST else f"with {how!r} between them"
    reason = f"Task: several labels a row, {between} in {column}: {why}."
    if not told and separator is None:
        reason += " --task classification reads each cell as one label."
    return replace(schema, task=SEVERAL, several=how, reasons=(*schema.reasons, reason))
