"""Watching: the story of a version in production: watched, labelled where it pays, decided on.

Nothing here trains and nothing moves a pointer.
"""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fettle.core.drift import Arrived, Decision, Drift, Portrait
from fettle.core.errors import SettingError
from fettle.core.labelling import NO_NEW_LABELS, NewLabels, people_of
from fettle.core.progress import Note

if TYPE_CHECKING:
    from fettle.core.evaluation import LearningCurve
    from fettle.stages.retraining import Standing
    from fettle.stages.scheduling import Review
    from fettle.stages.serving import Opened
    from fettle.store.registry import Registry

__all__ = [
    "decide", "new_labels", "plain", "reference_of", "standing", "timetable", "watch",
    "write_page",
]

MOST_WATCHED = 50_000
"""Answers of a journal that are held at once, beside older ones with labels: some 200 MB where
vectors of 384 numbers were kept."""


def watch(
    reference: str, source: object | None = None, *, registry: str = ".fettle",
    journal: bool = False, time: str | None = None, window: int | None = None,
    days: float | None = None, seed: int = 0,
) -> Generator[Any, None, Drift]:
    """How far what arrived lies from what a version was tested on.

    Args:
        reference: NAME (its champion), NAME@N, or a version's folder.
        source: a file or table of rows; None with `journal`.
        registry: a folder or a URL.
        journal: the answers that the version gave, from its journal.
        time: the column that says when a row came; the order of the file where not given.
        window: rows of a window, from 20 on; by itself where not given.
        days: of the journal, that are watched; the last twelve where not given.
        seed: of permutations and resamples.

    Yields:
        Progress and Notes; last the Drift, which is returned too.

    Raises:
        SettingError: neither rows nor the journal are asked for, or both; a window too small.
        InputError: there are too few rows to compare.
    """
    if (source is None) != journal:
        raise SettingError("Give rows to watch, or --journal for what was served; one of the two.")
    if window is not None and window < 20:
        raise SettingError(f"--window is {window}; 20 rows are the fewest that say anything.")
    if days is not None and not (journal and days > 0):
        raise SettingError("--days says how much of the --journal is watched, and is above 0.")
    from fettle.stages import monitoring, serving

    opened = serving.open_version(reference, registry)
    before, untold = reference_of(opened)
    yield from (Note(one) for one in untold)
    arrived = (_answered(opened, before, registry, days) if journal
               else _rows(opened, before, source, time))
    drift = yield from monitoring.watch(
        opened.id, before, arrived, metric=opened.plan["metric"], window=window, seed=seed
    )
    yield drift
    return drift


def reference_of(opened: "Opened") -> tuple[Portrait, tuple[str, ...]]:
    """What new rows are compared with: kept in the version, or made of the rows that it holds.

    Raises:
        SettingError: it holds neither.
    """
    from fettle.store import arrow, portraits

    if portraits.REFERENCE in opened.paths:
        return portraits.read(opened.paths[portraits.REFERENCE]), ()
    if "rows.arrow" not in opened.paths:
        raise SettingError(
            f"{opened.id} holds nothing to compare with: an older fettle published it, without its "
            "rows. Train it again."
        )
    from fettle.engine.portrait import kinds_of
    from fettle.stages import serving

    table = arrow.read(opened.paths["rows.arrow"])
    tests = [at for at, side in enumerate(table.column(table.num_columns - 1).to_pylist())
             if side == "test"]
    held = table.take(_numbers(tests))
    columns = [[cell or "" for cell in held.column(name).to_pylist()]
               for name in opened.encoder.fields]
    fields = list(zip(*columns, strict=True))
    labels = held.column(opened.plan["reading"]["target"]).to_pylist()
    paint = serving.painter(opened, kinds_of(opened.encoder.fields, fields))
    return paint(fields, labels), (
        f"{opened.id} was published by an older fettle; its reference is made of its rows now.",
    )


def standing(
    name: str, *, registry: str = ".fettle", new_labels: NewLabels = NO_NEW_LABELS
) -> "Standing":
    """What the registry says of a name, as far as a decision needs it."""
    from fettle.stages.retraining import Standing
    from fettle.store.registry import Registry

    held = Registry(registry, create=False)
    _, number, manifest = held.find(name)
    pointers = held.pointers(name)
    told = {one["number"]: one["at"] for one in held.versions(name)}
    age = datetime.now(UTC) - datetime.fromisoformat(told[number]).astimezone(UTC)
    previous, challenger = pointers.get("previous"), pointers.get("challenger")
    moves = [one.event for one in held.history(name) if one.event in ("promote", "rollback")]
    took_its_place = previous is not None and moves[-1:] == ["promote"]
    return Standing(
        version=f"{name}@{number}", age_days=max(age.total_seconds() / 86400, 0.0),
        previous=f"{name}@{previous.number}" if previous and took_its_place else None,
        challenger=f"{name}@{challenger.number}" if challenger else None,
        challenger_verdict=_said(held, name, challenger.number) if challenger else None,
        new_labels=new_labels, more_rows_gain=_promised_gain(held, manifest, new_labels.rows),
        has_numbers=_is_of_errors(_curve(held, manifest)),
    )


def decide(
    drift: Drift, *, registry: str = ".fettle", new_labels: NewLabels = NO_NEW_LABELS
) -> Decision | None:
    """What to do about a champion: keep, retrain, promote or roll back, with reasons.

    Returns:
        None where what was watched is not the champion: then there is nothing to decide.
    """
    from fettle.stages import retraining

    name = drift.version.partition("@")[0]
    found = standing(name, registry=registry, new_labels=new_labels)
    return retraining.decide(found, drift) if found.version == drift.version else None


def new_labels(
    reference: str, source: object | None = None, *, registry: str = ".fettle",
    journal: bool = False,
) -> NewLabels:
    """Labelled rows, of a file or of the journal's audit stream, that no version learned from.

    Labels that users sent are not counted: nobody has reviewed them. Rows of the journal count
    where their inputs were kept. Where a column `person` says who labelled a row, no one person's
    count for more than half, beside others.

    Args:
        reference: NAME (its champion) or NAME@N.
        source: a file or table of rows; None with `journal`.
        registry: a folder or a URL.
        journal: the answers that the version gave.
    """
    from fettle.stages import reading, retraining, serving
    from fettle.store import arrow
    from fettle.store import journal as journals
    from fettle.store.places import journal_folder
    from fettle.store.registry import Registry

    opened = serving.open_version(reference, registry)
    names = opened.encoder.fields
    if journal:
        folder = journal_folder(registry, opened.id.partition("@")[0])
        given_by = journals.labels(folder)
        told, whose = given_by.settled("audit"), given_by.people("audit")
        kept = journals.answers(folder, keep=lambda one: one.id in told).answers
        rows = [one for one in kept if one.inputs is not None]
        fields = [tuple((one.inputs or {}).get(name, "") for name in names) for one in rows]
        labels: Sequence[str | None] = [told[one.id] for one in rows]
        people = [whose[one.id] for one in rows]
    else:
        given = reading.read_unlabelled(source, opened.schema)
        if given.schema.target is None:
            return NO_NEW_LABELS
        fields, labels, people = given.fields(), given.targets(), people_of(given)
    held = Registry(registry, create=False)
    tables = [
        table for one in held.versions(opened.id.partition("@")[0])
        if not one["collected"] and (digest := one["manifest"]["files"].get("rows.arrow"))
        and set(names) <= set(
            (table := arrow.read(held.paths({"files": {"rows.arrow": digest}})["rows.arrow"]))
            .column_names)
    ]
    return retraining.unlearned(tables, fields, labels, names, people)


def plain(drift: Drift, decision: Decision | None) -> dict[str, Any]:
    """What was found as JSON has it."""
    from fettle.store import records

    return {
        **records.to_plain(drift), "severity": drift.severity, "sentence": drift.sentence,
        "drifted": list(drift.drifted),
        "decision": None if decision is None else records.to_plain(decision),
    }


def write_page(path: Path, drift: Drift, decision: Decision | None) -> Path:
    """What was found as a page of the report's kind."""
    from fettle.pages.watched import watched
    from fettle.store import files

    return files.write_text(path, watched(drift, decision))


def timetable(
    name: str, months: tuple[int, int, int], *, registry: str = ".fettle"
) -> "tuple[Review, ...]":
    """When a name is to be looked after: reviews of its data, evaluations, retrainings.

    Args:
        name: of the model.
        months: between reviews of the data, evaluations, and retrainings.
        registry: a folder or a URL.
    """
    from fettle.stages import scheduling
    from fettle.store.places import is_url
    from fettle.store.registry import Registry

    held = Registry(registry, create=False)
    _, number, _ = held.find(name)
    at = next(one["at"] for one in held.versions(name) if one["number"] == number)
    data, evaluation, retraining = months
    whole = registry if registry == ".fettle" or is_url(registry) else str(Path(registry).resolve())
    return scheduling.timetable(
        name, published=datetime.fromisoformat(at), today=datetime.now(UTC), data=data,
        evaluation=evaluation, retraining=retraining, registry=whole,
    )


def _rows(
    opened: "Opened", before: Portrait, source: object, time: str | None
) -> Arrived:
    from fettle.stages import arriving, reading, serving

    rows = reading.read_unlabelled(source, opened.schema)
    return arriving.from_rows(rows, serving.painter(opened, before.kinds), time=time)


def _answered(
    opened: "Opened", before: Portrait, registry: str, days: float | None
) -> Arrived:
    """The answers of this version in the journal of its name: the newest, and those with labels."""
    from fettle.core.journal import Answers
    from fettle.stages import arriving, serving
    from fettle.store import journal
    from fettle.store.places import journal_folder

    name = opened.id.partition("@")[0]
    folder = journal_folder(registry, name)
    labels = journal.labels(folder)
    named = {one.id for one in labels.labels}
    answers = journal.answers(folder, keep=lambda one: one.version == opened.id, last=MOST_WATCHED)
    if named and len(answers.answers) == MOST_WATCHED:
        newest = {one.id for one in answers.answers}
        older = journal.answers(folder, keep=lambda one: (
            one.version == opened.id and one.id in named and one.id not in newest))
        answers = Answers((*older.answers, *answers.answers), older.passed_over)
    paint = serving.painter(opened, before.kinds)
    return arriving.from_journal(
        f"the journal of {name}", answers, labels, opened.task.classes, before,
        paint=lambda fields: paint(fields), days=arriving.DAYS if days is None else days,
    )


def _said(held: "Registry", name: str, challenger: int) -> str | None:
    """What the gates said last of this challenger against the champion as it is now."""
    generation = held.pointers(name)["champion"].generation
    verdicts = [
        event.detail["verdict"] for event in held.history(name)
        if event.event in ("gate", "promote") and "verdict" in event.detail
        and event.detail["verdict"]["challenger"] == f"{name}@{challenger}"
    ]
    fresh = bool(verdicts) and verdicts[-1]["generation"] == generation
    return str(verdicts[-1]["decision"]) if fresh else None


def _promised_gain(held: "Registry", manifest: Any, rows: int) -> float | None:
    """What the version's curve of learning promises of so many more rows, at least; of errors the
    share of what they are with all rows.

    Between two forecasts it rises at least as a straight line from nothing does: a curve of
    learning is steepest at its beginning.
    """
    curve = _curve(held, manifest)
    if curve is None or not rows:
        return None
    whole = curve.points[-1].score.value if _is_of_errors(curve) else 1.0
    return max((
        one.low * min(rows / one.more_rows, 1.0) / whole for one in curve.forecasts
    ), default=None)


def _is_of_errors(curve: "LearningCurve | None") -> bool:
    """Whether it falls with more rows, in the unit of the target."""
    return curve is not None and bool(curve.points) and curve.points[-1].score.name == "mae"


def _curve(held: "Registry", manifest: Any) -> "LearningCurve | None":
    """The version's curve of learning, where it was published with one."""
    from fettle.core.evaluation import Evaluation
    from fettle.store import records

    if "evaluation.json" not in manifest["files"]:
        return None
    path = held.paths({"files": {"evaluation.json": manifest["files"]["evaluation.json"]}})
    return records.load(Path(path["evaluation.json"]), Evaluation).curve


def _numbers(rows: Sequence[int]) -> Any:
    from fettle.core.columns import numbers

    return numbers(rows)
