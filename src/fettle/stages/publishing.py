"""Publishing: everything that a version needs, put together, proved, and entered in the registry.

A version whose outputs differ from the trained model's is refused: nothing is entered.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa

from fettle.core.columns import strings
from fettle.core.dataset import Dataset
from fettle.core.errors import CorruptFile, SettingError
from fettle.core.evaluation import Evaluation
from fettle.core.parts import Card
from fettle.core.plan import Plan
from fettle.core.progress import finish
from fettle.core.run import Run
from fettle.core.split import Split
from fettle.core.version import Report, Version
from fettle.engine.portrait import kinds_of, portrait, token_counts
from fettle.engine.predict import outputs_of
from fettle.engine.replay import CODE
from fettle.modalities import ENCODERS
from fettle.modalities.text import TextEncoder
from fettle.models.network import open_saved
from fettle.store import arrow, checkpoints, files, portraits, records
from fettle.store.registry import Registry
from fettle.store.tables import digest
from fettle.tasks.making import opened_task, task_of, thresholds_of

__all__ = ["publish"]

TOLERANCE = 1e-4
"""Largest difference of a raw output, between what was trained and what is published."""
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
FURTHER = {"timm": ("timm", "torchvision", "pillow"), "module": ("pillow",)}
"""Libraries that networks of some sources stand on, too."""
CERTIFIED = 32
"""Rows whose answers travel with the version: before it becomes champion it gives them again."""
WATCHED = 2000
"""Test rows at most whose numbers travel with the version, for watching."""
BESIDE = frozenset((
    "plan.json", "evaluation.json", "audit.json", "report.html", "model-card.md",
    "certificate.arrow", "certificate.safetensors", "reference.arrow", "tokens.arrow",
))
"""Files that tell of the version; what it answers hangs on the others, and on the plan's id."""


def publish(
    dataset: Dataset,
    plan: Plan,
    split: Split,
    run: Run,
    evaluation: Evaluation,
    report: Report,
    *,
    card: Card,
    registry: Registry,
    keep_rows: bool,
) -> Version:
    """The kept rung as a version that can be opened anywhere, and its place in the registry.

    Raises:
        CorruptFile: what was written does not give the outputs of what was trained.
    """
    target = Path(run.folder) / "version"
    source = Path(run.folder) / run.rung(run.kept).folder
    files.remove_folder(target)  # what an earlier try left there is no part of this version
    _write_model(target, source, plan, evaluation)
    records.save(target / "plan.json", plan)
    records.save(target / "split.json", split)
    records.save(target / "evaluation.json", evaluation)
    files.copy_file(Path(run.folder) / "audit.json", target / "audit.json")
    files.copy_file(Path(report.card), target / "model-card.md")
    files.copy_file(Path(report.html), target / "report.html")
    if keep_rows:
        _write_rows(target / "rows.arrow", dataset, split)
    difference = _proved(target, source, dataset, split, plan, keep_rows=keep_rows)
    _write_reference(target, dataset, split, plan, keep_rows=keep_rows)
    lineage = _lineage(card, plan, split, run)
    manifest = {
        "plan": plan.id,
        "task": plan.task,
        "rung": run.kept,
        "lineage": lineage,
        "largest_difference": difference,
        "scores": records.to_plain(evaluation.contender(evaluation.kept).scores),
    }
    number, held = registry.publish(
        plan.name, target, manifest, identity=_identity(target, plan.id)
    )
    _write_manifest(target, plan.name, number, manifest, held)
    return Version(
        name=plan.name,
        number=number,
        plan=plan.id,
        files=held,
        lineage=lineage,
        largest_difference=difference,
        folder=str(target),
        report=report,
    )


def _write_model(target: Path, source: Path, plan: Plan, evaluation: Evaluation) -> None:
    """The kept rung's network and preprocessing, and what its outputs mean."""
    for path in sorted(source.iterdir()):
        if path.name not in ("rung.json", "outputs.safetensors"):
            files.copy_file(path, target / path.name)
    files.write_json(
        target / "task.json",
        {
            "task": plan.task,
            "precision": plan.precision,
            "modality": plan.modality,
            **task_of(plan).of(evaluation).facts(),
        },
    )


def _lineage(card: Card, plan: Plan, split: Split, run: Run) -> dict[str, str]:
    """What the version was made of, and with what."""
    fixes = plan.reading.fixes
    return {
        "base_model": card.name,
        "base_weights": card.sha256,
        "base_revision": card.revision or "",
        "data": split.dataset,
        "learning_rows": split.learning,
        "test_rows": split.vault.fingerprint,
        "fixes": fixes.sha256 if fixes else "",
        "fixed_rows": ", ".join(f"{n} {name}" for name, n in fixes.counts.items()) if fixes else "",
        "run": run.folder,
        "rung": run.kept,
        "code": CODE,
        "fettle": metadata.version("fettle"),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in (*LIBRARIES, *FURTHER.get(card.source, ()))},
    }


def _write_manifest(
    target: Path, name: str, number: int, manifest: Mapping[str, object], held: Mapping[str, str]
) -> None:
    """The version folder's own list of its files: it can be opened without the registry."""
    files.write_json(
        target / "version.json", {"name": name, "number": number, **manifest, "files": dict(held)}
    )


def _identity(target: Path, plan: str) -> str:
    """The same for versions that answer alike: whoever publishes one twice gets the first."""
    held = {
        path.relative_to(target).as_posix(): files.sha256(path)
        for path in sorted(target.rglob("*"))
        if path.is_file() and path.name not in BESIDE
    }
    return digest(json.dumps([plan, held]))


def _proved(
    target: Path, source: Path, dataset: Dataset, split: Split, plan: Plan, *, keep_rows: bool
) -> float:
    """The published version's outputs against the trained network's, on the same rows.

    Its answers are written beside it, so that whoever opens it elsewhere can ask it again.
    """
    paths = {path.name: path for path in target.iterdir()}
    network, encoder = open_saved(paths), ENCODERS[plan.modality].load(paths)

    def outputs(fields: Sequence[tuple[str, ...]]) -> np.ndarray:
        return finish(
            outputs_of(network, encoder, encoder.encode(fields), precision=plan.precision)
        )

    expected = checkpoints.read_tensors(source / "outputs.safetensors")["reference"].numpy()
    fields = dataset.fields(split.learners[: len(expected)])
    found = outputs(fields)
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise CorruptFile(
            f"The version written to {target} does not answer like the model that was trained: "
            f"its outputs differ by up to {difference:g} (at most {TOLERANCE:g} is allowed). It is "
            "not published. Run the same command in a fresh folder (--out)."
        )
    asked = encoder.portable(fields[:CERTIFIED]) if keep_rows else encoder.samples()
    _write_certificate(target, encoder.fields, asked, outputs(asked))
    return difference


def _write_certificate(
    target: Path, names: Sequence[str], fields: Sequence[tuple[str, ...]], outputs: np.ndarray
) -> None:
    import torch

    columns = [strings([row[at] for row in fields]) for at in range(len(names))]
    arrow.write(target / "certificate.arrow", pa.table(columns, names=list(names)))
    checkpoints.write_tensors(
        target / "certificate.safetensors", {"outputs": torch.from_numpy(outputs)}
    )


def _write_reference(
    target: Path, dataset: Dataset, split: Split, plan: Plan, *, keep_rows: bool
) -> None:
    """What new rows will be compared with: the test rows, which the model never saw, in numbers.

    Where rows are not to be kept, neither are vectors nor the tokens that were learned from:
    both tell of what the rows say.
    """
    paths = {path.name: path for path in target.iterdir()}
    network, encoder = open_saved(paths), ENCODERS[plan.modality].load(paths)
    assert network.head is not None, "a published network has a head"
    rows = np.array(split.vault.sealed, dtype=np.int64)
    if len(rows) > WATCHED:
        rows = np.sort(np.random.default_rng(plan.seed).choice(rows, WATCHED, replace=False))
    counts = None
    if keep_rows and isinstance(encoder, TextEncoder):
        learned = dataset.fields(split.learners)
        counts = token_counts(encoder, learned, vocabulary=encoder.tokenizer.get_vocab_size())
        portraits.write_counts(target, counts)
    fields, task = dataset.fields(rows.tolist()), opened_task(files.read_json(target / "task.json"))
    found = finish(portrait(
        network, network.head, encoder, fields, classes=plan.classes,
        kinds=kinds_of(encoder.fields, fields), precision=plan.precision, counts=counts,
        temperature=task.temperature, unit=plan.unit, labels=dataset.targets(rows.tolist()),
        thresholds=thresholds_of(task),
    ))
    portraits.write(target, found, embedding=keep_rows)


def _write_rows(path: Path, dataset: Dataset, split: Split) -> None:
    """Every row with its id and its side, so that what was learned from can be asked later."""
    side = np.full(dataset.rows, "left out", dtype=object)
    for name, rows in (("train", split.train), ("validation", split.validation),
                       ("test", split.vault.sealed)):
        side[list(rows)] = name
    names = [*dataset.schema.inputs]
    if dataset.schema.target is None:
        raise SettingError("A version is published of rows that carry answers.")
    table = dataset.table.select([*names, dataset.schema.target])
    taken = set(table.column_names)
    for name, column in (("id", list(dataset.ids)), ("side", side.tolist())):
        free = name
        while free in taken:
            free = f"_{free}"
        table = table.append_column(free, strings(column))

    arrow.write(path, table)
