"""Formulas: cells that a spreadsheet would run stand behind a quote in files, and are read back."""

import re

__all__ = ["guarded", "unguarded"]

_FORMULA = re.compile(r"'*\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet may run, and what `unguarded` must not take for a guard."""


def guarded(cell: str) -> str:
    """The cell, behind a quote where a spreadsheet would run it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before it was guarded."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
