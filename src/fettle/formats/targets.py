"""Targets: what the answers are, told or found by rule: names of classes, or numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from fettle.core.dataset import Schema
from fettle.core.errors import unknown_name
from fettle.formats.looks import present
from fettle.measures.traits import in_numbers

__all__ = ["KINDS", "with_task"]

KINDS = ("classification", "regression")
"""What a target can be."""
FEW = 20
"""Different whole numbers at most that are taken for the names of classes."""
FEW_FRACTIONS = 10
"""The same of numbers with a fraction, such as grades of 0.5."""
READABLE = 0.99
"""Of the cells, those that must be numbers; the audit names the others."""
ROWS_A_CLASS = 10
"""Whole numbers from 0 or 1 on without a gap, with so many rows each, are classes that somebody
has numbered, however many there are."""


def with_task(schema: Schema, table: pa.Table, *, told: str | None) -> Schema:
    """The schema with what its target is, and why.

    Args:
        schema: whose target is looked at.
        table: rows that may be learned from; string columns.
        told: what it is, if a person says so.

    Raises:
        UnknownName: there is no such task.
    """
    if told is not None:
        if told not in KINDS:
            raise unknown_name("task", told, KINDS)
        why = f"{schema.target!r} is read as told: --task {told}."
        return replace(schema, task=told, reasons=(*schema.reasons, why))
    kind, why = _kind(present(table.column(schema.target)).to_pylist())
    reasons = (f"{schema.target!r} {why}",) if why else ()
    return replace(schema, task=kind, reasons=(*schema.reasons, *reasons))


def _kind(cells: Sequence[str]) -> tuple[str, str]:
    """What these cells are, and why in words that follow the column's name; no word for names."""
    found = in_numbers(cells)
    known = found[np.isfinite(found)]
    if not len(cells) or len(known) < READABLE * len(cells):
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
