"""Serving: a version and rows in, a Prediction for each row out; the same encode as in training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fettle.core.dataset import Dataset
from fettle.core.errors import CorruptFile, InputError, SettingError
from fettle.core.progress import finish
from fettle.core.version import Prediction
from fettle.engine.device import cores, set_threads
from fettle.engine.predict import outputs_of
from fettle.modalities import ENCODERS
from fettle.modalities.text import TextEncoder
from fettle.models.network import TextNetwork, open_saved
from fettle.store import files
from fettle.store.registry import Registry
from fettle.tasks import TASKS
from fettle.tasks.classification import Classification

__all__ = ["Opened", "open_version", "predict"]

NEEDED = frozenset(("model.safetensors", "plan.json", "task.json"))


@dataclass(frozen=True, slots=True)
class Opened:
    """A version, checked and ready to answer."""

    id: str
    network: TextNetwork
    encoder: TextEncoder
    task: Classification
    precision: str
    plan: Mapping[str, Any]

    def outputs(self, fields: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Raw outputs (rows, classes) of rows that are not encoded yet."""
        return finish(
            outputs_of(self.network, self.encoder, self.encoder.encode(fields),
                       precision=self.precision)
        )


def open_version(reference: str, registry: Path) -> Opened:
    """Open NAME (its champion), NAME@N, or a version's folder; every file's hash is checked.

    Raises:
        UnknownName: the registry has no such version.
        CorruptFile: a file is missing or altered.
    """
    set_threads(cores())
    folder = Path(reference)
    if (folder / "version.json").is_file():
        return _opened(*_listed(folder))
    if folder.is_dir():
        raise CorruptFile(f"{folder} holds no version.json, so it is not a version's folder.")
    if not (registry / "registry.db").is_file():
        raise SettingError(
            f"There is no registry in {registry}, so no version is called {reference!r}. Make one "
            "with `fettle tune`, or name its folder with --registry."
        )
    held = Registry(registry)
    name, number, manifest = held.find(reference)
    return _opened(f"{name}@{number}", held.paths(manifest))


def predict(opened: Opened, rows: Dataset) -> list[Prediction]:
    """One answer a row, in the order of the rows.

    Raises:
        InputError: a column that the model reads is missing, or there are no rows.
    """
    missing = [name for name in opened.encoder.fields if name not in rows.schema.inputs]
    if missing:
        raise InputError(
            f"{rows.name} has no column {missing[0]!r}, which {opened.id} reads."
        )
    if not rows.rows:
        raise InputError(f"{rows.name} has no rows.")
    answers = opened.task.answers(opened.outputs(rows.fields()))
    return [
        Prediction(id, value := next(iter(answer)), answer[value], opened.id, answer)
        for id, answer in zip(rows.ids, answers, strict=True)
    ]


def _listed(folder: Path) -> tuple[str, dict[str, Path]]:
    """The id of the version in this folder, and its files, each with the bytes it had."""
    path = folder / "version.json"
    facts = files.read_json(path)
    try:
        name, held = f"{facts['name']}@{facts['number']}", dict(facts["files"])
    except (KeyError, TypeError, ValueError):
        held = {}
    if not set(held) >= NEEDED:
        raise CorruptFile(
            f"{path} does not list the files of a version. Restore it from a copy, or publish "
            "again."
        )
    return name, {one: files.require_hash(folder / one, held[one]) for one in held}


def _opened(id: str, paths: Mapping[str, Path]) -> Opened:
    facts = files.read_json(paths["task.json"])
    return Opened(
        id=id,
        network=open_saved(paths),
        encoder=ENCODERS[facts["modality"]].load(paths),
        task=TASKS[facts["task"]](facts["classes"]),
        precision=facts["precision"],
        plan=files.read_json(paths["plan.json"]),
    )
