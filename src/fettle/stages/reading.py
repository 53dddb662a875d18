"""Reading: a file or a table in, a Dataset out, with every row in it or named as refused.

What is read and what is predicted is told, or found on the rows that may be learned from. Rows
keep the part in which they were given. Nothing here changes a cell.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from fettle.core.columns import numbers
from fettle.core.dataset import Dataset, Refused, Schema
from fettle.core.errors import InputError, unknown_name
from fettle.core.fixes import Fixes
from fettle.core.plan import Reading
from fettle.formats import FORMATS, TEXT_FORMATS
from fettle.formats.columns import find_schema
from fettle.formats.files import rows_of_stream, stem
from fettle.formats.fixes import fixed, read_fixes
from fettle.formats.folders import STRAY
from fettle.formats.frames import rows_of_frame
from fettle.formats.label_columns import composed, listed, separator_of, with_labels
from fettle.formats.looks import present
from fettle.formats.picture_columns import with_cells
from fettle.formats.places import rows_of_pictures, rows_of_place
from fettle.formats.rows import Rows
from fettle.formats.targets import with_task
from fettle.tasks import TASKS

__all__ = ["read", "read_unlabelled"]

SPLITS = ("split", "part", "fold", "set")
"""Names of columns that may say which part a row belongs to."""

PARTS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}
"""What such a column may say, and the part that it means."""

MOST_REFUSED = 0.01
MOST_REFUSED_PICTURES = 0.1
"""A broken picture says nothing of the others, as a broken record of a table does."""
FEWEST_ROWS = 8
_ASK_TARGET = " Or name another column with --target."


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """One file or table, as it was given."""

    place: str
    part: str
    rows: Rows


def read(
    reading: Reading, *, source: object | None = None, name: str = "", task: str | None = None
) -> Dataset:
    """Every row of the data, and of the validation and test files if they are given.

    Args:
        reading: where the rows lie; target and inputs where they are told.
        source: a table in Python, read instead of the file `reading.data`.
        name: of the Dataset; the file's stem if empty.
        task: what the target is; None to see for itself.

    Returns:
        Rows of the data first, then validation, then test. A row's part is "" where no split is
        known, else what the file, or a column called split, says.

    Raises:
        UnknownName: there is no such column, encoding, task, or action of a fix.
        InputError: the rows cannot be read or cannot teach anything, or a fix does not fit them;
            the message says why.
    """
    data, *further = _given(reading, source)
    parts, split_column = _parts(data, told=(
        reading.target, *reading.inputs, reading.group, reading.time
    ))
    taught = [row for row, part in enumerate(parts) if part != "test"]
    learning = data.rows.table.take(numbers(taught))
    if not learning.num_rows:
        raise InputError(f"Every row of {data.place} is a test row. Give rows to learn from.")
    aside = _aside(learning, reading, data.place)
    columns = learning.drop_columns([*aside, *([split_column] if split_column else [])])
    schema = with_task(_schema(columns, data, reading), learning, told=task,
                       separator=separator_of(data.rows, reading.label_separator))
    for given in further:
        _require_columns(given, schema)

    everything = [replace(one, rows=listed(one.rows, schema, place=one.place))
                  for one in (data, *further)]
    _require_teaching(everything[0].rows.table.take(numbers(taught)), schema, data.place)
    table, absent = _joined(everything)
    notes = [note for given in everything for note in given.rows.notes]
    if split_column:
        notes.append(f"Column {split_column!r} says which part a row belongs to.")
    notes += [_refused_sentence(given) for given in everything if given.rows.refused]
    dataset = Dataset(
        name=name or (stem(Path(reading.data)) if source is None else "table"),
        table=table,
        schema=_complete(schema, table, (*notes, *absent)),
        ids=tuple(id_ for given in everything for id_ in given.rows.ids),
        parts=parts + tuple(given.part for given in further for _ in given.rows.ids),
        refused=tuple(record for given in everything for record in given.rows.refused),
        looks={cell: seen for given in everything for cell, seen in given.rows.looks.items()},
    )
    if reading.fixes is not None:
        dataset = _fixed(dataset, reading.fixes)
    _require_judging(dataset)
    return dataset


def _schema(columns: pa.Table, data: _Given, reading: Reading) -> Schema:
    """Which column is what; where there are pictures, they are what is read.

    Raises:
        InputError: pictures and other columns are both to be read.
    """
    pictures = data.rows.pictures
    if pictures and reading.inputs not in ((), (pictures,)):
        raise InputError(
            f"--inputs {','.join(reading.inputs)}: a model reads pictures ({pictures!r}) or texts, "
            "not both in one row. Name one kind."
        )
    told = (pictures,) if pictures else reading.inputs
    found = find_schema(columns, target=reading.target, inputs=told, place=data.place)
    if pictures:
        reasons = tuple(
            f"Inputs: {pictures!r}, the column of pictures." if one.startswith("Inputs:") else
            one.replace("is not among the inputs that were told", "stands beside the pictures")
            for one in found.reasons
        )
        found = replace(found, modality="image", reasons=reasons)
    return replace(found, group=reading.group, time=reading.time)


def _fixed(dataset: Dataset, fixes: Fixes) -> Dataset:
    """The Dataset after a person's fixes; it must still be one that can teach."""
    approved = read_fixes(Path(fixes.path))
    if fixes.sha256 and approved.sha256 != fixes.sha256:
        raise InputError(
            f"{fixes.path} is not the file that the plan was made with (sha256 "
            f"{approved.sha256[:12]}... instead of {fixes.sha256[:12]}...). Make the plan anew, or "
            "restore the file."
        )
    dataset = fixed(dataset, approved)
    learns = [row for row, part in enumerate(dataset.parts) if part in ("", "train", "validation")]
    _require_teaching(dataset.table.take(numbers(learns)), dataset.schema, dataset.name)
    return dataset


def read_unlabelled(
    source: object, schema: Schema, *, encoding: str | None = None, name: str = ""
) -> Dataset:
    """Rows to be answered: the inputs of a schema, with or without its target.

    Args:
        source: a path (CSV, TSV, JSONL, Parquet, TXT; a picture, a folder or zip of pictures),
            "-" for standard input (JSON objects or texts, one a line), a table in Python, a list
            of texts, or a tuple of paths of pictures.
        schema: of the model that will answer.
        encoding: of a text file; None to see for itself.
        name: of the Dataset; the file's stem if empty.

    Returns:
        Every row that could be read, however many could not: those stand in `refused`. The target
        is None where the source has no such column.

    Raises:
        UnknownName: an input is missing, or there is no such encoding.
        InputError: no row can be read; the message says why.
    """
    if schema.modality == "image" and isinstance(source, list):
        source = tuple(source)  # of paths
    place, rows = _unlabelled(source, encoding)
    if schema.modality == "image" and not rows.pictures:
        rows = with_cells(rows, place=place)  # as labels come back: the pictures themselves
    _require_modality(rows, schema, place)
    if not rows.ids:
        raise InputError(f"No row of {place} can be read. {_first(rows.refused)}")
    table, notes = rows.table, list(rows.notes)
    wanted = schema.inputs
    if rows.pictures and wanted[0] not in table.column_names:
        table = table.rename_columns([wanted[0] if name == rows.pictures else name
                                      for name in table.column_names])
    elif len(wanted) == 1 and table.num_columns == 1 and table.column_names != list(wanted):
        notes.append(f"The only column of {place}, {table.column_names[0]!r}, is {wanted[0]!r}.")
        table = table.rename_columns(list(wanted))
    for column in wanted:
        if column not in table.column_names:
            raise unknown_name("column", column, table.column_names, place=place)
    target = schema.target if schema.target in table.column_names else None
    if schema.several is not None:
        rows = with_labels(replace(rows, table=table, notes=tuple(notes)), schema, place=place)
        target = schema.target if schema.target in rows.table.column_names else None
        table, notes = rows.table, list(rows.notes)
    is_file = isinstance(source, str | Path) and str(source) != "-"
    return Dataset(
        name=name or (stem(Path(str(source))) if is_file else place.removeprefix("the ")),
        table=table,
        schema=_complete(
            Schema(target, wanted, modality=schema.modality, task=schema.task,
                   several=schema.several), table, notes),
        ids=rows.ids,
        parts=("",) * len(rows.ids),
        refused=rows.refused,
        looks=rows.looks,
    )


def _require_modality(rows: Rows, schema: Schema, place: str) -> None:
    """Return if the rows hold what the model reads.

    Raises:
        InputError: pictures for a model of texts, or the other way round.
    """
    if schema.modality == "image" and not rows.pictures:
        raise InputError(
            f"{place} holds no pictures, and this model reads pictures. Give pictures, a folder or "
            "zip of them, or a table with a column of their paths."
        )
    if schema.modality != "image" and rows.pictures:
        raise InputError(f"{place} holds pictures, and this model reads texts. Give texts.")


def _unlabelled(source: object, encoding: str | None) -> tuple[str, Rows]:
    """What to call the source, and its rows."""
    if isinstance(source, str) and source == "-":  # a frame compares cell by cell
        content = sys.stdin.buffer.read()
        return "standard input", rows_of_stream(content, name="stdin", encoding=encoding)
    if isinstance(source, str | Path):
        path = Path(source)
        return path.name, rows_of_place(path, formats=TEXT_FORMATS, encoding=encoding,
                                        labelled=False)
    if isinstance(source, tuple):
        return "the list of pictures", rows_of_pictures([str(one) for one in source])
    return "the table", with_cells(rows_of_frame(source), place="the table")


def _given(reading: Reading, source: object | None) -> list[_Given]:
    """The data, then the further files, each with few enough records refused."""
    paths = [("", reading.data), ("validation", reading.validation), ("test", reading.test)]
    if source is not None:
        paths[0] = ("", None)
    elif not reading.data:
        raise InputError("No data was named. Give a file, or a table from Python.")
    files = [(part, Path(path)) for part, path in paths if path]
    _require_different([path for _, path in files])
    times = Counter(path.name for _, path in files)
    given = []
    if source is not None:
        table = with_cells(rows_of_frame(source), place="the table")
        given.append(_Given("the table", "", composed(table, reading.target, place="the table")))
    for part, path in files:
        place = path.name if times[path.name] == 1 else str(path)
        rows = rows_of_place(path, formats=FORMATS, encoding=reading.encoding, name=place,
                             told=reading.inputs)
        given.append(_Given(place, part, composed(rows, reading.target, place=place)))
    for each in given:
        _require_few_refused(each)
    return given


def _require_different(paths: Sequence[Path]) -> None:
    seen: dict[Path, Path] = {}
    for path in paths:
        if path.resolve() in seen:
            raise InputError(
                f"{path} is given twice, for different parts. A row that teaches cannot judge: "
                "give another file, or leave one out."
            )
        seen[path.resolve()] = path


def _require_few_refused(given: _Given) -> None:
    refused = [one for one in given.rows.refused if one.reason != STRAY]
    read_rows = len(given.rows.ids)
    records = read_rows + len(refused)
    most = MOST_REFUSED_PICTURES if given.rows.pictures else MOST_REFUSED
    if not read_rows or len(refused) > most * records:
        what = "pictures" if given.rows.pictures else "records"
        remedy = ("Mend them, or take them out of the data." if given.rows.pictures else
                  "Mend them, or check the separator and the quotes.")
        raise InputError(
            f"{len(refused):,} of the {records:,} {what} of {given.place} cannot be read, and "
            f"more than {most:.0%} is too many to leave out. {_first(refused)} {remedy}"
        )


def _first(refused: Sequence[Refused], most: int = 5) -> str:
    shown = "; ".join(f"{record.place}: {record.reason}" for record in refused[:most])
    return f"The first: {shown}." if len(refused) > 1 else f"{shown}."


def _refused_sentence(given: _Given) -> str:
    refused = given.rows.refused
    thing = "picture" if given.rows.pictures else "record"
    many = f"1 {thing}" if len(refused) == 1 else f"{len(refused):,} {thing}s"
    return f"{many} of {given.place} cannot be read and left out. {_first(refused)}"


def _parts(data: _Given, told: Sequence[str | None]) -> tuple[tuple[str, ...], str | None]:
    """The part of each row of the data, and the column that says so, if one does."""
    if data.rows.parts:
        return data.rows.parts, None
    table = data.rows.table
    for name in table.column_names:
        if name.lower() not in SPLITS or name in told:
            continue
        cells = [(cell or "").strip().lower() for cell in table.column(name).to_pylist()]
        if set(cells) <= set(PARTS) and len({PARTS[cell] for cell in cells}) > 1:
            return tuple(PARTS[cell] for cell in cells), name
    return ("",) * table.num_rows, None


def _aside(table: pa.Table, reading: Reading, place: str) -> list[str]:
    """Columns of groups, times and slices: they exist, and are not found to be target or input."""
    named = [name for name in (reading.group, reading.time, *reading.slices) if name is not None]
    for name in named:
        if name not in table.column_names:
            raise unknown_name("column", name, table.column_names, place=place)
    return [name for name in dict.fromkeys(named) if name not in (reading.target, *reading.inputs)]


def _require_columns(given: _Given, schema: Schema) -> None:
    """A further file must have what is read and what is asked; other columns may differ."""
    found = given.rows.table.column_names
    for name in (*schema.inputs, schema.target or ""):
        if name not in found:
            raise unknown_name("column", name, found, place=given.place)


def _joined(everything: Sequence[_Given]) -> tuple[pa.Table, list[str]]:
    """All rows in one table, and a sentence for each column that not all of them have."""
    names = list(dict.fromkeys(name for one in everything for name in one.rows.table.column_names))
    tables, notes = [], []
    for one in everything:
        table = one.rows.table
        found = set(table.column_names)
        for name in (name for name in names if name not in found):
            notes.append(f"{one.place} has no column {name!r}; its cells there are missing.")
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        tables.append(table.select(names))
    return pa.concat_tables(tables), notes


def _complete(schema: Schema, table: pa.Table, notes: Sequence[str]) -> Schema:
    """The schema with every column that is not used, and all that there is to tell."""
    used = {schema.target, *schema.inputs, schema.group, schema.time}
    unused = tuple(name for name in table.column_names if name not in used)
    return replace(schema, unused=unused, reasons=(*schema.reasons, *notes))


def _require_teaching(table: pa.Table, schema: Schema, place: str) -> None:
    """The learning rows hold texts, and answers of at least two classes."""
    assert schema.target is not None, "rows to learn from have a target"
    answers = present(table.column(schema.target))
    rows = len(answers)
    if not rows:
        raise InputError(f"Column {schema.target!r} of {place} is empty in every row.{_ASK_TARGET}")
    if not any(len(present(table.column(name))) for name in schema.inputs):
        names = ", ".join(map(repr, schema.inputs))
        raise InputError(f"{names} of {place}: empty in every row. Name other columns: --inputs.")
    if rows < FEWEST_ROWS:
        raise InputError(
            f"{place} has {rows} rows with an answer to learn from, and {FEWEST_ROWS} are the "
            "fewest. Label more rows."
        )
    TASKS[schema.task].require_teachable(
        answers.to_pylist(), column=f"Column {schema.target!r} of {place}", next_=_ASK_TARGET
    )


def _require_judging(dataset: Dataset) -> None:
    """Validation and test rows, where given, hold answers to be judged by."""
    answers = dataset.targets()
    for part in ("validation", "test"):
        rows = [row for row, given in enumerate(dataset.parts) if given == part]
        if rows and not TASKS[dataset.schema.task].answered([answers[row] for row in rows]).any():
            raise InputError(
                f"None of the {len(rows):,} {part} rows, {dataset.ids[rows[0]]} first, has an "
                f"answer in column {dataset.schema.target!r}. Label them, or leave them out."
            )
