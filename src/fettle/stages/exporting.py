"""Exporting: an opened version in, a folder in another tool's form out, with its Certificate.

What was written is opened again as that tool's users open it, and asked real rows in batches of
several sizes and lengths. Where it answers otherwise than the version, nothing is left behind.
"""

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from fettle.core.errors import Blocked, ModelUnavailable, SettingError, StoreError, unknown_name
from fettle.core.export import Certificate, Trial
from fettle.core.parts import Exportable
from fettle.core.plan import Unit
from fettle.core.progress import Progress
from fettle.engine.device import seeded
from fettle.exporters import EXPORTERS
from fettle.modalities.text import TextEncoder
from fettle.models.backbone import Backbone, quiet
from fettle.models.cards import card_of
from fettle.models.from_transformers import empty_backbone, open_backbone
from fettle.models.network import TextNetwork
from fettle.models.sources import CONFIG
from fettle.store import arrow, files, records, staging

__all__ = ["Leaving", "export"]

CERTIFICATE = "certificate.json"
TOLERANCE = 1e-4
"""Of an output, as a share of the largest; at least of 1."""
ROWS, BATCH_ROWS = 256, 32
SIZES, FEW = (1, 3, 7), 24
"""Further batch sizes, and the rows that are asked in each."""
LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "onnx", "onnxruntime", "onnxscript")
ANSWERS = ("model.safetensors", "head.json", "config.json", "task.json", "plan.json",
           "tokenizer.json", "encoder.json")
"""Files of a version that its answers hang on."""
Fields = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leaving:
    """A version that is ready to answer, and is to be exported."""

    id: str
    network: TextNetwork
    encoder: TextEncoder
    classes: tuple[str, ...]
    temperature: float
    unit: Unit | None
    """Of its numbers, where it answers numbers; what is exported answers in the target's own."""
    precision: str
    plan: Mapping[str, Any]
    rung: str
    """That was kept."""
    paths: Mapping[str, Path]
    """Its files, whose bytes are right."""


def export(
    leaving: Leaving, form: str, folder: Path
) -> Generator[Progress, None, Certificate]:
    """Write the version into a folder in this form, once it has shown that it answers alike.

    Args:
        leaving: the version.
        form: a name in EXPORTERS.
        folder: not there yet, or empty; or it holds the same export, which is checked and kept.

    Raises:
        UnknownName: there is no such form.
        SettingError: the form cannot hold this version, or the folder is not free.
        Blocked: what was written answers otherwise; nothing is left of it.
        StoreError: the disk is full, gone or not writable; nothing is left of it.
    """
    if form not in EXPORTERS:
        raise unknown_name("form", form, EXPORTERS)
    _require_head(leaving, form)
    made_of = {name: files.sha256(leaving.paths[name]) for name in ANSWERS if name in leaving.paths}
    before = _same(folder, form, made_of)
    if before is not None:
        return before
    rows, rows_from = _rows(leaving)
    with staging.staged(folder) as place, quiet(), seeded(0):
        given = _exportable(leaving)
        yield Progress(f"export to {form}", 0, 1, "steps")
        notes = EXPORTERS[form].write(given, place)
        asked = _Asked(leaving, given, EXPORTERS[form].open(given, place))
        batches = _batches(rows, leaving.encoder)
        for number, (size, some) in enumerate(batches):
            yield Progress(f"asking {form}", number, len(batches), "batch sizes")
            asked.compare(size, some)
        certificate = Certificate(
            version=leaving.id, made_of=made_of, form=form, classes=leaving.classes,
            rows_from=rows_from, trials=tuple(asked.trials), tolerance=asked.tolerance,
            served_precision=leaving.precision, served_difference=asked.served_difference,
            served_changed=asked.served_changed, made_with=_libraries(), notes=notes,
            files=_hashes(place),
        )
        if not certificate.holds:
            raise Blocked(
                f"{leaving.id} as {form} does not answer as the version does: "
                f"{certificate.sentence} Nothing was left behind. Try another form: "
                f"{', '.join(one for one in EXPORTERS if one != form)}."
            )
        records.save(place / CERTIFICATE, certificate)
    return certificate


def _require_head(leaving: Leaving, form: str) -> None:
    kind = (leaving.network.head_settings or {})["kind"]
    if kind not in EXPORTERS[form].heads:
        able = [name for name, one in EXPORTERS.items() if kind in one.heads]
        raise SettingError(
            f"{leaving.id} has a head of the kind {kind!r}, which {form} cannot hold. "
            f"{'Forms that can: ' + ', '.join(able) if able else 'No form can'}."
        )


class _Asked:
    """The version and its copy, asked the same batches."""

    def __init__(
        self, leaving: Leaving, given: Exportable, answers: Callable[[Sequence[Fields]], np.ndarray]
    ) -> None:
        self._encoder, self._answers = leaving.encoder, answers
        assert isinstance(given.network, TextNetwork)
        self._network = given.network
        self._served = self._network.in_precision(leaving.precision)
        self.trials: list[Trial] = []
        self.tolerance, self.served_difference, self.served_changed = TOLERANCE, 0.0, 0

    def compare(self, size: int, rows: Sequence[Fields]) -> None:
        """One more trial: these rows in batches of this size."""
        difference, changed, lengths = 0.0, 0, []
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            batch = self._encoder.collate(self._encoder.encode(some))
            with torch.inference_mode():
                expected = self._network(batch).float().numpy()
                served = expected if self._served is self._network else (
                    self._served(batch).float().numpy())
            found = np.asarray(self._answers(some))
            lengths.append(batch["input_ids"].shape[1])
            difference = max(difference, _apart(found, expected))
            changed += _changed(found, expected)
            self.tolerance = max(self.tolerance, TOLERANCE * float(np.abs(expected).max()))
            self.served_difference = max(
                self.served_difference, _apart(found, served))
            self.served_changed += _changed(found, served)
        self.trials.append(
            Trial(size, len(rows), min(lengths), max(lengths), difference, changed))


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference; infinite where shapes differ or a number is none."""
    if found.shape != expected.shape or not (
        np.isfinite(found).all() and np.isfinite(expected).all()
    ):
        return float("inf")
    return float(np.abs(found - expected).max())


def _changed(found: np.ndarray, expected: np.ndarray) -> int:
    """Rows whose likeliest class is another; of numbers none."""
    if found.shape != expected.shape:
        return len(expected)
    return int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())


def _exportable(leaving: Leaving) -> Exportable:
    """The version as exporters take it, its temperature, or its unit, in the head."""
    network = leaving.network
    assert network.head is not None
    assert network.head_settings is not None
    head: Any = copy.deepcopy(network.head)
    with torch.no_grad():
        head.linear.weight.div_(leaving.temperature)
        head.linear.bias.div_(leaving.temperature)
        if leaving.unit is not None:
            head.linear.weight.mul_(leaving.unit.spread)
            head.linear.bias.mul_(leaving.unit.spread).add_(leaving.unit.mean)
    calm = TextNetwork(network.card, network.backbone)
    calm.head_settings, calm.head = network.head_settings, head
    rungs = {one["strategy"]: one["settings"] for one in leaving.plan["rungs"]}
    return Exportable(
        id=leaving.id, card=network.card, classes=leaving.classes, network=calm.eval(),
        backbone=lambda: _of_transformers(leaving), base=lambda: _base(leaving),
        head=network.head_settings, weight=head.linear.weight.detach(),
        bias=head.linear.bias.detach(), encoder=leaving.encoder.described(),
        tokenizer=leaving.encoder.tokenizer_json, rung=leaving.rung,
        settings=rungs.get(leaving.rung, {}), numbers=leaving.unit is not None,
    )


def _of_transformers(leaving: Leaving) -> Backbone:
    """The version's network below the head as transformers' own module; the lean BERT has its
    names."""
    backbone = leaving.network.backbone
    if isinstance(backbone, Backbone):
        return backbone
    made = empty_backbone(leaving.paths[CONFIG])
    made.model.load_state_dict(backbone.state_dict(), strict=True)
    return made


def _base(leaving: Leaving) -> tuple[Backbone, Path]:
    """The pre-trained network that the version was tuned from, once its bytes are the same."""
    wanted = leaving.network.card
    card = card_of(wanted.name)
    if card.sha256 != wanted.sha256:
        raise ModelUnavailable(
            f"{wanted.name} here has other weights than {leaving.id} was tuned from (sha256 "
            f"{card.sha256[:12]}... instead of {wanted.sha256[:12]}...), and adapters fit only "
            "those. Bring the model back, or export to another form."
        )
    return open_backbone(card), Path(card.folder)


def _rows(leaving: Leaving) -> tuple[list[Fields], str]:
    """Rows that the version learned from, spread over all lengths; else those it was proved by."""
    paths, fields = leaving.paths, leaving.encoder.fields
    if "rows.arrow" in paths:
        table = arrow.read(paths["rows.arrow"])
        side = table.column(table.num_columns - 1)
        table = table.filter(pc.is_in(side, pa.array(["train", "validation"])))
        source = "rows that the version learned from"
    else:
        table = arrow.read(paths["certificate.arrow"])
        source = "fettle's own sentences, because the version was published without its rows"
    columns = [table.column(name).to_pylist() for name in fields]
    rows = [tuple(cell or "" for cell in row) for row in zip(*columns, strict=True)]
    rows.sort(key=lambda row: sum(map(len, row)))
    return _spread(rows, ROWS), source


def _spread(rows: Sequence[Fields], most: int) -> list[Fields]:
    """At most so many, at even distances, the first and the last among them."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))
    return [rows[place] for place in places]


def _batches(rows: Sequence[Fields], encoder: TextEncoder) -> list[tuple[int, list[Fields]]]:
    """Batch sizes, and the rows to ask in each.

    All, the shortest first; then a few, short and long ones in turns, with one that is cut off and
    one without a word.
    """
    some = _spread(rows, FEW - 2)
    words = " ".join(part for row in rows for part in row)
    long = " ".join([words] * (1 + encoder.letters // max(len(words), 1)))
    edges = [("",) * len(encoder.fields), (long,) * len(encoder.fields)]
    few = [row for pair in zip(some, reversed(some), strict=True) for row in pair][: len(some)]
    few = [row for row in (*few, *edges) if len(encoder.encode([row])[0])]
    return [(BATCH_ROWS, list(rows)), *((size, few) for size in SIZES)]


def _hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file, by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): files.sha256(path)
        for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _same(folder: Path, form: str, made_of: Mapping[str, str]) -> Certificate | None:
    """The certificate that lies in the folder, where it is of this export and every file whole."""
    path = folder / CERTIFICATE
    if folder.is_symlink() or not path.is_file():
        return None
    try:
        found = records.load(path, Certificate)
    except StoreError:
        return None  # a file of somebody else's; the folder is not free
    held = {name: digest for name, digest in _hashes(folder).items() if name != CERTIFICATE}
    same = (found.form, dict(found.made_of), dict(found.files)) == (form, dict(made_of), held)
    return found if same else None


def _libraries() -> dict[str, str]:
    """Those that had a part in it, as far as they are installed, and their versions."""
    found = {}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
