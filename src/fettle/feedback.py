"""Feedback: the story of what people say of answers, from their file into the journal."""

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path

from fettle.core.errors import FettleError, SettingError
from fettle.core.journal import Feedback
from fettle.store import files, journal, locks
from fettle.store.names import require_model_name
from fettle.store.places import journal_folder

__all__ = ["enter"]


def enter(
    name: str, path: Path, *, registry: str = ".fettle", audit: bool = False,
    new_labels: bool = False,
) -> tuple[Feedback, tuple[str, ...]]:
    """What the answers of a model should have been, matched by the predictions' ids.

    Args:
        name: of the model.
        path: a file of rows with the columns `id` and `label`.
        registry: a folder or a URL.
        audit: whether these are labels of the random audit stream, whatever they say; labels
            that came because somebody complained are not.
        new_labels: take labels that are none of the model's classes.

    Returns:
        What became of each row, and a sentence for whatever could not be read.

    Raises:
        SettingError: nothing was answered under this name, or there is no column `label`; or a
            version gives a row several labels.
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
    if rows.schema.target is None:
        raise SettingError(f"{path} has no column 'label', so there is nothing to enter.")
    named = {fields[0].strip() for fields in rows.fields()}
    found = journal.answers(folder, keep=lambda one: one.id in named)
    versions = {one.version for one in found.answers}
    with locks.hold(folder):
        before = journal.labels(folder)
        made = matching.match(
            rows, {one.id: one for one in found.answers}, before,
            classes=_allowed(registry, versions, rows.targets(), new_labels=new_labels),
            audit=audit, at=datetime.datetime.now(datetime.UTC),
        )
        journal.add_labels(folder, made.entered)
    refused = tuple(f"{one.place} is not read: {one.reason}" for one in rows.refused)
    return made, (*found.passed_over, *before.passed_over, *refused)


def _allowed(
    registry: str, versions: Iterable[str], cells: Sequence[str | None], *, new_labels: bool
) -> dict[str, frozenset[str]]:
    """The labels that these versions know, as far as the registry still has them: their classes;
    of one that answers numbers, all of the cells that are numbers."""
    from fettle.store.registry import Registry
    from fettle.tasks.making import opened_task, require_one_answer

    found = {}
    for version in versions:
        try:
            held = Registry(registry, create=False)
            _, _, manifest = held.find(version)
            task = files.read_json(held.blobs.path(manifest["files"]["task.json"]))
        except FettleError:  # given up since, or served from a folder
            continue
        known = opened_task(task)
        require_one_answer(known, version, "feedback")
        if known.classes and not new_labels:
            found[version] = frozenset(known.classes)
        elif not known.classes:
            is_number = known.answered(cells)
            found[version] = frozenset(
                str(cell) for cell, fits in zip(cells, is_number, strict=True) if fits)
    return found
