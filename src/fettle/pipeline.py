"""The story: from a file of rows to a version that answers, with proof.

Each verb takes nouns and makes one; here is where they meet. Whoever watches reads what is
yielded: nouns as they are made, and progress between them.
"""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fettle import witnesses
from fettle.core.audit import Audit
from fettle.core.compared import Compared
from fettle.core.dataset import Dataset
from fettle.core.errors import SettingError, unknown_name
from fettle.core.evaluation import Evaluation
from fettle.core.plan import Machine, Plan
from fettle.core.progress import Note, Progress, finish
from fettle.core.run import Run
from fettle.core.settings import Settings
from fettle.core.split import Opening, Split
from fettle.core.version import Prediction, Version
from fettle.store import files, folders, locks, records, runs
from fettle.store.names import require_model_name

if TYPE_CHECKING:
    from fettle.core.parts import Card
    from fettle.stages.serving import Opened

__all__ = [
    "audit", "build", "climb", "compare", "evaluate", "open_version", "plan", "predict",
    "this_machine", "write_comparison", "write_fixes",
]

Story = Generator[Any, None, Version]


def build(
    settings: Settings, *, given: Plan | None = None, source: object | None = None
) -> Story:
    """Everything from a file to a version that can be served.

    Args:
        settings: what was asked for.
        given: a plan that a person wrote or edited; it beats the settings.
        source: a table or frame, instead of a file.

    Yields:
        Dataset, Audit, Split, Plan, Progress, Note, Step, Epoch, RungResult, Run, Evaluation,
        Report, and at last the Version, which is returned too.
    """
    dataset, found, split, card = yield from _before_planning(settings, given, source)
    request = runs.request(settings, given, dataset.name, split, card)
    made, folder = yield from _plan_of(settings, request, given, dataset, split, card)
    asked = settings.guard
    settings, made = witnesses.called(settings, made, folder)
    yield made
    runs.require_ours(folder)
    with locks.hold(folder):
        moot = witnesses.moot(asked, folder)
        finished = runs.begin(folder, made, found, split, guards=() if moot else asked)
        if finished is not None:
            yield from (Note(sentence) for sentence in (*moot, *runs.too_late(settings, folder)))
            yield Note(f"This run is finished; {folder} holds its result.")
            yield finished
            return finished
        if runs.is_finished(folder):
            has_more = made.seeds > runs.seeds_of(folder)
            then = "further seeds are climbed" if has_more else "nothing is trained"
            yield Note(f"This run is finished: it is judged once more, and {then}.")
        runs.remember(settings, request, folder, made)
        return (yield from _train_and_publish(settings, dataset, found, split, card, made, folder))


def climb(
    settings: Settings, *, source: object | None = None
) -> Generator[Any, None, Run]:
    """The first half of the story: trained and validated. No test row is looked at.

    `build` with the same settings goes on from there, and trains nothing twice.
    """
    from fettle.stages import training

    dataset, found, split, card = yield from _before_planning(settings, None, source)
    request = runs.request(settings, None, dataset.name, split, card)
    made, folder = yield from _plan_of(settings, request, None, dataset, split, card)
    runs.require_ours(folder)
    with locks.hold(folder):
        if runs.begin(folder, made, found, split) is not None:
            return records.load(folder / "run.json", Run)
        runs.remember(settings, request, folder, made)
        return (yield from training.train(
            dataset, split, made, card=card, folder=folder, save_seconds=settings.save_seconds
        ))


def _train_and_publish(
    settings: Settings, dataset: Dataset, found: Audit, split: Split, card: "Card", made: Plan,
    folder: Path,
) -> Story:
    """The second half of the story: what takes time, and what proves that it was worth it."""
    from fettle.stages import training

    run = yield from training.train(
        dataset, split, made, card=card, folder=folder, save_seconds=settings.save_seconds
    )
    yield run

    # late: training starts sooner
    from fettle.stages import evaluating, illustrating, publishing, reporting
    from fettle.store.registry import Registry

    registry = Registry(settings.registry, blobs=settings.blobs)

    def count(opening: Opening) -> int:
        return registry.count_opening(opening.test, opening.reason)

    guards, unguarded = witnesses.guards(settings.guard, dataset, run)
    before, untold = witnesses.version_before(made, split, registry, settings.registry)
    yield from (Note(sentence) for sentence in (*unguarded, *untold))
    evaluation = yield from evaluating.evaluate(
        dataset, split, made, run, card=card, count=count, guards=guards, before=before
    )
    records.save(folder / "run.json", run)
    records.save(folder / "evaluation.json", evaluation)
    yield evaluation
    found = yield from _looked_again(dataset, found, split, made, folder)
    illustrations = yield from illustrating.illustrate(
        dataset, made, run, evaluation, shown=settings.keep_rows
    )
    report = reporting.write(
        dataset, found, split, made, run, evaluation, folder=folder, machine=this_machine(),
        illustrations=illustrations,
    )
    yield report
    version = publishing.publish(
        dataset, made, split, run, evaluation, report,
        card=card, registry=registry, keep_rows=settings.keep_rows,
    )
    files.write_json(folder / "result.json", _result(made, run, evaluation, version))
    runs.note_judged(folder, made.reading.slices, settings.guard, made.seeds)
    records.save(folder / "version.json", version)
    yield version
    return version


def _looked_again(
    dataset: Dataset, found: Audit, split: Split, made: Plan, folder: Path
) -> Generator[Any, None, Audit]:
    """The Audit with what the frozen features show, where they were kept: no row is run again."""
    from fettle.stages import auditing, encoding

    features = encoding.kept(folder)
    if features is None:
        yield Note(
            "Wrong labels, outliers and near twins by features were not looked for: the features "
            "were not kept. `fettle audit --deep` computes them and looks."
        )
        return found
    if len(features) > auditing.MOST_PAIRED:
        yield Note(
            f"Of {len(features):,} rows, near twins were looked for by letters alone; "
            "`fettle audit --deep` compares all features, too."
        )
    yield Progress("audit of features", 0, 1, "looks")
    found = auditing.afterwards(dataset, found, split, features, seed=made.seed)
    yield Progress("audit of features", 1, 1, "looks")
    records.save(folder / "audit.json", found)
    if found.afterwards or found.near_twins:
        yield found
    return found


def _result(made: Plan, run: Run, evaluation: Evaluation, version: Version) -> dict[str, Any]:
    """The story in one object, as `--json` prints it."""
    before = evaluation.before and evaluation.contender(evaluation.before).scores
    return {
        "version": version.id,
        "run": run.folder,
        "task": made.task,
        "model": made.model,
        "rung": run.kept,
        "rungs": [
            {
                "name": rung.name,
                "validation": records.to_plain(rung.validation),
                "seconds": rung.seconds,
                "peak_bytes": rung.peak_bytes,
            }
            for rung in run.rungs
        ],
        "before": [records.to_plain(score) for score in before or ()],
        "spread": run.spread and {**records.to_plain(run.spread), "mean": run.spread.mean,
                                  "deviation": run.spread.deviation},
        "test": [records.to_plain(s) for s in evaluation.contender(evaluation.kept).scores],
        "seconds": sum(rung.seconds for rung in run.rungs),
    }


def audit(
    settings: Settings, *, deep: bool = False, source: object | None = None
) -> Generator[Any, None, tuple[Dataset, Audit]]:
    """What is wrong with the rows; deep, what only a frozen encoder sees as well.

    Yields:
        Progress, while features are computed.
    """
    from fettle.stages import auditing, reading

    name, task = settings.name or "", settings.task
    dataset = reading.read(settings.reading, source=source, name=name, task=task)
    if not deep:
        return dataset, auditing.audit(dataset, seed=settings.seed)
    from fettle.models.cards import card_for
    from fettle.stages import encoding

    card = card_for(settings.model, dataset.schema.modality, data=dataset.name)
    features, sizes = yield from encoding.encode(
        dataset, card, this_machine(), most_tokens=auditing.LIMIT
    )
    return dataset, auditing.audit(dataset, features=features, sizes=sizes, seed=settings.seed)


def write_fixes(path: Path, dataset: Dataset, found: Audit) -> int:
    """The audit's proposals as a file for a person to edit; how many there are.

    Raises:
        SettingError: something lies there already: it may be somebody's work.
    """
    from fettle.formats.fixes import as_text

    if path.exists():
        raise SettingError(f"{path} exists and may hold edited fixes. Name another file.")
    files.write_text(path, as_text(dataset, found.proposals))
    return len(found.proposals)


def plan(settings: Settings, *, source: object | None = None) -> Plan:
    """What would be done, why, how long it would take and how much memory."""
    dataset, _, split, card = finish(_before_planning(settings, None, source))
    return _planned(settings, None, dataset, split, card)


def predict(
    reference: str, source: object, *, registry: str = ".fettle"
) -> tuple[list[Prediction], Dataset]:
    """One answer for each row of a file, a table or a list of texts.

    Args:
        reference: NAME (its champion), NAME@N, or a version's folder.
        source: a path, "-" for standard input, a table or frame, or texts.
        registry: the folder of the registry.
    """
    from fettle.stages import reading, serving

    opened = serving.open_version(reference, registry)
    schema = replace(opened.schema, target=None)
    if isinstance(source, list | tuple) and schema.modality == "text":
        rows = serving.of_texts(source, schema)
    else:
        rows = reading.read_unlabelled(source, schema)
    return serving.predict(opened, rows), rows


def evaluate(reference: str, data: Path, *, registry: str = ".fettle") -> Evaluation:
    """The version's scores on new rows that carry answers; the look is counted."""
    from fettle.stages import rating, reading, serving
    from fettle.store.registry import Registry

    opened = serving.open_version(reference, registry)
    rows = reading.read_unlabelled(data, opened.schema)
    if rows.schema.target is None:
        raise SettingError(
            f"{data} has no column {opened.schema.target!r}, so there is nothing to compare with. "
            "`fettle predict` needs no answers."
        )
    held = Registry(registry)
    return rating.rate(
        opened.id, opened.outputs(rows.fields()), rows, opened.task, metric=opened.plan["metric"],
        count=lambda opening: held.count_opening(opening.test, opening.reason),
    )


def compare(first: Path, second: Path) -> Compared:
    """Two finished runs on the same test rows: what changed, and what came of it."""
    from fettle.stages import comparing

    return comparing.compare(first, second)


def write_comparison(path: Path, made: Compared) -> None:
    """The comparison as a page that opens offline."""
    from fettle.stages import comparing

    comparing.write(made, path)


def open_version(reference: str, *, registry: str = ".fettle") -> "Opened":
    """A version, checked and ready to answer many times."""
    from fettle.stages import serving

    return serving.open_version(reference, registry)


def this_machine() -> Machine:
    """What this machine is and does, from the cache or measured now."""
    from fettle.engine import calibrate

    return calibrate.machine(folders.cache())


def _before_planning(
    settings: Settings, given: Plan | None, source: object | None
) -> Generator[Any, None, tuple[Dataset, Audit, Split, "Card"]]:
    """The first part of the story: what a plan is made of."""
    from fettle.models.cards import card_for
    from fettle.stages import auditing, reading, splitting

    _require_possible(settings, seed := given.seed if given else settings.seed)
    first = given or settings
    dataset = reading.read(first.reading, source=source, name=settings.name or "", task=first.task)
    yield dataset
    found = auditing.audit(dataset)
    yield found
    found.require_clear(settings.allow)
    split = splitting.split(dataset, found, seed=seed)
    yield split
    card = card_for(first.model, dataset.schema.modality, data=dataset.name,
                    keep_blocks=first.keep_blocks, random=settings.rungs == ("scratch",))
    yield card
    return dataset, found, split, card


def _plan_of(
    settings: Settings, request: str, given: Plan | None, dataset: Dataset, split: Split,
    card: "Card",
) -> Generator[Note, None, tuple[Plan, Path]]:
    """The plan that the same command made when it began this run, and the run's folder; a new one
    where there is none, or where another fettle made one that this one cannot follow."""
    from fettle.stages import planning

    begun = runs.begun(settings, request)
    if begun is None:
        made = _planned(settings, given, dataset, split, card)
        return made, runs.folder_of(settings, made)
    before, folder, others, is_told = begun
    if others:
        try:
            _planned(settings, before, dataset, split, card)
        except SettingError as error:
            runs.require_elsewhere(settings, others, error)
            yield Note(f"The run that {others} began cannot go on, and begins anew: {error}")
            made = _planned(settings, given, dataset, split, card)
            return made, runs.folder_of(settings, made)
        more = ("" if runs.is_finished(folder) else
                " What is trained from here on may differ in its last digits.")
        if not is_told:
            yield Note(f"Going on with plan {before.id}, made with {others}.{more}")
            runs.note_told(settings, request)
    before = replace(before, seeds=(given or settings).seeds)
    reading = given.reading if given else settings.reading
    return planning.read_from(before, reading, dataset), folder


def _planned(
    settings: Settings, given: Plan | None, dataset: Dataset, split: Split, card: "Card"
) -> Plan:
    """The plan for these rows; the one that was given, once it is known to fit them."""
    from fettle.stages import planning

    made = planning.plan(dataset, split, card, this_machine(), settings)
    if given is not None:
        made = planning.check(given, made, card)
    require_model_name(made.name)
    return replace(made, reading=replace(made.reading, fixes=dataset.fixes))


def _require_possible(settings: Settings, seed: int) -> None:
    """What was asked for can be meant, before anything is read.

    Raises:
        SettingError: a name that is no name, a check that we do not have, a seed below 0.
    """
    from fettle.checks import CHECKS_OF

    known = {name for checks in CHECKS_OF.values() for name in checks}
    for check in settings.allow:
        if check not in known:
            raise unknown_name("check", check, known)
    if seed < 0:
        raise SettingError(f"The seed is {seed}; a whole number from 0 on is what it takes.")
    if settings.seeds < 1:
        raise SettingError(f"--seeds is {settings.seeds}; with 1, the version's own, it begins.")
    if settings.name is not None:
        require_model_name(settings.name)
