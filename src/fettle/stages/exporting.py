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

from fettle.core.errors import (
    Blocked,
    CorruptFile,
    InputError,
    ModelUnavailable,
    SettingError,
    StoreError,
    unknown_name,
)
from fettle.core.export import Certificate, Trial
from fettle.core.parts import Exportable, Exporter
from fettle.core.plan import Unit
from fettle.core.progress import Progress
from fettle.engine.device import seeded
from fettle.exporters import EXPORTERS, PICTURE_EXPORTERS
from fettle.measures import label_calibration
from fettle.modalities.image import ImageEncoder
from fettle.modalities.text import TextEncoder
from fettle.models.backbone import Backbone, quiet
from fettle.models.bert import Bert
from fettle.models.cards import card_of
from fettle.models.from_transformers import empty_backbone, open_backbone
from fettle.models.network import BlockNetwork, PictureNetwork
from fettle.models.sources import CONFIG
from fettle.store import arrow, files, pictures, records, staging

__all__ = ["Leaving", "export"]

CERTIFICATE = "certificate.json"
TOLERANCE = 1e-4
"""Of an output, as a share of the largest; at least of 1."""
TIE = 1e-5
"""Of a probability from its threshold: what lies nearer is called one way or the other by the last
digits of single precision, and every library rounds those in its own way."""
ROWS, BATCH_ROWS = 256, 32
SIZES, FEW = (1, 3, 7), 24
"""Further batch sizes, and the rows that are asked in each."""
LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "onnx", "onnxruntime", "onnxscript",
             "timm", "pillow", "keras")
ANSWERS = ("model.safetensors", "head.json", "config.json", "task.json", "plan.json",
           "tokenizer.json", "encoder.json")
"""Files of a version that its answers hang on."""
Fields = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leaving:
    """A version that is ready to answer, and is to be exported."""

    id: str
    network: BlockNetwork
    encoder: TextEncoder | ImageEncoder
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
    thresholds: tuple[float, ...] | None = None
    """Where it gives a row several labels: from which probability on each is called; else None."""

    @property
    def forms(self) -> dict[str, Exporter]:
        """Those that a version of its modality can leave in."""
        return PICTURE_EXPORTERS if isinstance(self.network, PictureNetwork) else EXPORTERS


def export(
    leaving: Leaving, form: str, folder: Path
) -> Generator[Progress, None, Certificate]:
    """Write the version into a folder in this form, once it has shown that it answers alike.

    Args:
        leaving: the version.
        form: a name in EXPORTERS, or in PICTURE_EXPORTERS.
        folder: not there yet, or empty; or it holds the same export, which is checked and kept.

    Raises:
        UnknownName: there is no such form.
        SettingError: the form cannot hold this version, or the folder is not free.
        Blocked: what was written answers otherwise; nothing is left of it.
        StoreError: the disk is full, gone or not writable; nothing is left of it.
    """
    _require_form(leaving, form)
    made_of = {name: files.sha256(leaving.paths[name]) for name in ANSWERS if name in leaving.paths}
    before = _same(folder, form, made_of)
    if before is not None:
        return before
    rows, rows_from = _rows(leaving)
    with staging.staged(folder) as place, quiet(), seeded(0):
        given = _exportable(leaving)
        yield Progress(f"export to {form}", 0, 1, "steps")
        notes = leaving.forms[form].write(given, place)
        asked = _Asked(leaving, given, leaving.forms[form].open(given, place), _cuts_in(place))
        batches = _batches(rows, leaving.encoder)
        for number, (size, some) in enumerate(batches):
            yield Progress(f"asking {form}", number, len(batches), "batch sizes")
            asked.compare(size, some)
        certificate = Certificate(
            version=leaving.id, made_of=made_of, form=form, classes=leaving.classes,
            rows_from=rows_from, trials=tuple(asked.trials), tolerance=asked.tolerance,
            served_precision=leaving.precision, served_difference=asked.served_difference,
            served_changed=asked.served_changed, made_with=_libraries(),
            notes=(*notes, *asked.remarks()), files=_hashes(place), unit=_unit(leaving),
            several=None if leaving.thresholds is None else TOLERANCE,
        )
        if not certificate.holds:
            raise Blocked(
                f"{leaving.id} as {form} does not answer as the version does: "
                f"{certificate.sentence} Nothing was left behind. Try another form: "
                f"{', '.join(one for one in leaving.forms if one != form)}."
            )
        records.save(place / CERTIFICATE, certificate)
    return certificate


def _require_form(leaving: Leaving, form: str) -> None:
    """Return if there is such a form, for what the version reads and for its head."""
    if form not in {**EXPORTERS, **PICTURE_EXPORTERS}:
        raise unknown_name("form", form, {**EXPORTERS, **PICTURE_EXPORTERS})
    if form not in leaving.forms:
        reads = "pictures" if isinstance(leaving.network, PictureNetwork) else "texts"
        raise SettingError(
            f"{leaving.id} reads {reads}, and {form} is no form of such a version. Forms of it: "
            f"{', '.join(leaving.forms)}."
        )
    kind = (leaving.network.head_settings or {})["kind"]
    if kind not in leaving.forms[form].heads:
        able = [name for name, one in leaving.forms.items() if kind in one.heads]
        raise SettingError(
            f"{leaving.id} has a head of the kind {kind!r}, which {form} cannot hold. "
            f"{'Forms that can: ' + ', '.join(able) if able else 'No form can'}."
        )


class _Asked:
    """The version and its copy, asked the same batches."""

    def __init__(
        self, leaving: Leaving, given: Exportable,
        answers: Callable[[Sequence[Fields]], np.ndarray], cuts: np.ndarray | None,
    ) -> None:
        self._encoder, self._answers = leaving.encoder, answers
        self._own = None if leaving.thresholds is None else np.array(leaving.thresholds)
        self._written, self._ties = cuts, 0
        assert isinstance(given.network, BlockNetwork)
        self._network = given.network
        self._served = self._network.in_precision(leaving.precision)
        self.trials: list[Trial] = []
        self.tolerance, self.served_difference, self.served_changed = TOLERANCE, 0.0, 0

    def compare(self, size: int, rows: Sequence[Fields]) -> None:
        """One more trial: these rows in batches of this size."""
        difference, probability, changed, lengths = 0.0, 0.0, 0, []
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            batch = self._encoder.collate(self._encoder.encode(some))
            with torch.inference_mode():
                expected = self._network(batch).float().numpy()
                served = expected if self._served is self._network else (
                    self._served(batch).float().numpy())
            found = np.asarray(self._answers(some))
            lengths.append(next(iter(batch.values())).shape[1])  # tokens, or pixels a side
            difference = max(difference, _apart(found, expected))
            changed += self._changed(found, expected)
            if self._own is not None:
                probability = max(probability, _apart(_said(found), _said(expected)))
            self.tolerance = max(self.tolerance, TOLERANCE * float(np.abs(expected).max()))
            self.served_difference = max(
                self.served_difference, _apart(found, served))
            self.served_changed += self._changed(found, served, ties=False)
        self.trials.append(Trial(
            size, len(rows), min(lengths), max(lengths), difference, changed, probability))

    def remarks(self) -> tuple[str, ...]:
        """Calls that rounding decided the other way."""
        return () if not self._ties else (
            f"Calls of labels that went the other way because their probabilities are within "
            f"{TIE:g} of the threshold, where rounding decides: {self._ties:,}.",)

    def _changed(self, found: np.ndarray, expected: np.ndarray, *, ties: bool = True) -> int:
        """Rows with another answer; with ties, those that rounding decides are counted apart."""
        if self._own is None:
            return _changed(found, expected)
        if found.shape != expected.shape or self._written is None or (
            self._written.shape != self._own.shape
        ):
            return len(expected)
        said = _said(expected)
        turned = (_said(found) >= self._written) != (said >= self._own)
        if ties:
            near = (np.abs(said - self._own) <= TIE) & (np.abs(self._written - self._own) <= TIE)
            self._ties += int((turned & near).sum())
            turned &= ~near
        return int(turned.any(axis=1).sum())


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference; infinite where shapes differ or a number is none."""
    if found.shape != expected.shape or not (
        np.isfinite(found).all() and np.isfinite(expected).all()
    ):
        return float("inf")
    return float(np.abs(found - expected).max())


def _said(outputs: np.ndarray) -> np.ndarray:
    """The probability of each label, (rows, labels)."""
    return label_calibration.probabilities(outputs)


def _cuts_in(folder: Path) -> np.ndarray | None:
    """The thresholds that were written beside the network; None where there are none."""
    told = files.read_json(folder / "preprocessing.json").get("thresholds")
    return None if told is None else np.array(told, dtype=np.float64)


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
    calm = type(network)(network.card, network.backbone)
    calm.head_settings, calm.head = network.head_settings, head
    rungs = {one["strategy"]: one["settings"] for one in leaving.plan["rungs"]}
    return Exportable(
        id=leaving.id, card=network.card, classes=leaving.classes, network=calm.eval(),
        backbone=lambda: _backbone(leaving), base=lambda: _base(leaving),
        head=network.head_settings, weight=head.linear.weight.detach(),
        bias=head.linear.bias.detach(), rung=leaving.rung, settings=rungs.get(leaving.rung, {}),
        numbers=leaving.unit is not None, thresholds=leaving.thresholds,
        config=leaving.paths.get(CONFIG), **_fed(leaving.encoder),
    )


def _fed(encoder: TextEncoder | ImageEncoder) -> dict[str, Any]:
    """How rows become what the network takes, in plain values."""
    if isinstance(encoder, ImageEncoder):
        return {"encoder": encoder.settings, "tokenizer": ""}
    return {"encoder": encoder.described(), "tokenizer": encoder.tokenizer_json}


def _backbone(leaving: Leaving) -> Any:
    """The version's network below the head as the library that it came from has it; the lean BERT
    has the names of transformers."""
    backbone = leaving.network.backbone
    if not isinstance(backbone, Bert):
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
    own = "sentences" if isinstance(leaving.encoder, TextEncoder) else "drawings"
    if "rows.arrow" in paths:
        table = arrow.read(paths["rows.arrow"])
        side = table.column(table.num_columns - 1)
        table = table.filter(pc.is_in(side, pa.array(["train", "validation"])))
        source = "rows that the version learned from"
    else:
        table = arrow.read(paths["certificate.arrow"])
        source = f"fettle's own {own}, because the version was published without its rows"
    columns = [table.column(name).to_pylist() for name in fields]
    rows = [tuple(cell or "" for cell in row) for row in zip(*columns, strict=True)]
    if isinstance(leaving.encoder, ImageEncoder):
        there = _there(_spread(rows, ROWS))
        if there:
            return there, source
        proved = arrow.read(paths["certificate.arrow"]).column(fields[0]).to_pylist()
        return [(cell,) for cell in proved], (
            "the pictures that the version was proved by, because those it learned from are not "
            "where they were")
    rows.sort(key=lambda row: sum(map(len, row)))
    return _spread(rows, ROWS), source


def _there(rows: Sequence[Fields]) -> list[Fields]:
    """The rows whose pictures are still where they were."""
    found = []
    for row in rows:
        with suppress(CorruptFile, InputError):
            pictures.content_of(row[0])
            found.append(row)
    return found


def _unit(leaving: Leaving) -> str:
    """What a batch is long in."""
    return "pixels a side" if isinstance(leaving.encoder, ImageEncoder) else "tokens"


def _spread(rows: Sequence[Fields], most: int) -> list[Fields]:
    """At most so many, at even distances, the first and the last among them."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))
    return [rows[place] for place in places]


def _batches(
    rows: Sequence[Fields], encoder: TextEncoder | ImageEncoder
) -> list[tuple[int, list[Fields]]]:
    """Batch sizes, and the rows to ask in each.

    All, the shortest first; then a few, short and long ones in turns, with one that is cut off and
    one without a word; of pictures with four drawn ones.
    """
    if isinstance(encoder, ImageEncoder):
        few = [*_spread(rows, FEW - 4), *encoder.samples()]
        return [(BATCH_ROWS, list(rows)), *((size, few) for size in SIZES)]
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
