"""Fixes files: proposals written down for a person to edit, and applied once they are approved.

One line a row. What a spreadsheet would take for a formula is written with an apostrophe before
it, and read back without. A line that does not fit the rows is an error; nothing is guessed.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from fettle.core.columns import numbers, strings
from fettle.core.dataset import Dataset, Refused
from fettle.core.errors import InputError, unknown_name
from fettle.core.fixes import Action, Fix, Fixes, Proposal
from fettle.core.labels import packed, unpacked
from fettle.formats import FORMATS
from fettle.formats.files import rows_of_file
from fettle.formats.formulas import guarded, unguarded
from fettle.formats.opening import source_of_file, text_lines
from fettle.store import files

__all__ = ["Approved", "as_text", "fixed", "read_fixes"]

COLUMNS = tuple(field.name for field in fields(Fix))
NEEDED = ("row", "action", "old", "new")
_SHOWN = 160
"""Letters of a row's text: enough to judge most, and to notice that the rows have moved."""
_MARK = "\ufeff"
"""A spreadsheet then opens and saves the file as UTF-8."""


@dataclass(frozen=True, slots=True)
class Approved:
    """A fixes file as it was read."""

    path: Path
    sha256: str
    lines: tuple[tuple[str, Fix], ...]
    """Each with its place: fixes.csv:12."""


def as_text(dataset: Dataset, proposals: Iterable[Proposal]) -> str:
    """The fixes file that proposes these, one line a row, in the order of the proposals.

    Args:
        dataset: of which the proposals number the rows.
        proposals: at most one a row.
    """
    labels, texts = dataset.targets(), dataset.fields()
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    lines.writerow(COLUMNS)
    for one in proposals:
        cells = (
            dataset.ids[one.row], one.action.value, labels[one.row] or "", one.new, one.why,
            one.check, _beginning(texts[one.row]),
        )
        lines.writerow([guarded(cell) for cell in cells])
    return _MARK + out.getvalue()


def read_fixes(path: Path) -> Approved:
    """The lines of a fixes file: CSV, or any other format that rows are read from.

    Raises:
        InputError: the file or a line of it cannot be read; the message names line and column.
        UnknownName: it has a column or an action that we do not have.
    """
    if _is_empty(path):
        return Approved(path, files.sha256(path), ())
    rows = rows_of_file(path, formats=FORMATS)
    if rows.refused:
        first = rows.refused[0]
        raise InputError(f"{first.place}: {first.reason}. Mend this line of the fixes.")
    found = rows.table.column_names
    for name in found:
        if name not in COLUMNS:
            raise unknown_name("column", name, COLUMNS, place=path.name)
    for name in NEEDED:
        if name not in found:
            raise unknown_name("column", name, found, place=path.name)
    columns = [rows.table.column(name).to_pylist() for name in found]
    lines = [
        (place, _fix(place, dict(zip(found, cells, strict=True))))
        for place, cells in zip(rows.ids, zip(*columns, strict=True), strict=True)
    ]
    return Approved(path, files.sha256(path), tuple(lines))


def fixed(dataset: Dataset, approved: Approved) -> Dataset:
    """The Dataset with every line applied: rows relabelled, dropped, or moved to part "out".

    Args:
        dataset: as it was read, without fixes.
        approved: the lines.

    Raises:
        InputError: a line names a row that is not there or no longer says what the line says, or
            asks for what cannot be done; the message names line and column. Nothing is applied.
    """
    row_of = {id_: row for row, id_ in enumerate(dataset.ids)}
    labels, texts, parts = dataset.targets(), dataset.fields(), list(dataset.parts)
    told: dict[str, str] = {}
    dropped: dict[int, Refused] = {}
    for place, fix in approved.lines:
        if fix.row in told:
            raise _wrong(place, "row", f"{fix.row} is also on {told[fix.row]}; one line a row.")
        told[fix.row] = place
        if fix.row not in row_of:
            raise _wrong(place, "row", f"no row of {dataset.name} is called {fix.row!r}.")
        row = row_of[fix.row]
        _require_unchanged(place, fix, labels[row] or "", _beginning(texts[row]))
        if fix.action.gives_label:
            labels[row] = _answer(place, fix.new, several=dataset.schema.several is not None)
        elif fix.action is Action.DROP:
            why = f": {fix.why}" if fix.why else ""
            dropped[row] = Refused(fix.row, f"dropped by {approved.path.name}{why}")
        elif parts[row] == "test":
            message = "it is a test row and was never in training. To remove it: drop."
            raise _wrong(place, "action", message)
        else:
            parts[row] = "out"
    counts = Counter(fix.action.value for _, fix in approved.lines)
    return _changed(
        dataset, labels, parts, dropped,
        Fixes(str(approved.path), approved.sha256, {name: counts[name] for name in sorted(counts)}),
    )


def _changed(
    dataset: Dataset,
    labels: Sequence[str | None],
    parts: Sequence[str],
    dropped: Mapping[int, Refused],
    fixes: Fixes,
) -> Dataset:
    """The Dataset with these labels and parts, without the dropped rows."""
    target = dataset.schema.target
    assert target is not None, "fixes are of rows with answers"
    place = dataset.table.column_names.index(target)
    table = dataset.table.set_column(place, target, strings(list(labels)))
    kept = [row for row in range(dataset.rows) if row not in dropped]
    return replace(
        dataset,
        table=table.take(numbers(kept)),
        ids=tuple(dataset.ids[row] for row in kept),
        parts=tuple(parts[row] for row in kept),
        dropped=(*dataset.dropped, *dropped.values()),
        fixes=fixes,
    )


def _fix(place: str, cells: Mapping[str, str | None]) -> Fix:
    """One line, its cells as they were before they were guarded."""
    plain = {name: unguarded(cell or "") for name, cell in cells.items()}
    actions = [action.value for action in Action]
    if plain["action"] not in actions:
        raise unknown_name("action", plain["action"], actions, place=f"{place}, column 'action',")
    fix = Fix(**{**plain, "action": Action(plain["action"])})  # type: ignore[arg-type]
    if fix.action.gives_label and not fix.new.strip():
        raise _wrong(place, "new", f"it is empty, and {fix.action.value} needs a new answer.")
    if fix.action.gives_label and fix.new == fix.old:
        raise _wrong(place, "new", f"it says {fix.new!r}, as the old one does.")
    if not fix.action.gives_label and fix.new:
        raise _wrong(place, "new", f"it says {fix.new!r}, and {fix.action.value} gives no answer.")
    return fix


def _require_unchanged(place: str, fix: Fix, label: str, text: str) -> None:
    """The row is still the one that the line is about."""
    if fix.old != label:
        raise _wrong(place, "old", f"it says {fix.old!r}, and {fix.row} has {label!r} there.")
    if fix.text and fix.text != text:
        raise _wrong(
            place, "text", f"{fix.row} now begins {text!r}. Rows may have moved since the audit."
        )


def _answer(place: str, new: str, *, several: bool) -> str:
    """The new answer as the column has answers: of several labels, a JSON list of them."""
    if not several:
        return new
    try:
        return packed(unpacked(new))
    except InputError as error:
        raise _wrong(place, "new", str(error)) from error


def _wrong(place: str, column: str, what: str) -> InputError:
    return InputError(
        f"{place}, column {column!r}: {what} Mend the line, remove it, or write the fixes anew "
        "with fettle audit --fix."
    )


def _beginning(fields: Sequence[str]) -> str:
    """How a row begins, on one line."""
    return " ".join(" ".join(fields).split())[:_SHOWN].strip()


def _is_empty(path: Path) -> bool:
    """It holds a header and no line: everything was right, or every line was removed."""
    if not path.is_file() or path.suffix.lower() not in (".csv", ".tsv"):
        return False
    lines, _ = text_lines(source_of_file(path), None)
    filled = [line for _, line in zip(range(2), filter(str.strip, lines), strict=False)]
    return len(filled) == 1 and all(name in filled[0] for name in NEEDED)
