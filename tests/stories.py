"""Stories to tell in tests: a tiny model on the disk, rows that it can learn, and finished runs.

`told` and its like are made once a session; whoever alters a run or a registry copies it first.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patience import PATIENCE

OWN = {
    "lost card": ("card", "lost", "stolen"),
    "top up": ("top", "up", "money"),
    "late payment": ("pay", "late", "now"),
}
"""The words of each class; "my" and "is" belong to none."""
NEUTRAL = ("my", "is")
NAMES = tuple(OWN)
Row = tuple[str, str]
FEWEST = 200
SMALL = f"from fettle.stages import splitting; splitting.FEWEST_FOR_VALIDATION = {FEWEST}; "
"""Stories are small: from so many learning rows on they have a validation part, also where they are
told in a process of its own."""


def texts_and_labels(
    number: int, *, seed: int = 0, names: Sequence[str] = NAMES, without: Collection[Row] = ()
) -> list[Row]:
    """(text, label) rows in turns, no text twice, mostly of the words of their class.

    Args:
        number: how many.
        seed: of the words.
        names: of the classes, which stand for the first so many in OWN.
        without: rows whose texts are not to come again, nor nearly.
    """
    rng = np.random.default_rng(seed)
    words = list(OWN.values())
    seen = {text for text, _ in without}
    rows: list[Row] = []
    while len(rows) < number:
        of = len(rows) % len(names)
        some = rng.choice(words[of], rng.integers(3, 7)).tolist()
        if rng.random() < 0.5:
            some.insert(int(rng.integers(len(some))), str(rng.choice(NEUTRAL)))
        text = " ".join(some)
        if text not in seen and not any(_nearly(text, other) for other, _ in without):
            seen.add(text)
            rows.append((text, names[of]))
    return rows


def _nearly(one: str, other: str) -> bool:
    """The audit would call the two texts near twins."""
    first, second = ({text[at : at + 5] for at in range(len(text) - 4)} for text in (one, other))
    return len(first & second) >= 0.8 * len(first | second)


def write_rows(
    path: Path, rows: Iterable[Sequence[str]], *, header: Sequence[str] = ("text", "label")
) -> Path:
    """A CSV file of these rows."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output; anything else there is an error."""
        return json.loads(self.out)


class Fettle:
    """The command line: in this process when called, or in a process of its own."""

    def __init__(self, machine: Path, capture: pytest.CaptureFixture[str]) -> None:
        self._machine, self._capture = machine, capture

    def __call__(self, *arguments: object) -> Done:
        """The same code from argv to exit code, without the seconds that a start takes."""
        from fettle import cli

        self._capture.readouterr()
        given = [str(one) for one in arguments]
        with pinned(self._machine):
            code = cli._guarded(lambda: cli.app(given, standalone_mode=False))
        said = self._capture.readouterr()
        return Done(code, said.out, said.err)

    def start(
        self, *arguments: object, folder: Path, input: bool = False, before: Any = None,
        **environment: str,
    ) -> subprocess.Popen[str]:
        """A process, started and not waited for; `before` runs in it, before Python does."""
        return _started(self._machine, arguments, folder, input, before, environment)

    def fresh(
        self, *arguments: object, folder: Path, input: str | None = None, before: Any = None,
        **environment: str,
    ) -> Done:
        """A process, to its end."""
        return fettle_in(
            self._machine, *arguments, folder=folder, input=input, before=before, **environment
        )


def fettle_in(
    machine: Path, *arguments: object, folder: Path, input: str | None = None, before: Any = None,
    **environment: str,
) -> Done:
    """The command line in a process of its own, to its end; for fixtures of a module."""
    process = _started(machine, arguments, folder, input is not None, before, environment)
    out, err = process.communicate(input, timeout=PATIENCE)
    return Done(process.returncode, out, err)


def _started(
    machine: Path, arguments: Sequence[object], folder: Path, input: bool, before: Any,
    environment: Mapping[str, str],
) -> subprocess.Popen[str]:
    told = {"XDG_CACHE_HOME": str(machine), "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}
    return subprocess.Popen(
        [sys.executable, "-c", SMALL + "from fettle.cli import main; main()",
         *map(str, arguments)],
        cwd=folder, env={**os.environ, **told, **environment}, text=True, preexec_fn=before,
        stdin=subprocess.PIPE if input else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )


@dataclass
class Told:
    """A story that was told: every noun by its type, and the sentences of its Notes."""

    folder: Path
    nouns: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.nouns:
            raise AttributeError(name)
        return self.nouns[name]

    @property
    def registry(self) -> Path:
        return self.folder / ".fettle"

    @property
    def run_folder(self) -> Path:
        return Path(self.run.folder)

    def weights(self, rung: str) -> str:
        return digest(self.run_folder / "rungs" / rung / "model.safetensors")


def digest(path: Path) -> str:
    from fettle.store import files

    return files.sha256(path)


@contextmanager
def pinned(machine: Path) -> Iterator[None]:
    """What is measured of this machine is what this folder says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(machine))
        yield


def _tell(folder: Path, data: Path, model: Path, given: Any, asked: dict[str, Any]) -> Told:
    from fettle import pipeline
    from fettle.core.plan import Reading
    from fettle.core.settings import Settings

    folder.mkdir(exist_ok=True)
    reading = {k: asked.pop(k) for k in list(asked) if k in Reading.__dataclass_fields__}
    registry = asked.pop("registry", str(folder / ".fettle"))
    settings = Settings(
        reading=Reading(data=str(data), **reading), model=str(model), registry=registry, **asked
    )
    told = Told(folder)
    for event in pipeline.build(settings, given=given):
        kind = type(event).__name__.lower()
        if kind == "note":
            told.notes.append(event.sentence)
        elif kind not in ("progress", "step", "epoch"):
            told.nouns[kind] = event
    return told


def copy_of(told: Told, folder: Path) -> Told:
    """The same story in another folder, its run's paths moved along."""
    shutil.copytree(told.folder, folder, dirs_exist_ok=True)
    run = replace(told.run, folder=str(folder / told.run_folder.relative_to(told.folder)))
    return Told(folder, {**told.nouns, "run": run}, list(told.notes))


def asked(told: Told, **changed: Any) -> Any:
    """The settings of the same command, with what is asked for otherwise."""
    from fettle.core.settings import Settings

    given = {"reading": told.plan.reading, "model": told.plan.model,
             "registry": str(told.registry), **changed}
    return Settings(**given)


def last_of(story: Iterable[Any]) -> Any:
    """What a story ends with."""
    return list(story)[-1]


def flip_byte(path: Path, at: int = -1) -> None:
    """Another byte there, the rest as it was."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that says of this machine what no measurement says of it.

    A plan hangs on what was measured, and that on whatever else ran meanwhile. One thread and
    fp32, so that tiny networks are quick beside other processes.
    """
    from fettle.core.plan import Attention, Machine, Products, Threads
    from fettle.engine import calibrate
    from fettle.store import records

    home = tmp_path_factory.mktemp("cache")
    made = Machine(
        "a processor", 1, 2**34, None, False, 1e11, 5e10, calm=True, versions={},
        probes=calibrate.VERSION, products=(Products(64, 384, 384, 1e11, 5e10),),
        threads=1, tried=(Threads(1, 1e11),), attention=(Attention("fp32", 32, 0.002, 0.001),),
        optimizer_seconds=5e-4, memory_bytes_per_second=1e10, disk_read_bytes_per_second=1e9,
        disk_write_bytes_per_second=5e8,
    )
    records.save(home / "fettle" / f"machine-{calibrate._key()}.json", made)
    return home


@pytest.fixture(scope="session")
def tell(machine: Path) -> Callable[..., Told]:
    """tell(folder, data, model=...): the whole story, told in this folder.

    Further keywords are fields of Settings and of Reading, or `given`, a Plan.
    """

    def whole(
        folder: Path, data: Path, *, model: Path, given: Any = None, **asked: Any
    ) -> Told:
        with pinned(machine):
            return _tell(folder, data, model, given, asked)

    return whole


@pytest.fixture
def fettle(machine: Path, capsys: pytest.CaptureFixture[str]) -> Fettle:
    return Fettle(machine, capsys)


@pytest.fixture
def on_this_machine(machine: Path) -> Iterator[None]:
    """For tests that call the verbs themselves."""
    with pinned(machine):
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two blocks in a folder, as transformers saves it."""
    from small import bert

    folder = tmp_path_factory.mktemp("models") / "tiny"
    bert(folder, hidden_size=32)
    return folder


@pytest.fixture(scope="session")
def sentences(tiny: Path) -> Path:
    """The same, with the files that say that it embeds sentences."""
    folder = tiny.parent / "sentences"
    shutil.copytree(tiny, folder)
    kinds = (("Transformer", ""), ("Pooling", "1_Pooling"))
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    """Three classes, as many learning rows as give a validation part."""
    return texts_and_labels(300)


@pytest.fixture(scope="session")
def told(
    tmp_path_factory: pytest.TempPathFactory, tell: Any, sentences: Path, rows: list[Row]
) -> Told:
    """A finished story on 300 rows: a validation part, and both rungs. Do not alter it."""
    folder = tmp_path_factory.mktemp("told")
    return tell(folder, write_rows(folder / "tickets.csv", rows), model=sentences)


@pytest.fixture(scope="session")
def told_of_few(tmp_path_factory: pytest.TempPathFactory, tell: Any, tiny: Path) -> Told:
    """The same on 90 rows: no validation part, every choice out of fold."""
    folder = tmp_path_factory.mktemp("few")
    return tell(folder, write_rows(folder / "few.csv", texts_and_labels(90, seed=1)), model=tiny)
