"""Rebuilding: from a champion and reviewed rows to a challenger that was judged on every vault.

The ladder is climbed anew from the pre-trained model and from the champion's own backbone; what
does best on the validation rows is published. The pointer moves through the gate, when asked.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fettle import pipeline, upkeep
from fettle.core.errors import FettleError, ModelUnavailable, SettingError
from fettle.core.labelling import people_of
from fettle.core.plan import Reading, Setting
from fettle.core.progress import Note
from fettle.core.rebuilt import Rebuilt, Start
from fettle.core.settings import Settings
from fettle.core.version import Verdict
from fettle.store import arrow
from fettle.store.places import runs_folder

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from fettle.core.run import Run
    from fettle.core.score import Comparison
    from fettle.stages.serving import Opened
    from fettle.store.registry import Registry

__all__ = ["STARTS", "rebuild"]

STARTS = ("base", "champion")
FROZEN = "features"
"""The rung that leaves the backbone as it came: to start from it is to start from the base."""


def rebuild(
    name: str, source: object, *, registry: str = ".fettle", starts: Sequence[str] = STARTS,
    budget_seconds: float | None = None, rungs: tuple[str, ...] | None = None,
    asked: Mapping[str, Setting] | None = None, seed: int = 0,
    promote: bool = False, reason: str = "", actor: str | None = None,
) -> Generator[Any, None, Rebuilt]:
    """A challenger that learned from the champion's rows and from reviewed new ones.

    Args:
        name: of the model; its champion is what is retrained.
        source: a file or table of reviewed rows, with labels.
        registry: a folder or a URL.
        starts: base, champion, or both: where training starts.
        budget_seconds: for training, shared by the starts.
        rungs: to climb; by the plan where not given.
        asked: settings of the rungs, by name; what the champion was asked for stays, where this
            does not say otherwise.
        seed: of the draw of fresh test rows, and of the plan.
        promote: make it champion where every gate lets it through; else the gates are asked and
            what they said is written down.
        reason: for the log.
        actor: for the log; by default user@host.

    Yields:
        What `pipeline.build` yields, and Notes; last the Rebuilt, which is returned too.

    Raises:
        SettingError: the champion does not hold its rows, or the new ones have no labels.
        InputError: no new row is left to learn from.
    """
    from fettle.stages import serving
    from fettle.store.registry import Registry

    _require_possible(name, starts)
    held = Registry(registry, create=False)
    rung = str(held.find(name)[2].get("rung", ""))
    opened = serving.open_version(name, registry)
    table, notes = _rows(opened, source, seed)
    yield from (Note(one) for one in notes)
    settings = replace(_settings(opened, name, registry, seed, rungs), asked=asked or {})
    models, untold = _models(opened, rung, registry, starts)
    yield from (Note(one) for one in untold)
    share = budget_seconds and budget_seconds / len(models)
    tried = yield from _climbed(replace(settings, budget_seconds=share), table, models)
    best = max(tried, key=lambda one: one.validation.value)
    yield Note(f"From {best.name} did best on the validation rows: {best.validation}.")
    chosen = replace(settings, budget_seconds=share, model=best.model)
    version = yield from pipeline.build(chosen, source=table)
    compared = _on_every_vault(held, opened, version.id)
    verdict = yield from _gated(version.id, promote, registry, reason, actor)
    rebuilt = Rebuilt(
        version=version.id, champion=opened.id, start=best.name,
        starts=tried, vaults=compared, verdict=verdict, notes=notes,
        measure=opened.task.judge.by_row.name,
    )
    yield rebuilt
    return rebuilt


def _gated(
    version: str, promote: bool, registry: str, reason: str, actor: str | None
) -> Generator[Any, None, Verdict | None]:
    """What the gates say; where nothing is to be promoted, None if they cannot be asked."""
    try:
        return (yield from upkeep.promote(
            version, registry=registry, dry=not promote, reason=reason, actor=actor
        ))
    except FettleError as error:
        if promote:
            raise
        yield Note(f"The gates could not be asked: {error}")
        return None


def _climbed(
    settings: Settings, table: "pa.Table", models: dict[str, str]
) -> Generator[Any, None, tuple[Start, ...]]:
    """The ladder from each start, on the same rows and the same validation rows."""
    tried = []
    for start, model in models.items():
        yield Note(f"From {start}: {model}.")
        run: Run = yield from pipeline.climb(replace(settings, model=model), source=table)
        tried.append(Start(start, model, run.kept, run.rung(run.kept).validation))
    return tuple(tried)


def _require_possible(name: str, starts: Sequence[str]) -> None:
    """What was asked for can be meant, before anything is read."""
    for one in starts:
        if one not in STARTS:
            raise SettingError(f"--start is {one!r}; choose base, champion, or both.")
    if "@" in name:
        raise SettingError(f"retrain takes the name alone, and its champion's rows: {name!r}.")


def _rows(
    opened: "Opened", source: object, seed: int
) -> "tuple[pa.Table, tuple[str, ...]]":
    """The champion's rows and the new ones, each with its part."""
    from fettle.core.columns import strings
    from fettle.formats.label_columns import joined
    from fettle.stages import reading, retraining

    if "rows.arrow" not in opened.paths:
        raise SettingError(
            f"{opened.id} was published without its rows (--no-keep-rows), so there is nothing to "
            "add the new ones to. Put both in one file and give it to fettle tune --name."
        )
    schema = opened.schema
    new = reading.read_unlabelled(source, schema)
    if new.schema.target is None:
        raise SettingError(
            f"{new.name} has no column {schema.target!r}. Only reviewed rows are learned from: "
            "fettle label suggest, then fettle label read."
        )
    fresh = new.table.select([*schema.inputs, schema.target]).append_column(
        "row id", strings(list(new.ids))
    )
    table, notes = retraining.assemble(
        arrow.read(opened.paths["rows.arrow"]), fresh, inputs=schema.inputs,
        target=str(schema.target), seed=seed, task=schema.task, people=people_of(new),
    )
    if schema.several is not None:  # as the old file had them, so that the new version reads such
        table = joined(table, str(schema.target), schema.several)
    return table, notes


def _settings(
    opened: "Opened", name: str, registry: str, seed: int, rungs: tuple[str, ...] | None
) -> Settings:
    """As the champion was made, as far as its plan says."""
    schema = opened.schema
    return Settings(
        reading=Reading(target=schema.target, inputs=schema.inputs,
                        label_separator=schema.several),
        name=name, seed=seed, registry=registry, rungs=rungs, task=opened.plan["task"],
        keep_blocks=opened.plan.get("keep_blocks"), augment=_augment(opened.plan),
        max_tokens=opened.plan["max_tokens"] if schema.modality == "text" else None,
        handed_on=opened.plan.get("asked", {}),
    )


def _augment(plan: Mapping[str, Any]) -> str | None:
    """The `--augment` that changes rows as this plan does, None for what is usual.

    Views that the plan gave up, because there were no more epochs than views, are its live epochs.
    """
    if texts := plan.get("texts"):
        return ",".join(f"{name}={share}" for name, share in texts.items() if share)
    pictures = plan.get("pictures") or {}
    numbers = {name: pictures.get(name, 0) for name in ("erasing", "mixup", "cutmix")}
    numbers["views"] = pictures.get("views", 0) or pictures.get("live", 0)
    kind = pictures.get("augment", "light")
    if kind == "light" and not any(numbers.values()):
        return None
    return ",".join((kind, *(f"{name}={number}" for name, number in numbers.items())))


def _models(
    opened: "Opened", rung: str, registry: str, starts: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The model of each start, and why one is left out."""
    from fettle.models.cards import card_of
    from fettle.models.handing_on import hand_on
    from fettle.models.network import TextNetwork
    from fettle.store import files

    found: dict[str, str] = {}
    notes = []
    base = opened.plan["model"]
    tuned = rung != FROZEN
    if "base" in starts or not tuned:
        try:
            card_of(base)
            found["base"] = base
        except ModelUnavailable as error:
            notes.append(f"The pre-trained model is not here any more: {error}")
    if "champion" in starts and tuned and isinstance(opened.network, TextNetwork):
        folder = runs_folder(registry).parent / "retraining" / opened.id
        config = opened.paths["config.json"]
        hand_on(opened.network, config, opened.paths["tokenizer.json"], folder)
        found["champion"] = str(folder)
        files.write_json(folder / "from.json", {"version": opened.id, "base": base})
    elif "champion" in starts and tuned:
        notes.append(f"{opened.id} reads pictures, and such networks are tuned from the "
                     "pre-trained model only.")
    elif "champion" in starts:
        notes.append(f"{opened.id} left the backbone as it came, so to start from it is to start "
                     "from the pre-trained model.")
    if not found:
        raise SettingError(f"There is nothing to start from. {' '.join(notes)}")
    return found, tuple(notes)


def _on_every_vault(
    held: "Registry", champion: "Opened", version: str
) -> "tuple[Comparison, ...]":
    """The new version against the champion on the test rows that each version brought."""
    from fettle.stages import retraining, serving

    name = version.partition("@")[0]
    schema = champion.schema
    tables, tests = [], {}
    for one in held.versions(name):
        if one["collected"] or "rows.arrow" not in one["manifest"]["files"]:
            continue
        id = f"{name}@{one['number']}"
        paths = held.paths({"files": {"rows.arrow": one["manifest"]["files"]["rows.arrow"]}})
        table = arrow.read(paths["rows.arrow"])
        if {*schema.inputs, str(schema.target)} <= set(table.column_names):
            tables.append((id, table))
            tests[id] = str(one["manifest"].get("lineage", {}).get("test_rows", id))
    challenger = serving.open_files(version, held.paths(held.find(version)[2]))
    compared = []
    known = frozenset[tuple[str, ...]]().union(*(
        retraining.learned(arrow.read(one.paths["rows.arrow"]), schema.inputs)
        for one in (champion, challenger) if "rows.arrow" in one.paths
    ))
    for id, (fields, labels) in retraining.vault_rows(
        tables, schema.inputs, str(schema.target), known
    ).items():
        held.count_opening(tests[id], f"retrain: {version} against {champion.id}")
        by_row = champion.task.judge.by_row
        values = [_values(one, fields, labels) for one in (champion, challenger)]
        compared.append(replace(
            by_row.compare(champion.id, version, *values), metric=f"test rows of {id}"
        ))
    return tuple(compared)


def _values(
    opened: "Opened", fields: Sequence[tuple[str, ...]], labels: Sequence[str]
) -> "np.ndarray":
    judge = opened.task.judge
    return judge.values(judge.said(opened.outputs(fields)), judge.truth(labels))
