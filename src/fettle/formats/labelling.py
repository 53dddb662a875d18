"""Label files: suggestions as Label Studio tasks or CSV, and what people made of them, read back.

Label Studio's JSON is a list of tasks: `data`, `predictions`, `annotations`. A CSV has one line a
row, `label` is empty until somebody fills it, and is one person's, called by `person` or the file.
Where a row may have several labels, `fettle_between` says what stands between them.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fettle.core.errors import InputError
from fettle.core.labelling import PERSON, Review, Suggestions, Told, in_one_cell
from fettle.core.labels import packed
from fettle.formats import FORMATS
from fettle.formats.files import rows_of_file
from fettle.formats.formulas import guarded, unguarded
from fettle.formats.label_columns import parted
from fettle.store import files

__all__ = ["as_csv", "as_rows", "as_tasks", "read_labels"]

ID, WHY, PREDICTED, CONFIDENCE, BETWEEN = (
    "fettle_id", "fettle_why", "fettle_predicted", "fettle_confidence", "fettle_between"
)
OURS = (ID, WHY, PREDICTED, CONFIDENCE, PERSON, BETWEEN)
_MARK = "\ufeff"
"""A spreadsheet then opens and saves the file as UTF-8."""


def as_tasks(found: Suggestions) -> list[dict[str, Any]]:
    """Suggestions as Label Studio imports them; the model's answer as a prediction."""
    first = next(iter(found.rows[0].fields), "text") if found.rows else "text"
    tasks = []
    for one in found.rows:
        between = {} if found.between is None else {BETWEEN: found.between}
        task: dict[str, Any] = {"data": {**one.fields, ID: one.id, WHY: one.why, **between}}
        choices = list(one.labels) if between else [one.predicted]
        if one.predicted:
            task["predictions"] = [{
                "model_version": found.version,
                "score": one.confidence,
                "result": [{
                    "from_name": found.target, "to_name": first, "type": "choices",
                    "value": {"choices": choices},
                }] if choices else [],
            }]
        tasks.append(task)
    return tasks


def as_csv(found: Suggestions) -> str:
    """Suggestions as CSV, the label's column empty."""
    columns = list(found.rows[0].fields) if found.rows else []
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    between = [] if found.between is None else [found.between]
    lines.writerow([ID, *columns, found.target, WHY, PREDICTED, CONFIDENCE,
                    *([BETWEEN] if between else [])])
    for one in found.rows:
        sure = "" if one.confidence is None else f"{one.confidence:.4f}"
        lines.writerow([
            guarded(cell) for cell in
            (one.id, *one.fields.values(), "", one.why, one.predicted, sure, *between)
        ])
    return _MARK + out.getvalue()


def as_rows(found: Review, *, target: str) -> str:
    """The rows on which all agree, as a CSV to learn from; of several labels a JSON list each."""
    columns = list(found.rows[0].fields) if found.rows else []
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    lines.writerow([*columns, target, ID, WHY, PERSON])
    for one in found.rows:
        lines.writerow([*(one.fields.get(name, "") for name in columns), one.label, one.id,
                        one.why, in_one_cell(one.people)])
    return out.getvalue()


def read_labels(path: Path, *, target: str) -> list[Told]:
    """What people said, one for each row and person.

    Args:
        path: a JSON export of Label Studio, or a table whose column `target` holds labels.
        target: the column, and the name of the choice in Label Studio.

    Raises:
        InputError: the file is neither; the message names the task or the line.
    """
    if path.suffix.lower() == ".json":
        return _of_tasks(path, target)
    rows = rows_of_file(path, formats=FORMATS)
    names = rows.table.column_names
    for needed in (ID, target):
        if needed not in names:
            raise InputError(
                f"{path} has no column {needed!r}. Label the file that fettle label suggest wrote, "
                "and keep its columns."
            )
    told = []
    for record in rows.table.to_pylist():
        cells = {name: unguarded(cell or "") for name, cell in record.items()}
        told.append(Told(
            id=cells[ID],
            fields={name: cells[name] for name in names if name not in (*OURS, target)},
            person=cells.get(PERSON, "").strip() or path.stem,
            label=_filled(cells[target], cells.get(BETWEEN, "")),
            why=cells.get(WHY, ""),
        ))
    return told


def _filled(cell: str, between: str) -> str:
    """The label that somebody filled in; with something between them, all labels of the cell."""
    if not between:
        return cell.strip()
    return parted(cell, between) or ""


def _of_tasks(path: Path, target: str) -> list[Told]:
    tasks = files.read_json(path)
    if not isinstance(tasks, list):
        raise InputError(f"{path} is no list of tasks, as Label Studio exports them (JSON).")
    told = []
    for number, task in enumerate(tasks, start=1):
        place = f"task {number} of {path}"
        data = task.get("data") if isinstance(task, Mapping) else None
        if not isinstance(data, Mapping) or ID not in data:
            raise InputError(f"{place} has no data with a {ID!r}. Export in the format JSON.")
        fields = {
            str(name): str(cell) for name, cell in data.items() if name not in (*OURS, target)
        }
        given = [one for one in task.get("annotations") or ()
                 if isinstance(one, Mapping) and not one.get("was_cancelled")]
        why, several = str(data.get(WHY, "")), bool(data.get(BETWEEN))
        if not given:
            told.append(Told(str(data[ID]), fields, "", "", why))
        told += [
            Told(str(data[ID]), fields, _person(one), _choice(one, target, place, several=several),
                 why)
            for one in given
        ]
    return told


def _choice(annotation: Mapping[str, Any], target: str, place: str, *, several: bool) -> str:
    """The one choice of an annotation, empty where it has none; of several labels all of them, and
    none is an answer too: whoever does not know skips the task, which cancels the annotation."""
    chosen = []
    for one in annotation.get("result") or ():
        if isinstance(one, Mapping) and one.get("type") == "choices" and (
            one.get("from_name") == target
        ):
            value = one.get("value")
            chosen += list(value.get("choices", ())) if isinstance(value, Mapping) else []
    if several:
        return packed(str(one).strip() for one in chosen if str(one).strip())
    if len(chosen) > 1:
        raise InputError(f"{place} has {len(chosen)} choices in one annotation, and one label is "
                         "what a row takes.")
    return str(chosen[0]).strip() if chosen else ""


def _person(annotation: Mapping[str, Any]) -> str:
    """Who made it: an e-mail address or a number, as the export has it."""
    by = annotation.get("completed_by", "")
    if isinstance(by, Mapping):
        by = by.get("email") or by.get("id", "")
    return str(by)
