"""Asking: the story of labels: which rows to ask people about, and what they answered.

Files go out and come back; nothing is labelled here, and no journal or version is changed.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from fettle.core.dataset import Dataset
from fettle.core.errors import InputError, SettingError

if TYPE_CHECKING:
    from fettle.core.labelling import Review, Suggestions
    from fettle.stages.serving import Opened

__all__ = [
    "audited_labels", "dated", "read_labels", "require_free", "suggest_labels", "write_reviewed",
    "write_suggestions",
]

SOMEBODY = "somebody"
"""Who is not named."""
KNOWN = 2000
"""Labelled rows whose vectors are compared with: so many are looked at in seconds."""


def suggest_labels(
    reference: str, source: object | None = None, *, many: int, registry: str = ".fettle",
    journal: bool = False, seed: int = 0, shown: bool = False,
) -> "Suggestions":
    """Rows to label next: half uncertain, half diverse, and a random fifth that is flagged.

    Args:
        reference: NAME (its champion), NAME@N, or a version's folder.
        source: a file or table of rows; None with `journal`.
        many: rows that are asked for.
        registry: a folder or a URL.
        journal: choose among what was served; it must have kept its inputs.
        seed: of the draw.
        shown: pictures as their own bytes, so that another program can show them; else by a hash.

    Raises:
        SettingError: neither rows nor the journal are given, or both.
        InputError: the journal kept no inputs, or every row has a labelled twin.
    """
    if (source is None) != journal:
        raise SettingError("Give rows to choose among, or --journal; one of the two.")
    from fettle.formats.label_columns import COLUMNS, LIST, SEPARATORS
    from fettle.stages import labelling, reading, serving

    opened = serving.open_version(reference, registry)
    if not opened.task.classes:
        raise SettingError(
            f"{opened.id} answers numbers, and rows worth a label are chosen by a model's doubt "
            "between classes. Draw rows at random instead."
        )
    names, target = opened.encoder.fields, opened.plan["reading"]["target"]
    schema = opened.schema
    if schema.several != COLUMNS:  # cells as they stand: an empty one waits for its labels
        schema = replace(schema, several=None)
    ids, fields = (_journalled(opened, registry) if journal
                   else _unlabelled(reading.read_unlabelled(source, schema)))
    paint = serving.painter(opened, dict.fromkeys(names, "text"))
    known = _learned(opened)
    some = [known[row] for row in _spread(len(known), seed)]
    made = paint(fields)
    assert made.embedding is not None, "a painter gives vectors"
    vectors = paint(some).embedding if some else made.embedding[:0]
    assert vectors is not None
    able = [one for one in (opened.schema.several, *SEPARATORS) if one not in (None, LIST, COLUMNS)]
    between = next(  # a sign that stands in no label
        (one for one in able if not any(str(one) in name for name in made.classes)), able[0])
    found = labelling.suggest(opened.id, target, names, ids, fields, made, known, vectors,
                              many=many, seed=seed, between=str(between))
    if not shown:
        return found
    cells = opened.encoder.portable([tuple(one.fields.values()) for one in found.rows])
    return replace(found, rows=tuple(
        replace(one, fields=dict(zip(one.fields, row, strict=True)))
        for one, row in zip(found.rows, cells, strict=True)
    ))


def read_labels(paths: Sequence[Path], *, target: str) -> "Review":
    """What people said, in one file or several, and how far they agree.

    Raises:
        InputError: a file cannot be read; the message says where.
    """
    from fettle.formats.labelling import read_labels as told_in
    from fettle.stages import labelling

    return labelling.review([one for path in paths for one in told_in(path, target=target)])


def audited_labels(name: str, *, registry: str = ".fettle") -> "tuple[Review, str]":
    """What `fettle feedback --audit` was told of a model's answers, and the column that it answers.

    Labels that users sent are not among them: nobody has reviewed those.

    Args:
        name: of the model.
        registry: a folder or a URL.

    Raises:
        InputError: no answer whose inputs were kept has such a label.
    """
    from fettle.core.labelling import Disputed, Told
    from fettle.stages import labelling, serving
    from fettle.store import journal
    from fettle.store.places import journal_folder

    opened = serving.open_version(name, registry)
    name, names = opened.id.partition("@")[0], opened.encoder.fields
    folder = journal_folder(registry, name)
    labels = journal.labels(folder)
    audited = [one for one in labels.labels if one.source == "audit"]
    ids = {one.id for one in audited}
    kept = {
        one.id: {column: (one.inputs or {}).get(column, "") for column in names}
        for one in journal.answers(
            folder, keep=lambda one: one.inputs is not None and one.id in ids).answers
    }
    if not kept:
        raise InputError(
            f"{len(ids):,} answers of {name} have a label of the audit stream, and none of them "
            "its inputs. Serve with --journal-inputs, and label with fettle feedback --audit."
        )
    settled = labels.settled("audit")
    found = labelling.review([
        Told(one.id, kept[one.id], one.by or SOMEBODY, one.label, "audit")
        for one in audited if one.id in kept and one.id in settled
    ])
    disputed = tuple(
        Disputed(id, {one.by or f"{SOMEBODY} {number}": one.label
                      for number, one in enumerate(audited, start=1) if one.id == id})
        for id in kept if id not in settled
    )
    rows = tuple(replace(one, people=() if SOMEBODY in one.people else one.people)
                 for one in found.rows)
    return replace(found, rows=rows, disputed=disputed), str(opened.plan["reading"]["target"])


def write_suggestions(path: Path, found: "Suggestions") -> Path:
    """The rows to label: Label Studio tasks where the name ends in .json, else CSV.

    Raises:
        SettingError: something lies there already: it may be somebody's work.
    """
    from fettle.formats.labelling import as_csv, as_tasks
    from fettle.store import files

    require_free(path)
    if path.suffix.lower() == ".json":
        return files.write_json(path, as_tasks(found))
    return files.write_text(path, as_csv(found))


def write_reviewed(path: Path, found: "Review", *, target: str) -> Path:
    """The rows on which all agree, as a CSV that `fettle retrain` takes."""
    from fettle.formats.labelling import as_rows
    from fettle.store import files

    require_free(path)
    return files.write_text(path, as_rows(found, target=target))


def require_free(path: Path) -> Path:
    """The path, where nothing lies.

    Raises:
        SettingError: something does; it may be somebody's work.
    """
    if path.exists():
        raise SettingError(f"{path} exists and may hold somebody's labels. Name another file.")
    return path


def dated(folder: Path = Path()) -> Path:
    """A name of today that is free, so that what a timetable asks for never meets what is there."""
    day = datetime.now(UTC).date().isoformat()
    names = (f"to-label-{day}{f'-{number}' if number > 1 else ''}.csv" for number in count(1))
    return next(folder / name for name in names if not (folder / name).exists())


def _unlabelled(rows: Dataset) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Ids and fields of the rows without a label; of all, where there is no such column."""
    if rows.schema.target is None:
        return rows.ids, rows.fields()
    blank = [row for row, cell in enumerate(rows.targets()) if not (cell or "").strip()]
    if not blank:
        raise InputError(
            f"Every row of {rows.name} has a label in {rows.schema.target!r}; there is none to ask "
            "for. Give rows without, or leave the column away."
        )
    return [rows.ids[row] for row in blank], rows.fields(blank)


def _journalled(
    opened: "Opened", registry: str
) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Ids and fields of what was served and has no label yet."""
    from fettle.store import journal
    from fettle.store.places import journal_folder

    folder = journal_folder(registry, opened.id.partition("@")[0])
    told = {one.id for one in journal.labels(folder).labels}
    found = journal.answers(folder, keep=lambda one: (
        one.version == opened.id and one.inputs is not None and one.id not in told
    )).answers
    if not found:
        raise InputError(
            f"The journal of {opened.id} has no row with its inputs that waits for a label. Serve "
            "with --journal-inputs, or give a file of rows."
        )
    return [one.id for one in found], [
        tuple((one.inputs or {}).get(name, "") for name in opened.encoder.fields) for one in found
    ]


def _learned(opened: "Opened") -> list[tuple[str, ...]]:
    """What is read of the rows that the version has labels of; none where they were not kept."""
    from fettle.store import arrow

    if "rows.arrow" not in opened.paths:
        return []
    table = arrow.read(opened.paths["rows.arrow"])
    columns = [[cell or "" for cell in table.column(name).to_pylist()]
               for name in opened.encoder.fields]
    return list(zip(*columns, strict=True))


def _spread(rows: int, seed: int) -> list[int]:
    """At most so many numbers of rows as are looked at in seconds."""
    import numpy as np

    if rows <= KNOWN:
        return list(range(rows))
    return sorted(np.random.default_rng(seed).choice(rows, KNOWN, replace=False).tolist())
