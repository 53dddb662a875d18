"""Targets: what the answers are, told or found: names of classes."""

from dataclasses import replace

import pyarrow as pa

from fettle.core.dataset import Schema
from fettle.core.errors import unknown_name

__all__ = ["TASKS_OF_CELLS", "with_task"]

TASKS_OF_CELLS = ("classification",)
"""What the cells of a target can be."""


def with_task(schema: Schema, table: pa.Table, *, told: str | None) -> Schema:
    """The schema with what its target is, and why.

    Args:
        schema: whose target is looked at.
        table: rows that may be learned from.
        told: what it is, if a person says so.

    Raises:
        UnknownName: there is no such task.
    """
    if told is not None:
        if told not in TASKS_OF_CELLS:
            raise unknown_name("task", told, TASKS_OF_CELLS)
        return replace(schema, task=told)
    return schema
