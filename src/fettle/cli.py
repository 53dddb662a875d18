"""The command line: argv in, exit code out. Progress goes to standard error."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fettle import (
    cli_export,
    cli_models,
    cli_serve,
    cli_upkeep,
    cli_watch,
    console,
    options,
)
from fettle.core.errors import FettleError, SettingError
from fettle.core.fixes import Fixes
from fettle.core.plan import Plan, Reading
from fettle.core.settings import Settings
from fettle.options import (
    HERE,
    Allow,
    Approved,
    Augment,
    Blobs,
    Budget,
    CacheLimit,
    Data,
    Encoding,
    Group,
    Guard,
    Head,
    Inputs,
    Json,
    KeepBlocks,
    LabelSeparator,
    LearningRate,
    Loss,
    MaxTokens,
    Model,
    Name,
    Out,
    Registry,
    Reinit,
    Rungs,
    SaveEvery,
    Schedule,
    Seed,
    Seeds,
    Set,
    Slices,
    Smoothing,
    StopBy,
    Strategy,
    Target,
    Task,
    Test,
    Time,
    Validation,
    Version,
)

__all__ = [
    "app", "audit", "compare", "demo", "doctor", "evaluate", "main", "plan", "predict", "report",
    "tune",
]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fine-tune a pre-trained model on labelled rows, with proof.",
)

@app.command()
def demo(
    copy: Annotated[Path | None, typer.Option(help="Only copy the demo's files here")] = None,
    out: Out = None,
    registry: Registry = HERE,
) -> None:
    """The whole story on the data and the model that come with fettle."""
    from fettle import demo as story
    from fettle import pipeline

    if copy is not None:
        for path in story.copy(copy):
            console.message(str(path))
        return
    with console.Watcher() as watcher:
        asked = story.settings(out=options.text(out), registry=registry)
        version = _told(asked, None, watcher)
    answers, _ = pipeline.predict(version.folder, list(story.QUESTIONS))
    console.message("")
    console.predictions(answers, story.QUESTIONS)
    console.message("")
    console.message(f"The report: {version.report.html if version.report else ''}")
    console.message(f"The version: {version.id}, in {version.folder}")
    console.message(f'Ask it: fettle predict {version.name} "where is my parcel"')


@app.command()
def tune(
    data: Data = None, target: Target = None, inputs: Inputs = None,
    validation: Validation = None, test: Test = None, encoding: Encoding = None,
    group: Group = None, time: Time = None, slices: Slices = None, guard: Guard = None,
    fixes: Approved = None, label_separator: LabelSeparator = None, augment: Augment = None,
    task: Task = None, model: Model = None, strategy: Strategy = None, rungs: Rungs = None,
    schedule: Schedule = None, learning_rate: LearningRate = None, loss: Loss = None,
    label_smoothing: Smoothing = None, stop_by: StopBy = None, head: Head = None,
    reinit_top: Reinit = None, keep_blocks: KeepBlocks = None, others: Set = None,
    max_tokens: MaxTokens = None, budget: Budget = None, seed: Seed = None, seeds: Seeds = None,
    name: Name = None, out: Out = None,
    config: Annotated[Path | None, typer.Option(help="A plan, from `fettle plan`")] = None,
    allow: Allow = None, registry: Registry = HERE, blobs: Blobs = None,
    keep_rows: Annotated[bool, typer.Option(help="Keep the rows inside the version")] = True,
    cache_limit: CacheLimit = None, save_every: SaveEvery = "60s", as_json: Json = False,
) -> None:
    """From a file to a version that answers, with its report."""
    reading = _reading(
        data, target, inputs, validation, test, encoding, group, time, slices, fixes,
        label_separator,
    )
    asked = options.asked(schedule, learning_rate, loss, label_smoothing, stop_by, head, reinit_top,
                          others)
    given: Plan | None = None
    if config is not None:
        told = {"--task": task, "--model": model, "--strategy": strategy, "--rungs": rungs,
                "--budget": budget, "--target": target, "--inputs": inputs, "--name": name,
                "--seed": seed, "--seeds": seeds, "--encoding": encoding,
                "--cache-limit": cache_limit, "--group": group, "--time": time, "--slices": slices,
                "--fixes": fixes, "--keep-blocks": keep_blocks, "--augment": augment,
                "--label-separator": label_separator, "--max-tokens": max_tokens,
                "A setting of the rungs": asked or None}
        given = _plan_file(config, reading, told)
    settings = Settings(
        reading=given.reading if given else reading,
        name=given.name if given else name,
        model=model, task=task, rungs=options.one_or_many(strategy, rungs), asked=asked,
        keep_blocks=keep_blocks, max_tokens=max_tokens, augment=augment,
        budget_seconds=options.seconds(budget), seed=seed or 0,
        seeds=1 if seeds is None else seeds, allow=options.many(allow),
        out=options.text(out), registry=registry, blobs=blobs, keep_rows=keep_rows,
        guard=tuple(map(str, guard or ())),
        cache_limit=options.size(cache_limit, "--cache-limit"),
        save_seconds=options.seconds(save_every, "--save-every") or 60.0,
    )
    with console.Watcher() as watcher:
        version = _told(settings, given, watcher)
    if as_json:
        from fettle.store import files

        result = files.read_json(Path(version.folder).parent / "result.json")
        console.message(json.dumps(result, ensure_ascii=False))


@app.command()
def audit(
    data: Data = None, target: Target = None, inputs: Inputs = None,
    validation: Validation = None, test: Test = None, encoding: Encoding = None,
    fixes: Approved = None, task: Task = None, label_separator: LabelSeparator = None,
    fail_on: Annotated[str | None, typer.Option(help="End with 3 on: warn or blocker")] = None,
    fix: Annotated[Path | None, typer.Option(help="Write proposed fixes to this CSV")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also look with a frozen encoder")] = False,
    model: Model = None, as_json: Json = False,
) -> None:
    """What is wrong with the rows, and what to do about it. Changes no row."""
    if fail_on not in (None, "warn", "blocker"):
        raise SettingError(f"--fail-on is {fail_on!r}; choose warn or blocker.")
    from fettle import pipeline

    reading = _reading(data, target, inputs, validation, test, encoding, fixes=fixes,
                       label_separator=label_separator)
    if model is not None and not deep:
        raise SettingError("--model is the encoder of --deep; give both, or neither.")
    with console.Watcher() as watcher:
        story = pipeline.audit(Settings(reading=reading, model=model, task=task), deep=deep)
        rows, found = watcher.finish(story)
    if as_json:
        from fettle.store import records

        listed = records.to_plain(found)["findings"]
        console.message(json.dumps({"findings": listed}, ensure_ascii=False))
    else:
        console.message(f"{rows.rows:,} rows of {rows.name}: {len(found.findings)} findings")
        console.findings(found)
    if fix is not None:
        number = pipeline.write_fixes(fix, rows, found)
        console.error(f"{number:,} proposals in {fix}: edit it, then fettle tune --fixes {fix}")
    worst = {finding.severity.value for finding in found.findings}
    if (fail_on and "blocker" in worst) or (fail_on == "warn" and "warn" in worst):
        raise typer.Exit(3)


@app.command()
def plan(
    data: Data = None, target: Target = None, inputs: Inputs = None,
    validation: Validation = None, test: Test = None, encoding: Encoding = None,
    group: Group = None, time: Time = None, fixes: Approved = None,
    label_separator: LabelSeparator = None, augment: Augment = None,
    task: Task = None, model: Model = None, strategy: Strategy = None, rungs: Rungs = None,
    schedule: Schedule = None, learning_rate: LearningRate = None, loss: Loss = None,
    label_smoothing: Smoothing = None, stop_by: StopBy = None, head: Head = None,
    reinit_top: Reinit = None, keep_blocks: KeepBlocks = None, others: Set = None,
    max_tokens: MaxTokens = None, budget: Budget = None, seed: Seed = None, seeds: Seeds = None,
    name: Name = None, allow: Allow = None, as_json: Json = False,
) -> None:
    """What would be done, why, how long it would take and how much memory."""
    from fettle import pipeline
    from fettle.store import records

    asked = options.asked(schedule, learning_rate, loss, label_smoothing, stop_by, head, reinit_top,
                          others)
    made = pipeline.plan(Settings(
        reading=_reading(data, target, inputs, validation, test, encoding, group, time,
                         fixes=fixes, label_separator=label_separator),
        name=name, model=model, task=task, rungs=options.one_or_many(strategy, rungs),
        asked=asked, keep_blocks=keep_blocks, max_tokens=max_tokens, augment=augment,
        budget_seconds=options.seconds(budget), seed=seed or 0,
        seeds=1 if seeds is None else seeds, allow=options.many(allow),
    ))
    plain = records.to_plain(made)
    console.message(json.dumps(plain, ensure_ascii=False) if as_json else records.to_yaml(made))


@app.command()
def predict(
    version: Version,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts, or paths of pictures")] = None,
    input: Annotated[str | None, typer.Option(help="A file of rows, or - for lines")] = None,
    registry: Registry = HERE, as_json: Json = False,
) -> None:
    """Answers of a version, one a text or row."""
    if bool(texts) == bool(input):
        raise SettingError("Give texts to answer, or a file with --input; one of the two.")
    from fettle import pipeline

    asked = options.texts(texts or ())
    answers, rows = pipeline.predict(version, asked or input, registry=registry)
    if as_json:
        for one in answers:
            console.message(json.dumps(console.plain(one), ensure_ascii=False))
    else:
        console.predictions(answers, rows.ids if rows.schema.modality == "image" else (
            " ".join(fields) for fields in rows.fields()))
    for id_, fields in zip(rows.ids, rows.fields(), strict=True):
        if not "".join(fields).strip():
            console.error(f"{id_} has nothing to read: its answer says nothing.")
    for refused in rows.refused:
        console.error(f"{refused.place} is not answered: {refused.reason}")


@app.command()
def evaluate(
    version: Version,
    data: Annotated[Path, typer.Argument(help="Rows with answers")],
    registry: Registry = HERE, as_json: Json = False,
) -> None:
    """A version's scores on new rows, with intervals. The look is counted."""
    from fettle import pipeline
    from fettle.store import records

    made = pipeline.evaluate(version, data, registry=registry)
    if as_json:
        console.message(json.dumps(records.to_plain(made), ensure_ascii=False))
    else:
        console.evaluated(made)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder")],
) -> None:
    """Where the report of a run is."""
    path = run / "report.html"
    if not path.is_file():
        raise SettingError(
            f"{run} holds no report.html. Runs lie in .fettle/runs; one that was stopped is "
            "continued by its own command."
        )
    console.message(str(path))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A run's folder")],
    second: Annotated[Path, typer.Argument(help="Another run's folder, on the same test rows")],
    out: Annotated[Path | None, typer.Option(help="Write a page here")] = None,
    as_json: Json = False,
) -> None:
    """What changed between two runs, and what came of it, paired by test row."""
    from fettle import pipeline
    from fettle.store import records

    made = pipeline.compare(first, second)
    if out is not None:
        pipeline.write_comparison(out, made)
    if as_json:
        console.message(json.dumps(records.to_plain(made), ensure_ascii=False))
    else:
        console.compared(made)
        if out is not None:
            console.message(f"The page: {out}")


@app.command()
def doctor(registry: Registry = HERE, as_json: Json = False) -> None:
    """What this machine is and does, and whether everything that fettle needs is there."""
    from fettle import doctor as examiner
    from fettle import pipeline

    machine = pipeline.this_machine()
    facts = examiner.examine(registry, machine)
    if as_json:
        from fettle.store import records

        plain = {**facts, "machine": records.to_plain(machine)}
        console.message(json.dumps(plain, ensure_ascii=False))
        return
    console.table("", ["what", "found"], facts.items())
    console.table("", ["measured", "found", "chosen, and why"], examiner.measured(machine))


cli_upkeep.register(app)
cli_serve.register(app)
cli_watch.register(app)
cli_export.register(app)
cli_models.register(app)


def main() -> None:
    """Run the command and end the process with its exit code."""
    console.speak_utf8()
    sys.exit(_guarded(lambda: app(standalone_mode=False)))


def _guarded(command: Callable[[], Any]) -> int:
    """The exit code: 0 done, 2 or 3 the user can mend it, 130 interrupted; a defect is raised."""
    try:
        code = command()
        sys.stdout.flush()
    except FettleError as error:
        console.error(f"fettle: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        code = 130
    except (BrokenPipeError, SystemExit):  # nobody reads on; typer makes one of the other
        sys.stderr.close()
        return 0
    except Exception as error:
        show = getattr(error, "show", None)  # the command line's own complaints, by duck type:
        if show is None:                     # typer carries its own copy of click's classes
            raise
        show()
        return int(getattr(error, "exit_code", 2))
    if code == 130:
        console.error("Interrupted. The same command continues where this one stopped.")
    return code if isinstance(code, int) else 0


def _told(settings: Settings, given: Plan | None, watcher: console.Watcher) -> Any:
    """The Version at the end of the story, which the watcher draws."""
    from fettle import pipeline

    version = None
    for event in pipeline.build(settings, given=given):
        watcher.show(event)
        version = event
    return version


def _plan_file(path: Path, reading: Reading, told: Mapping[str, object]) -> Plan:
    """The plan in a file, its paths replaced by those that the command names."""
    from fettle.store import records

    for option, value in told.items():
        if value is not None:
            raise SettingError(f"{option} and --config contradict each other: edit {path} instead.")
    given = records.load_yaml(path, Plan)
    named = {k: getattr(reading, k) for k in ("data", "validation", "test") if getattr(reading, k)}
    return replace(given, reading=replace(given.reading, **named))


def _reading(
    data: Path | None, target: str | None, inputs: str | None, validation: Path | None,
    test: Path | None, encoding: str | None, group: str | None = None, time: str | None = None,
    slices: str | None = None, fixes: Path | None = None, label_separator: str | None = None,
) -> Reading:
    return Reading(
        data=options.text(data) or "", validation=options.text(validation),
        test=options.text(test), target=target, inputs=options.many(inputs), encoding=encoding,
        group=group, time=time, slices=options.many(slices), label_separator=label_separator,
        fixes=Fixes(str(fixes)) if fixes else None,
    )
