"""The public text sets that are measured on, and the command that learns them."""

import csv
import gzip
import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import Training
from measuring import last_json

__all__ = [
    "SETS", "TextSet", "Tuned", "few_of", "model_folder", "rows_of", "sides", "some", "training",
    "tuned", "tuned_on", "written",
]


MOST_TOKENS = 256
"""Of a text, for both sides: what fettle's planning allows this encoder."""


@dataclass(frozen=True, slots=True)
class TextSet:
    """Files of one set, and which of their columns are read; the label is in `label`."""

    train: str
    test: str | None = None
    """None where the set is one file; fettle then splits it."""
    inputs: str | None = None


SETS = {
    "banking77": TextSet("train.csv", "test.csv"),
    "sst2": TextSet("train.csv", "test.csv"),
    "sms_spam": TextSet("sms_spam.csv"),
    "medical_abstracts": TextSet("train.csv.gz", "test.csv.gz"),
    "sotu_party": TextSet("sotu_party.csv.gz", inputs="text"),
}


@dataclass(frozen=True, slots=True)
class Tuned:
    """What one `fettle tune` left behind, as its files and its last line have it."""

    result: dict[str, Any]
    run: dict[str, Any]
    plan: dict[str, Any]
    evaluation: dict[str, Any]
    seconds: float
    """Of the whole command, from start to end."""

    def rung(self, name: str) -> dict[str, Any]:
        """The rung as run.json has it."""
        return next(one for one in self.run["rungs"] if one["name"] == name)

    def contender(self, name: str) -> dict[str, Any]:
        """What evaluation.json says of a rung or a baseline."""
        return next(one for one in self.evaluation["contenders"] if one["name"] == name)

    def test(self, name: str, score: str = "accuracy") -> float:
        """A contender's score on the test rows."""
        scores = self.contender(name)["scores"]
        return float(next(one["value"] for one in scores if one["name"] == score))


def tuned(
    data: Path, name: str, out: Path, *, more: Sequence[str] = (), registry: Path | None = None
) -> Tuned:
    """Run `fettle tune` on a set, with nothing set but its files and `more`.

    Args:
        data: the folder of the sets.
        name: of the set.
        out: the run's folder; it must not exist.
        more: further arguments of the command.
        registry: beside the run, where not given.
    """
    files = SETS[name]
    return tuned_on(
        data / name / files.train, data / name / files.test if files.test else None, out,
        more=(*more, *(("--inputs", files.inputs) if files.inputs else ())), registry=registry,
    )


def tuned_on(
    train: Path, test: Path | None, out: Path, *, more: Sequence[str] = (),
    registry: Path | None = None,
) -> Tuned:
    """Run `fettle tune` on files of one's own; the other arguments are those of `tuned`."""
    command = [
        str(Path(sys.executable).with_name("fettle")), "tune", str(train),
        "--target", "label", "--json", "--out", str(out),
        "--registry", str(registry or out.with_name("registry")), *more,
    ]
    command += ["--test", str(test)] if test else []
    begun = time.perf_counter()
    result = last_json(command)
    seconds = time.perf_counter() - begun
    held = {
        one: json.loads((out / f"{one}.json").read_text(encoding="utf-8"))
        for one in ("run", "plan", "evaluation")
    }
    return Tuned(result, seconds=seconds, **held)


def model_folder() -> str:
    """Where the default encoder lies, found as fettle finds it."""
    from fettle.models.sources import DEFAULT_TEXT_MODEL, resolve

    return str(resolve(DEFAULT_TEXT_MODEL).absolute())


def training(data: Path, name: str, *, rows: int | None = None, **given: Any) -> Training:
    """The job on one set with a training and a test file.

    Args:
        data: the folder of the sets.
        name: of the set.
        rows: so many of the training rows; all of them where not given.
        given: the other fields of the job.
    """
    files = SETS[name]
    assert files.test is not None, f"{name} has no test file"
    learn, judge = rows_of(data / name / files.train), rows_of(data / name / files.test)
    if rows is not None:
        learn = some(learn, rows)
    labels = sorted({row["label"] for row in learn + judge})
    number = {label: at for at, label in enumerate(labels)}
    return Training(
        model=model_folder(),
        texts=tuple(row["text"] for row in learn),
        targets=tuple(number[row["label"]] for row in learn),
        test_texts=tuple(row["text"] for row in judge),
        test_targets=tuple(number[row["label"]] for row in judge),
        classes=len(labels), max_tokens=MOST_TOKENS, **given,
    )


def written(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """A CSV file of these rows: text and label."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(["text", "label"])
        lines.writerows([row["text"], row["label"]] for row in rows)
    return path


def sides(data: Path, name: str, *, share: float = 0.2) -> tuple[list[dict[str, str]], ...]:
    """The rows to learn from and to test on: the set's own files, else every fifth row or so.

    Args:
        data: the folder of the sets.
        name: of a set with the columns text and label.
        share: that is tested on where the set is one file.
    """
    files = SETS[name]
    learn = rows_of(data / name / files.train)
    if files.test is not None:
        return learn, rows_of(data / name / files.test)
    mixed = some(learn, len(learn))
    cut = round(len(mixed) * share)
    return mixed[cut:], mixed[:cut]


def few_of(rows: Sequence[dict[str, str]], a_class: int, *, seed: int) -> list[dict[str, str]]:
    """So many rows of each class, drawn by this seed."""
    import numpy as np

    rng = np.random.default_rng(seed)
    found = []
    for label in sorted({row["label"] for row in rows}):
        own = [row for row in rows if row["label"] == label]
        found += [own[at] for at in rng.permutation(len(own))[:a_class]]
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    """Every row of a CSV file, .gz too."""
    raw = path.read_bytes()
    text = gzip.decompress(raw) if path.suffix == ".gz" else raw
    return list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline="")))


def some(rows: Sequence[dict[str, str]], count: int) -> list[dict[str, str]]:
    """This many of the rows in a fixed random order; all of them where there are fewer."""
    import numpy as np

    order = np.random.default_rng(0).permutation(len(rows))
    return [rows[number] for number in order[:count]]
