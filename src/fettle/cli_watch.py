"""The commands of a version in production: argv in, exit code out. They are part of `fettle`."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fettle import console, options
from fettle.core.drift import Decision, Drift
from fettle.core.errors import SettingError
from fettle.core.rebuilt import Rebuilt
from fettle.core.score import Comparison, number, signed
from fettle.options import HERE, Budget, Json, Registry, Rungs, Version

__all__ = ["register", "retrain", "suggest", "take", "watch"]

Rows = Annotated[Path | None, typer.Argument(help="Rows that arrived, with labels or without")]
Seed = Annotated[int, typer.Option(help="Of permutations and draws")]
Journal = Annotated[bool, typer.Option("--journal", help="What was served, from its journal")]


Start = Annotated[str, typer.Option(help="Where training starts: base, champion, or both")]
MOST_LABELS = 20
"""Of several a row, that are told here: those whose shares moved most. The page has all."""
labels = typer.Typer(no_args_is_help=True, help="Which rows to label next, and labels back.")


def register(app: typer.Typer) -> None:
    """Make these commands of the application."""
    app.command()(watch)
    app.command()(retrain)
    app.add_typer(labels, name="label")


def watch(
    version: Version, data: Rows = None, journal: Journal = False, registry: Registry = HERE,
    time: Annotated[str | None, typer.Option(help="The column that says when a row came")] = None,
    window: Annotated[int | None, typer.Option(help="Rows of a window; 200 or more if not given")]
    = None,
    days: Annotated[float | None, typer.Option(help="With --journal: the newest; 12 if not given")]
    = None,
    fail_on: Annotated[str | None, typer.Option(help="End with 3 on: warn or blocker")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page here")] = None,
    schedule: Annotated[bool, typer.Option("--schedule", help="Print when to look, and a crontab")]
    = False,
    timer: Annotated[bool, typer.Option("--timer", help="With --schedule: systemd, no crontab")]
    = False,
    data_review: Annotated[int, typer.Option(help="With --schedule: months")] = 3,
    evaluation: Annotated[int, typer.Option(help="With --schedule: months")] = 1,
    retraining: Annotated[int, typer.Option(help="With --schedule: months")] = 6,
    seed: Seed = 0, as_json: Json = False,
) -> None:
    """Has what arrives drifted from what the version was tested on? Does it still do well?"""
    if fail_on not in (None, "warn", "blocker"):
        raise SettingError(f"--fail-on is {fail_on!r}; choose warn or blocker.")
    if schedule:
        if data is not None or journal:
            raise SettingError("--schedule says when to watch; it takes no rows and no --journal.")
        _schedule(version, registry, timer, (data_review, evaluation, retraining), as_json)
        return
    from fettle import watching

    story = watching.watch(version, data, registry=registry, journal=journal, time=time,
                           window=window, days=days, seed=seed)
    with console.Watcher() as watcher:
        drift = watcher.finish(story)
    is_folder = (Path(version) / "version.json").is_file()
    decision = None if is_folder else watching.decide(
        drift, registry=registry,
        new_labels=watching.new_labels(version, data, registry=registry, journal=journal),
    )
    if html is not None:
        watching.write_page(html, drift, decision)
    if as_json:
        _print(watching.plain(drift, decision))
    else:
        _told(drift, decision)
        if html is not None:
            console.message(f"The page: {html}")
    if (fail_on and drift.severity == "blocker") or (fail_on == drift.severity == "warn"):
        raise typer.Exit(3)


def retrain(
    name: Annotated[str, typer.Argument(help="Of the model; its champion is what is retrained")],
    data: Annotated[Path, typer.Argument(help="Reviewed rows, with labels")],
    start: Start = "base,champion", budget: Budget = None, rungs: Rungs = None,
    others: options.Set = None, registry: Registry = HERE, seed: Seed = 0,
    promote: Annotated[bool, typer.Option("--promote", help="Ask the gate; it moves the champion")]
    = False,
    reason: Annotated[str, typer.Option(help="Why, for the log")] = "", as_json: Json = False,
) -> None:
    """A challenger that learned from new rows too, judged on the test rows of every version."""
    from fettle import rebuilding
    from fettle.store import records

    story = rebuilding.rebuild(
        name, data, registry=registry, starts=options.many(start),
        rungs=options.many(rungs) or None, budget_seconds=options.seconds(budget), seed=seed,
        promote=promote, reason=reason, asked=options.asked(others=others),
    )
    with console.Watcher() as watcher:
        made = watcher.finish(story)
    if as_json:
        _print(records.to_plain(made))
    else:
        _rebuilt(made)
    if promote and made.verdict is not None and not made.verdict.promoted:
        raise typer.Exit(3)


def _rebuilt(made: Rebuilt) -> None:
    """Where it started, what it forgot, what the gate said."""
    console.table("", ["started from", "kept", "validation"], (
        [f"{one.name}: {one.model}", one.rung, str(one.validation)] for one in made.starts
    ))
    measure = made.measure.replace("_", " ")
    console.table("", [f"{made.version} against {made.champion}", measure, "won", "lost", ""], (
        [one.metric, _gained(one, made.measure), one.wins, one.losses, f"{one.rows:,} rows"]
        for one in made.vaults
    ))
    for one in made.forgotten:
        console.message(f"Forgotten: worse on the {one.metric}.")
    if made.verdict is not None:
        console.verdict(made.verdict)
    if made.verdict is None or not made.verdict.promoted:
        console.message(f"{made.version} is the challenger. Ask the gate: fettle promote "
                        f"{made.version}")


@labels.command()
def suggest(
    version: Version, data: Rows = None, journal: Journal = False, registry: Registry = HERE,
    count: Annotated[int, typer.Option(help="Rows to ask for")] = 100,
    out: Annotated[Path | None, typer.Option(
        help=".json for Label Studio, else CSV; to-label-DATE.csv if not given")] = None,
    seed: Seed = 0, as_json: Json = False,
) -> None:
    """Rows worth a label: half uncertain, half diverse, and a fifth at random, flagged."""
    from fettle import asking

    out = asking.require_free(out) if out is not None else asking.dated()
    found = asking.suggest_labels(version, data, many=count, registry=registry, journal=journal,
                                  seed=seed, shown=out.suffix.lower() == ".json")
    asking.write_suggestions(out, found)
    why = [one.why for one in found.rows]
    if as_json:
        _print({"out": str(out), "rows": len(why), "twins_left_out": found.aside,
                **{kind: why.count(kind) for kind in ("random", "uncertain", "diverse")}})
        return
    console.message(
        f"{len(why):,} rows in {out}: {why.count('random')} random, {why.count('uncertain')} "
        f"uncertain, {why.count('diverse')} diverse; {found.aside:,} rows are left out as twins."
    )
    console.message(f"Fill in {found.target!r}, then: fettle label read {out} --target "
                    f"{found.target} --out reviewed.csv")


@labels.command(name="read")
def take(
    paths: Annotated[list[Path] | None, typer.Argument(help="Labelled files, one or more people's")]
    = None,
    journal: Annotated[str | None, typer.Option(
        "--journal", help="Of this model, what its audit stream was labelled with")] = None,
    registry: Registry = HERE,
    target: Annotated[str, typer.Option(help="The column of a file that holds labels")] = "label",
    out: Annotated[Path | None, typer.Option(help="Write rows on which all agree here")] = None,
    as_json: Json = False,
) -> None:
    """Labels that came back: where two people labelled the same rows, how far they agree."""
    from fettle import asking
    from fettle.store import records

    if bool(paths) == bool(journal):
        raise SettingError("Give labelled files, or --journal NAME; one of the two.")
    if journal:
        found, target = asking.audited_labels(journal, registry=registry)
    else:
        found = asking.read_labels(paths or (), target=target)
    if out is not None:
        asking.write_reviewed(out, found, target=target)
    if as_json:
        _print({"labelled": len(found.rows), "unlabelled": found.unlabelled,
                "disputed": records.to_plain(found.disputed),
                "agreements": records.to_plain(found.agreements)})
        return
    console.message(f"{len(found.rows):,} rows have a label, {len(found.disputed):,} are disputed, "
                    f"{found.unlabelled:,} have none.")
    for one in found.agreements:
        kappa = "no kappa: one label throughout"
        if one.kappa is not None and one.low is not None and one.high is not None:
            kappa = f"Cohen's kappa {_between(one.kappa, one.low, one.high)}"
        console.message(f"{one.first} and {one.second}: {one.agreed:.1%} of {one.rows:,} rows "
                        f"alike, {kappa}")
    if found.disputed:
        console.table("", ["disputed", "what was said"], (
            [one.id, "; ".join(f"{person}: {label}" for person, label in one.said.items())]
            for one in found.disputed
        ))


def _schedule(
    name: str, registry: str, timer: bool, months: tuple[int, int, int], as_json: bool
) -> None:
    from fettle import watching
    from fettle.stages import scheduling
    from fettle.store import records

    name = name.partition("@")[0]
    reviews = watching.timetable(name, months, registry=registry)
    folder, program = str(Path.cwd()), _program()
    if as_json:
        _print([records.to_plain(one) for one in reviews])
        return
    console.table("", ["what", "every", "next", "command", "a person"], (
        [one.what, f"{one.every} months" if one.every > 1 else "month" if one.every else "day",
         one.due, one.command, one.person] for one in reviews
    ))
    if timer:
        units = scheduling.systemd(reviews, name, folder=folder, program=program)
        for path, text in units.items():
            console.message(f"# {path}\n{text}")
    else:
        console.message(scheduling.crontab(reviews, folder=folder, program=program))


def _program() -> str:
    """Where this fettle lies: a timer finds no environment that somebody has activated."""
    beside = Path(sys.executable).with_name("fettle")
    return str(beside) if beside.is_file() else shutil.which("fettle") or "fettle"


def _told(drift: Drift, decision: Decision | None) -> None:
    """Signals, performance, and what to do."""
    console.message(
        f"{drift.rows:,} rows of {drift.data} in {len(drift.windows)} windows, compared with the "
        f"{drift.reference:,} test rows of {drift.version}"
    )
    lines = []
    for state in drift.states:
        last = next(one for window in reversed(drift.windows) for one in window.signals
                    if one.name == state.signal)
        begun = "" if state.since is None else (
            drift.windows[state.since].begun or drift.windows[state.since].first)
        enough = "" if last.alarm is not None else (
            f"{last.needed:,} rows are enough" if last.needed else "too few test rows")
        lines.append([state.signal, state.state, number(last.effect), f"{last.p:.2g}",
                      begun or enough, last.told])
    console.table("", ["signal", "", "effect", "p, adjusted", "since", "what changed"], lines)
    last_estimate = drift.windows[-1].estimate
    console.message(f"at release: {drift.at_release}")
    if last_estimate is not None:
        console.message(
            f"now, without labels: {last_estimate.metric.replace('_', ' ')} "
            f"{_between(last_estimate.value, last_estimate.low, last_estimate.high)} on the last "
            f"{last_estimate.rows:,} rows"
        )
    for one in drift.judged:
        console.message(f"now, by labels ({one.stream}): {one.score}: {one.verdict}")
    if drift.labels:
        moved = sorted(drift.labels, key=lambda one: -abs(one.now - one.before))[:MOST_LABELS]
        console.table("", ["label", "given then", "now", "F1 then", "F1 now, estimated"], (
            [one.label, f"{one.before:.1%}", f"{one.now:.1%}", number(one.at_release.value),
             "" if (now := one.expected) is None else _between(now.value, now.low, now.high)]
            for one in moved
        ))
    for note in drift.notes:
        console.message(f"  {note}")
    console.message(drift.sentence)
    if decision is not None:
        console.message(f"What to do: {decision.action}. {' '.join(decision.reasons[1:])}")
        if decision.command:
            console.message(f"  {decision.command}")


def _between(value: float, low: float, high: float) -> str:
    """A number with its interval."""
    return f"{number(value)} [{number(low)}, {number(high)}]"


def _gained(one: Comparison, measure: str) -> str:
    """A difference with its interval, of this measure."""
    value, low, high = (signed(end, measure) for end in (one.difference, one.low, one.high))
    return f"{value} [{low}, {high}]"


def _print(value: Any) -> None:
    console.message(json.dumps(value, ensure_ascii=False))
