"""Feedback: the story of what people say of answers, from their file into the journal."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fettle.core.errors import FettleError, InputError, SettingError
from fettle.core.journal import Answered, Feedback
from fettle.store import files, journal, locks
from fettle.store.names import require_model_name
from fettle.store.places import journal_folder

if TYPE_CHECKING:
    from fettle.core.dataset import Dataset
    from fettle.core.task import Task

__all__ = ["enter"]


def enter(
    name: str, path: Path, *, registry: str = ".fettle", audit: bool = False,
    new_labels: bool = False, label_separator: str | None = None,
) -> tuple[Feedback, tuple[str, ...]]:
    """What the answers of a model should have been, matched by the predictions' ids.

    Args:
        name: of the model.
        path: a file of rows with the columns `id` and `label`; where a row may have several
            labels, they stand in one cell, or in a column of 0 and 1 each.
        registry: a folder or a URL.
        audit: whether these are labels of the random audit stream, whatever they say; labels
            that came because somebody complained are not.
        new_labels: take labels that are none of the model's classes.
        label_separator: what stands between several labels in one cell; list for JSON.

    Returns:
        What became of each row, and a sentence for whatever could not be read.

    Raises:
        SettingError: nothing was answered under this name, or there is no column `label`; or a
            separator is told where a row has one label.
        InputError: the file is about answers of one label a row and of several.
    """
    from fettle.core.dataset import Schema
    from fettle.stages import matching, reading

    folder = journal_folder(registry, require_model_name(name))
    if not folder.is_dir():
        raise SettingError(
            f"Nothing was answered as {name} yet: {folder} is not there. `fettle serve {name}` "
            "keeps a journal; --registry names another place."
        )
    rows = reading.read_unlabelled(path, Schema(target="label", inputs=("id",)))
    named = {fields[0].strip() for fields in rows.fields()}
    found = journal.answers(folder, keep=lambda one: one.id in named)
    tasks, usual = _tasks(registry, {one.version for one in found.answers})
    several = _has_several(found.answers, tasks, path)
    if several:
        rows = _with_sets(rows, tasks, path, usual=usual, told=label_separator)
    elif label_separator is not None:
        raise SettingError(
            f"--label-separator is for models that give a row several labels, and {name} gives one."
        )
    if rows.schema.target is None:
        raise SettingError(f"{path} has no column 'label', so there is nothing to enter.")
    with locks.hold(folder):
        before = journal.labels(folder)
        made = matching.match(
            rows, {one.id: one for one in found.answers}, before,
            classes=_allowed(tasks, rows.targets(), new_labels=new_labels),
            audit=audit, at=datetime.datetime.now(datetime.UTC), several=several,
        )
        journal.add_labels(folder, made.entered)
    refused = tuple(f"{one.place} is not read: {one.reason}" for one in rows.refused)
    return made, (*found.passed_over, *before.passed_over, *refused)


def _tasks(registry: str, versions: Iterable[str]) -> "tuple[dict[str, Task], str | None]":
    """The task of each of these versions, as far as the registry still has them; and what stands
    between labels in the file that one of them learned from."""
    from fettle.store.registry import Registry
    from fettle.tasks.making import opened_task

    found, usual = {}, None
    for version in sorted(versions):
        try:
            held = Registry(registry, create=False)
            _, _, manifest = held.find(version)
            told, plan = (files.read_json(held.blobs.path(manifest["files"][one]))
                          for one in ("task.json", "plan.json"))
        except FettleError:  # given up since, or served from a folder
            continue
        found[version] = opened_task(told)
        usual = plan["reading"].get("label_separator") or usual
    return found, usual


def _has_several(answers: Sequence[Answered], tasks: "Mapping[str, Task]", path: Path) -> bool:
    """Whether these are answers of several labels a row; those of a version that nobody knows any
    more say so themselves.

    Raises:
        InputError: some are and some are not.
    """
    from fettle.core.labels import is_packed
    from fettle.tasks.making import thresholds_of

    kinds: dict[bool, str] = {}
    for one in answers:
        task = tasks.get(one.version)
        kinds.setdefault(
            is_packed(one.value) if task is None else thresholds_of(task) is not None, one.version)
    if len(kinds) > 1:
        raise InputError(
            f"{path} is about answers of {kinds[True]}, which gives a row several labels, and of "
            f"{kinds[False]}, which gives one. Give two files."
        )
    return True in kinds


def _with_sets(
    rows: "Dataset", tasks: "Mapping[str, Task]", path: Path, *, usual: str | None,
    told: str | None,
) -> "Dataset":
    """The rows with lists of labels in the column `label`, in whichever form they are given."""
    from fettle.core.columns import strings
    from fettle.formats import label_columns

    table = rows.table
    known = sorted({label for task in tasks.values() for label in task.classes})
    if rows.schema.target is not None:
        cells: list[str | None] | None = label_columns.said(
            rows.targets(), rows.ids, column="label", known=known, usual=usual, told=told)
        table = table.drop_columns(["label"])
    else:
        cells = label_columns.marked(table, known, rows.ids, place=str(path))
    if cells is None:
        return rows
    return replace(
        rows, table=table.append_column("label", strings(cells)),
        schema=replace(rows.schema, target="label", several=label_columns.LIST),
    )


def _allowed(
    tasks: "Mapping[str, Task]", cells: Sequence[str | None], *, new_labels: bool
) -> dict[str, frozenset[str]]:
    """The labels that these versions know: their classes; of one that answers numbers, all of the
    cells that are numbers."""
    found = {}
    for version, known in tasks.items():
        if known.classes and not new_labels:
            found[version] = frozenset(known.classes)
        elif not known.classes:
            is_number = known.answered(cells)
            found[version] = frozenset(
                str(cell) for cell, fits in zip(cells, is_number, strict=True) if fits)
    return found
