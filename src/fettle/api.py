"""The verbs from Python: the same as on the command line, with tables and frames as data."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fettle import pipeline, rebuilding, upkeep, watching
from fettle.core.audit import Audit
from fettle.core.drift import Drift
from fettle.core.errors import SettingError
from fettle.core.evaluation import Evaluation
from fettle.core.fixes import Fixes
from fettle.core.plan import Plan, Reading
from fettle.core.progress import finish
from fettle.core.rebuilt import Rebuilt
from fettle.core.settings import Settings
from fettle.core.upkeep import Collection, Event, Inspection
from fettle.core.version import Prediction, Verdict, Version

__all__ = [
    "audit", "collect", "evaluate", "history", "plan", "predict", "promote", "retrain", "rollback",
    "tune", "verify", "versions", "watch",
]

IN_PLAN = (
    "name", "task", "asked", "keep_blocks", "max_tokens", "budget_seconds", "seed", "seeds",
    "cache_limit",
)
"""Settings that a Plan has under the same name."""


def tune(data: object, **asked: Any) -> Version:
    """Everything from rows to a version; `asked` are the command's settings by their names.

    Args:
        data: a path (CSV, TSV, JSONL, Parquet, each also .gz), an Arrow table, a pandas or polars
            frame, or a `datasets.Dataset`.
        asked: target (several of 0 and 1 as a list), inputs, validation, test, encoding,
            label_separator, fixes; name, model, task, rungs,
            asked (settings of the rungs by name, such as {"schedule": "linear"}), keep_blocks,
            max_tokens, augment, budget_seconds, seed, seeds, allow, out, registry, guard,
            keep_rows; or plan, a Plan to follow.
            model is a name; or a torch.nn.Module, or the function that makes one, that can be
            imported where the version is to be opened.

    Raises:
        FettleError: the message says what, where, and what next.
    """
    given: Plan | None = asked.pop("plan", None)
    source, settings = _settings(data, asked)
    if given is not None:
        _require_no_other(given, settings)
    return finish(pipeline.build(settings, given=given, source=source))


def audit(data: object, *, deep: bool = False, **asked: Any) -> Audit:
    """What is wrong with the rows; takes what `tune` takes.

    Args:
        data: as for `tune`.
        deep: also look with a frozen encoder: label errors, outliers, more near duplicates.
        **asked: the settings of `tune`.
    """
    source, settings = _settings(data, asked)
    return finish(pipeline.audit(settings, deep=deep, source=source))[1]


def plan(data: object, **asked: Any) -> Plan:
    """What would be done, why, how long and with how much memory; takes what `tune` takes."""
    source, settings = _settings(data, asked)
    return pipeline.plan(settings, source=source)


def predict(
    version: Version | str, rows: object, *, registry: str = ".fettle"
) -> list[Prediction]:
    """One answer for each row.

    Args:
        version: a Version, NAME (its champion), NAME@N, or a version's folder.
        rows: texts, or tuples of texts in the order of the model's inputs; a path, table or frame.
        registry: the registry's folder, for a version that is given by name.
    """
    reference = version.folder if isinstance(version, Version) else version
    return pipeline.predict(reference, rows, registry=registry)[0]


def evaluate(
    version: Version | str, data: str | Path, *, registry: str = ".fettle"
) -> Evaluation:
    """The version's scores, with intervals, on new rows that carry answers."""
    reference = version.folder if isinstance(version, Version) else version
    return pipeline.evaluate(reference, Path(data), registry=registry)


def promote(
    version: Version | str, *, registry: str = ".fettle", force: bool = False, reason: str = "",
    actor: str | None = None,
) -> Verdict:
    """Make a version champion where every gate lets it through; the Verdict says what each said.

    Args:
        version: a Version, NAME@N or NAME@challenger.
        registry: a folder or a URL.
        force: move the pointer whatever the gates say; needs a reason.
        reason: for the log.
        actor: for the log; by default user@host.

    Raises:
        PointerMoved: somebody moved the champion meanwhile.
    """
    reference = version.id if isinstance(version, Version) else version
    return finish(
        upkeep.promote(reference, registry=registry, force=force, reason=reason, actor=actor)
    )


def watch(
    version: Version | str, data: object | None = None, *, journal: bool = False,
    time: str | None = None, window: int | None = None, registry: str = ".fettle",
) -> Drift:
    """How far what arrived lies from what a version was tested on.

    Args:
        version: a Version, NAME (its champion), NAME@N, or a version's folder.
        data: a file or table of rows; None with `journal`.
        journal: the answers that it gave, from its journal.
        time: the column that says when a row came.
        window: rows of a window; by itself where not given.
        registry: a folder or a URL.
    """
    reference = version.id if isinstance(version, Version) else version
    return finish(watching.watch(
        reference, data, registry=registry, journal=journal, time=time, window=window
    ))


def retrain(
    name: str, data: object, *, promote: bool = False, registry: str = ".fettle", **asked: Any
) -> Rebuilt:
    """A challenger that learned from the champion's rows and from reviewed new ones.

    Args:
        name: of the model.
        data: a file or table of rows with labels.
        promote: ask the gate, and make it champion where every gate lets it through.
        registry: a folder or a URL.
        asked: starts, rungs, budget_seconds, seed, reason, actor.
    """
    return finish(rebuilding.rebuild(name, data, promote=promote, registry=registry, **asked))


def rollback(
    name: str, *, to: int | None = None, registry: str = ".fettle", reason: str = "",
    actor: str | None = None,
) -> str:
    """Make the champion before champion again, or version `to`; the id of who is champion now."""
    done = upkeep.rollback(name, to=to, registry=registry, reason=reason, actor=actor)
    return str(done["champion"])


def versions(name: str | None = None, *, registry: str = ".fettle") -> list[dict[str, Any]]:
    """Every version, oldest first, with its pointers and its test scores."""
    return upkeep.versions(name, registry=registry)


def history(name: str | None = None, *, registry: str = ".fettle") -> list[Event]:
    """What happened, when, who did it and why; oldest first."""
    return upkeep.history(name, registry=registry)


def verify(*, registry: str = ".fettle") -> Inspection:
    """Everything in the registry, read once more; its `problems` are empty where all is well."""
    return upkeep.inspect(registry=registry)


def collect(
    *, registry: str = ".fettle", keep: int | None = None, grace_days: float = 1.0,
    dry: bool = False,
) -> Collection:
    """Remove files that no version needs; with `keep`, give up old versions first."""
    return upkeep.collect(registry=registry, keep=keep, grace_days=grace_days, dry=dry)


def _require_no_other(given: Plan, asked: Settings) -> None:
    """That nothing is asked for that a given plan says otherwise."""
    said = {name: (getattr(asked, name), getattr(given, name)) for name in IN_PLAN}
    said["rungs"] = ({*asked.rungs} if asked.rungs else None,
                     {rung.strategy for rung in given.rungs})
    usual = Settings()
    for name, (one, other) in said.items():
        if one != getattr(usual, name) and one != other:
            raise SettingError(f"{name} is {one!r}, and {other!r} in the plan that is given with "
                               "it. Change the plan, or leave one of the two out.")


def _settings(data: object, asked: dict[str, Any]) -> tuple[object | None, Settings]:
    """The table, where it is one, and everything asked for, each name known."""
    reading = {k: asked.pop(k) for k in list(asked) if k in Reading.__dataclass_fields__}
    for given, key in ((reading, "inputs"), (reading, "slices"), (asked, "rungs"),
                       (asked, "allow"), (asked, "guard")):
        if isinstance(given.get(key), Iterable):
            given[key] = (given[key],) if isinstance(given[key], str) else tuple(given[key])
    if isinstance(reading.get("target"), list | tuple):  # columns of 0 and 1
        reading["target"] = ",".join(reading["target"])
    for key in ("validation", "test"):
        if isinstance(reading.get(key), Path):
            reading[key] = str(reading[key])
    if isinstance(reading.get("fixes"), str | Path):
        reading["fixes"] = Fixes(str(reading["fixes"]))
    for name in asked:
        if name not in Settings.__dataclass_fields__:
            from fettle.core.errors import unknown_name

            known = {*Settings.__dataclass_fields__, *Reading.__dataclass_fields__} - {"reading"}
            raise unknown_name("setting", name, known)
    if "model" in asked and not isinstance(asked["model"], str | None):
        from fettle.models.from_module import named

        asked["model"] = named(asked["model"])
    settings = Settings(**asked)
    if isinstance(data, str | Path):
        return None, replace(settings, reading=Reading(data=str(data), **reading))
    return data, replace(settings, reading=Reading(**reading))
