"""Serving: a version and rows in, a Prediction for each row out; the same encode as in training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.dataset import Dataset, Schema
from fettle.core.drift import Portrait
from fettle.core.errors import CorruptFile, FettleError, InputError, SettingError
from fettle.core.parts import Encoder
from fettle.core.progress import finish
from fettle.core.task import Task
from fettle.core.version import Prediction
from fettle.engine.device import cores, set_threads
from fettle.engine.portrait import portrait
from fettle.engine.predict import outputs_of, read_batch
from fettle.modalities import ENCODERS
from fettle.models.network import BlockNetwork, open_saved
from fettle.store import arrow, checkpoints, files, portraits
from fettle.store.names import require_paths
from fettle.store.registry import Registry
from fettle.tasks.making import opened_task, thresholds_of

__all__ = [
    "Opened", "kept", "of_texts", "open_files", "open_version", "painter", "predict", "prove",
]

NEEDED = frozenset(("model.safetensors", "plan.json", "task.json"))
LONGEST = 200
"""Letters of the name of a folder; no system has longer ones, and no model a longer name."""
TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2}
"""Largest difference of a raw output from the one that was written down where the version was
made, as a share of the largest output; other processors round otherwise."""


Paint = Callable[..., Portrait]


@dataclass(frozen=True, slots=True)
class Opened:
    """A version, checked and ready to answer."""

    id: str
    network: BlockNetwork
    encoder: Encoder
    task: Task
    precision: str
    plan: Mapping[str, Any]
    paths: Mapping[str, Path] = field(default_factory=dict)
    """Its files, whose bytes were right when it was opened."""

    @property
    def temperature(self) -> float:
        """Raw outputs are divided by it before they become probabilities."""
        return self.task.temperature

    @property
    def schema(self) -> Schema:
        """The columns that it reads, and the one that it answers."""
        return Schema(target=self.plan["reading"]["target"], inputs=self.encoder.fields,
                      modality=str(self.plan["modality"]), task=self.task.name,
                      several=self.plan["reading"].get("label_separator"))

    def outputs(self, fields: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Raw outputs (rows, classes) of rows that are not encoded yet."""
        return finish(
            outputs_of(self.network, self.encoder, self.encoder.encode(fields),
                       precision=self.precision)
        )

    def read(self, items: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Of encoded rows that make one batch: probabilities, float64 (rows, classes), or numbers
        in the target's unit, (rows, 1); and what the head saw, float32 (rows, width)."""
        outputs, vectors = read_batch(
            self.network, self.encoder, items, precision=self.precision
        )
        return self.task.calibrated(outputs), vectors


def kept(opened: Opened) -> Opened:
    """The same version, to be asked many times: its weights are brought to its precision once."""
    return replace(opened, network=opened.network.in_precision(opened.precision).settle())


def open_version(reference: str, registry: str | Path) -> Opened:
    """Open NAME (its champion), NAME@N, or a version's folder; every file's hash is checked.

    Raises:
        UnknownName: the registry has no such version.
        CorruptFile: a file is missing or altered.
    """
    folder = Path(reference)
    if len(folder.name) <= LONGEST and (folder / "version.json").is_file():
        return open_files(*_listed(folder))
    try:
        held = Registry(registry, create=False)
        name, number, manifest = held.find(reference)
    except FettleError as error:  # a version is often called as the folder of its data is
        if len(folder.name) <= LONGEST and folder.is_dir():
            raise CorruptFile(
                f"{folder} holds no version.json, so it is not a version's folder."
            ) from error
        raise
    return open_files(f"{name}@{number}", held.paths(manifest))


def prove(opened: Opened) -> float:
    """Ask the version what it was asked where it was made; the largest difference of an output.

    Raises:
        CorruptFile: it holds no such rows, or answers otherwise.
    """
    if not {"certificate.arrow", "certificate.safetensors"} <= set(opened.paths):
        raise CorruptFile(
            f"{opened.id} holds no answers to compare with, as versions of an older fettle do not. "
            "Train it again."
        )
    asked = arrow.read(opened.paths["certificate.arrow"])
    expected = checkpoints.read_tensors(opened.paths["certificate.safetensors"])["outputs"].numpy()
    columns = [asked.column(name).to_pylist() for name in opened.encoder.fields]
    found = opened.outputs(list(zip(*columns, strict=True)))
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise CorruptFile(f"{opened.id} gives outputs of another shape, or that are no numbers.")
    difference = float(np.abs(found - expected).max())
    most = TOLERANCE[opened.precision] * max(1.0, float(np.abs(expected).max()))
    if difference > most:
        raise CorruptFile(
            f"{opened.id} answers otherwise than where it was made: outputs differ by up to "
            f"{difference:g} (at most {most:g} is allowed). Compare `fettle doctor` here with its "
            "lineage in `fettle show`; the same libraries give the same answers."
        )
    return difference


def painter(opened: Opened, kinds: Mapping[str, str]) -> Paint:
    """From (fields, labels) of rows to what is watched of them, by this version.

    Args:
        opened: the version.
        kinds: of its columns, as its reference has them.
    """
    held = opened.paths.get(portraits.TOKENS)
    counts = portraits.read_counts(held) if held is not None else None
    head = opened.network.head
    assert head is not None, "an opened version has a head"

    def paint(
        fields: Sequence[tuple[str, ...]], labels: Sequence[str | None] = ()
    ) -> Portrait:
        return finish(portrait(
            opened.network, head, opened.encoder, fields, classes=opened.task.classes, kinds=kinds,
            temperature=opened.temperature, precision=opened.precision, counts=counts,
            labels=labels, unit=opened.task.unit, thresholds=thresholds_of(opened.task),
        ))

    return paint


def of_texts(texts: Sequence[object], schema: Schema) -> Dataset:
    """Rows of texts that were handed over: one text a row, or one a column.

    Raises:
        SettingError: a row is no text, has too many or too few, or is empty.
    """
    rows = [tuple(text) if isinstance(text, list | tuple) else (text,) for text in texts]
    width = len(schema.inputs)
    for number, row in enumerate(rows):
        if len(row) != width or not all(isinstance(cell, str) for cell in row):
            raise SettingError(
                f"Row {number} is {texts[number]!r}; the model reads {width} text"
                f"{'s' if width > 1 else ''} a row: {', '.join(schema.inputs)}."
            )
        if not "".join(row).strip():
            raise SettingError(f"Text {number + 1} is empty; there is nothing to answer.")
    columns = {
        name: strings(row[at] for row in rows)
        for at, name in enumerate(schema.inputs)
    }
    ids = tuple(str(number) for number in range(len(rows)))
    return Dataset("texts", pa.table(columns), schema, ids, ("",) * len(rows))


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
    return opened.task.predictions(opened.outputs(rows.fields()), rows.ids, opened.id)


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
    require_paths(held, place=str(path))
    for one in held:
        if (folder / one).is_symlink():
            raise CorruptFile(f"{folder / one} is a link, and a version's files are plain files.")
    return name, {one: files.require_hash(folder / one, held[one]) for one in held}


def open_files(id: str, paths: Mapping[str, Path]) -> Opened:
    """The version that these files make, whose hashes were checked."""
    set_threads(cores())
    if not set(paths) >= NEEDED:
        raise CorruptFile(f"{id} has no {min(NEEDED - set(paths))}, so it cannot be opened.")
    facts = files.read_json(paths["task.json"])
    try:
        return Opened(
            id=id,
            network=open_saved(paths),
            encoder=ENCODERS[facts["modality"]].load(paths),
            task=opened_task(facts),
            precision=facts["precision"],
            plan=files.read_json(paths["plan.json"]),
            paths=dict(paths),
        )
    except (KeyError, TypeError, ValueError) as error:  # whole files that say other things
        raise CorruptFile(
            f"{id} is no version that this fettle can open ({error!r}): a file or a key of it is "
            "not there, or says something else. Train it again, or update fettle."
        ) from error
