"""Witnesses: what a run is held against beside its test rows.

Labelled rows of other tasks, on which nothing should be forgotten, and the version before.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from fettle.core.dataset import Dataset
from fettle.core.plan import Plan, Reading
from fettle.core.run import Run
from fettle.core.settings import Settings
from fettle.core.split import Split
from fettle.store import records, runs

if TYPE_CHECKING:
    from fettle.store.registry import Registry

__all__ = ["called", "guards", "moot", "version_before"]

SHARED = 0.05
"""Of the rows that guard: where more of them are the run's own, they guard nothing."""


def guards(
    given: Sequence[str], dataset: Dataset, run: Run
) -> tuple[list[Dataset], tuple[str, ...]]:
    """Labelled rows of other tasks: those given, else the messages that come with fettle.

    None where the kept backbone was not changed, and none that the run itself learns from.
    """
    from fettle.stages import reading

    if not run.rung(run.kept).history:
        return [], _unread(given)
    if given:
        asked = (Reading(data=path) for path in given)
        return [reading.read(one, task="classification") for one in asked], ()
    if dataset.schema.modality != "text":
        return [], ()
    own = str(resources.files("fettle") / "data" / "messages.csv")
    messages = reading.read(Reading(data=own, target="label"), name="fettle's own messages")
    learned = {" ".join(fields).casefold() for fields in dataset.fields()}
    shared = sum(" ".join(fields).casefold() in learned for fields in messages.fields())
    if shared > SHARED * messages.rows:
        return [], (
            "What was forgotten is not measured: the rows that come with fettle for that are those "
            "of this run. Give a labelled file of another task with --guard.",
        )
    return [messages], ()


def called(settings: Settings, made: Plan, folder: Path) -> tuple[Settings, Plan]:
    """The same, with this command's slices, guards and seeds beside those of the run so far."""
    columns, known = runs.judged_by(folder)
    slices = dict.fromkeys((*made.reading.slices, *columns, *settings.reading.slices))
    guard = dict.fromkeys((*(one for one in known if Path(one).exists()), *settings.guard))
    return (
        replace(settings, guard=tuple(guard)),
        replace(made, reading=replace(made.reading, slices=tuple(slices)),
                seeds=max(made.seeds, runs.seeds_of(folder))),
    )


def moot(given: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Why guards need not be read for a finished run; nothing where they must."""
    path = folder / "run.json"
    if not given or not path.is_file():
        return ()
    run = records.load(path, Run)
    return () if run.rung(run.kept).history else _unread(given)


def _unread(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"--guard {path} is not read: the backbone was not changed, so nothing is forgotten."
        for path in given
    )


def version_before(
    made: Plan, split: Split, registry: "Registry", place: str
) -> tuple[Callable[[Sequence[tuple[str, ...]]], tuple[str, list[str]]] | None, tuple[str, ...]]:
    """The champion of this name, where it was tested on these very rows and so never saw them."""
    held = [one for one in registry.versions() if one["champion"] and one["name"] == made.name]
    if not held or held[0]["manifest"]["plan"] == made.id:  # its own: this run was stopped late
        return None, ()
    from fettle.stages import serving

    name = f"{made.name}@{held[0]['number']}"
    if held[0]["manifest"]["task"] != made.task:
        return None, (f"{name} answers another task: it is not compared with row by row.",)
    if held[0]["manifest"]["lineage"].get("test_rows") != split.vault.fingerprint:
        return None, (
            f"{name} is not compared with row by row: it was tested on other rows, and may have "
            "learned from these.",
        )

    def answers(fields: Sequence[tuple[str, ...]]) -> tuple[str, list[str]]:
        opened = serving.open_version(name, place)
        said = opened.task.predictions(opened.outputs(fields), [""] * len(fields), name)
        return name, [str(one.value) for one in said]  # as the target's cells have it

    return answers, ()
