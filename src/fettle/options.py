"""What the commands take: each option once, and how its text is read."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fettle.core.errors import SettingError
from fettle.core.plan import Setting

__all__ = [
    "HERE", "Allow", "Approved", "Augment", "Blobs", "Budget", "CacheLimit", "Data", "Encoding",
    "Group", "Guard", "Head", "Inputs", "Json", "KeepBlocks", "LabelSeparator", "LearningRate",
    "Loss", "MaxTokens", "Model", "Name", "Out", "Registry", "Reinit", "Rungs", "SaveEvery",
    "Schedule", "Seed", "Seeds", "Set", "Slices", "Smoothing", "StopBy", "Strategy", "Target",
    "Task", "Test", "Time", "Validation", "Version",
    "asked", "many", "one_or_many", "seconds", "size", "text", "texts",
]

Data = Annotated[Path | None, typer.Argument(help="CSV, TSV, JSONL or Parquet, also .gz")]
Target = Annotated[
    str | None, typer.Option(help="The column to predict; several of 0 and 1, with commas")
]
Inputs = Annotated[str | None, typer.Option(help="Columns to read, with commas between them")]
Validation = Annotated[Path | None, typer.Option(help="Rows that tune, in a file of their own")]
Test = Annotated[Path | None, typer.Option(help="Rows that judge, in a file of their own")]
Encoding = Annotated[str | None, typer.Option(help="Of the files; UTF-8 where not given")]
Approved = Annotated[Path | None, typer.Option(help="Fixes to apply, from `fettle audit --fix`")]
Group = Annotated[str | None, typer.Option(help="Rows with equal cells here stay on one side")]
Time = Annotated[str | None, typer.Option(help="The newest rows by this column judge")]
Slices = Annotated[str | None, typer.Option(help="Columns whose values are judged apart")]
Guard = Annotated[
    list[Path] | None,
    typer.Option(help="Labelled rows of another task, to see what was forgotten"),
]
Model = Annotated[str | None, typer.Option(help="A folder, a hub name, or name@revision")]
Task = Annotated[
    str | None,
    typer.Option(help="classification, multi-label or regression; found if not given"),
]
LabelSeparator = Annotated[
    str | None,
    typer.Option(help="What stands between several labels in one cell, such as |; list for JSON"),
]
Strategy = Annotated[str | None, typer.Option(help="Climb just this rung")]
Rungs = Annotated[str | None, typer.Option(help="Rungs to climb, such as features,full")]
Schedule = Annotated[
    str | None,
    typer.Option(help="constant, linear, cosine, one-cycle, slanted, cyclical or restarts"),
]
LearningRate = Annotated[
    str | None, typer.Option(help="Of the top block; `find` measures it with a range test")
]
Loss = Annotated[
    str | None, typer.Option(help="plain, weighted or adjusted (rare classes), huber (outliers)")
]
Smoothing = Annotated[
    float | None, typer.Option("--label-smoothing", help="Share spread over all classes")
]
StopBy = Annotated[
    str | None, typer.Option(
        help="metric, loss, accuracy, macro_f1, macro_precision, macro_recall, r2, spearman")
]
Head = Annotated[str | None, typer.Option(help="linear or mlp: one hidden layer")]
Reinit = Annotated[
    int | None, typer.Option("--reinit-top", help="Blocks at the top that begin at random")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of the rungs, such as dropout=0.2")
]
Augment = Annotated[
    str | None,
    typer.Option(help="Pictures: none, light, trivial, rand; mixup=A, cutmix=A, erasing=P, views=K."
                      " Texts: deletion=P, swap=P, mask=P. With commas between them"),
]
KeepBlocks = Annotated[
    int | None, typer.Option(help="The network's first so many blocks; the others are left away")
]
MaxTokens = Annotated[int | None, typer.Option(help="Of a text; longer ones are cut there")]
Budget = Annotated[str | None, typer.Option(help="Time for training, such as 90s, 15m, 2h")]
CacheLimit = Annotated[
    str | None,
    typer.Option(help="Disk that kept states of frozen blocks may take, such as 2GB; 0 for none"),
]
SaveEvery = Annotated[str, typer.Option(help="Between checkpoints inside an epoch")]
Seed = Annotated[int | None, typer.Option(help="Of every random number; 0 if not given")]
Seeds = Annotated[
    int | None, typer.Option(help="Climb the kept rung with so many, to see the spread")
]
Name = Annotated[str | None, typer.Option(help="Of the version; the file's stem if not given")]
Out = Annotated[Path | None, typer.Option(help="The run's folder")]
Allow = Annotated[str | None, typer.Option(help="Checks whose blockers do not stop, with commas")]
Registry = Annotated[str, typer.Option(help="The registry: a folder, or postgresql://...")]
Blobs = Annotated[str | None, typer.Option(help="Where a new registry's files go: folder or URL")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output")]
Version = Annotated[str, typer.Argument(help="NAME (its champion), NAME@N or a version's folder")]
HERE = ".fettle"


def text(path: Path | None) -> str | None:
    """A path as text; nothing stays nothing."""
    return None if path is None else str(path)


def texts(given: Sequence[str]) -> list[str]:
    """What was typed, as UTF-8 has it, whatever the locale made of it.

    Raises:
        SettingError: a text is no UTF-8.
    """
    try:
        return [os.fsencode(one).decode("utf-8") for one in given]
    except UnicodeError as error:
        raise SettingError(
            f"A text is not UTF-8: {error}. Give it in a file with --input, or set LC_ALL=C.UTF-8."
        ) from error


def many(text: str | None) -> tuple[str, ...]:
    """The parts between commas."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def one_or_many(strategy: str | None, rungs: str | None) -> tuple[str, ...] | None:
    """The one rung of --strategy, or those of --rungs."""
    if strategy and rungs:
        raise SettingError("--strategy runs one rung and --rungs several; give one of the two.")
    return (strategy,) if strategy else many(rungs) or None


def asked(
    schedule: str | None = None, learning_rate: str | None = None, loss: str | None = None,
    label_smoothing: float | None = None, stop_by: str | None = None, head: str | None = None,
    reinit_top: int | None = None, others: Sequence[str] | None = None,
) -> dict[str, Setting]:
    """Settings of the rungs, by name, that the options and the lines NAME=VALUE ask for."""
    named: dict[str, Setting | None] = {
        "schedule": schedule, "loss": loss, "label_smoothing": label_smoothing,
        "stop_by": stop_by, "head": head, "reinit_top": reinit_top,
    }
    if learning_rate == "find":
        named["rate_by"] = "find"
    elif learning_rate is not None:
        named["rate"] = learning_rate
    for line in others or ():
        name, is_there, value = (part.strip() for part in line.partition("="))
        if not (name and is_there and value):
            raise SettingError(f"--set is {line!r}; such as --set dropout=0.2 is what it takes.")
        if named.get(name) is not None:
            raise SettingError(f"{name} is asked for twice; give it once.")
        named[name] = value
    return {name: value for name, value in named.items() if value is not None}


def seconds(text: str | None, option: str = "--budget") -> float | None:
    """90, 90s, 15m and 2h as seconds."""
    if text is None:
        return None
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        found = float(number) * units[unit]
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise SettingError(f"{option} is {text!r}; such as 90s, 15m or 2h is what it takes.")
    return found


def size(text: str | None, option: str) -> int | None:
    """500MB, 2GB, 1.5 GiB and 0 as bytes."""
    if text is None:
        return None
    units = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
             "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if found is None or found[2].lower() not in units:
        raise SettingError(f"{option} is {text!r}; such as 500MB, 2GB or 0 is what it takes.")
    return int(float(found[1]) * units[found[2].lower()])
