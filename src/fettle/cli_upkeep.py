"""The commands that look after versions: argv in, exit code out. They are part of `fettle`."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from fettle import console
from fettle.core.errors import SettingError
from fettle.core.score import Score
from fettle.options import HERE, Json, Registry

__all__ = [
    "diff", "gc", "history", "promote", "register", "rollback", "show", "verify", "versions",
]

Reference = Annotated[str, typer.Argument(help="NAME (its champion), NAME@N or NAME@challenger")]
Name = Annotated[str, typer.Argument(help="Of the model")]
Maybe = Annotated[str | None, typer.Argument(help="Only of this name")]
Reason = Annotated[str, typer.Option(help="Why, for the log")]
Actor = Annotated[str | None, typer.Option(help="Who, for the log; user@host if not given")]


def register(app: typer.Typer) -> None:
    """Make these commands of the application."""
    for command in (versions, show, diff, promote, rollback, history, verify, gc):
        app.command()(command)


def versions(name: Maybe = None, registry: Registry = HERE, as_json: Json = False) -> None:
    """The versions in the registry; the champion of a name is what its name alone means."""
    from fettle import upkeep

    listed = upkeep.versions(name, registry=registry)
    if as_json:
        _print(listed)
        return
    console.table(
        "", ["version", "", "published", "rung", "on test"],
        (
            [one["version"], "given up" if one["given_up"] else ", ".join(one["pointers"]),
             one["at"], one["rung"], _scores(one["scores"][:1])]
            for one in listed
        ),
    )


def show(reference: Reference, registry: Registry = HERE, as_json: Json = False) -> None:
    """One version: what it was made of, how it scored, its files, and what became of it."""
    from fettle import upkeep

    facts = upkeep.show(reference, registry=registry)
    if as_json:
        _print(facts)
        return
    pointers = f" ({', '.join(facts['pointers'])})" if facts["pointers"] else ""
    console.message(f"{facts['version']}{pointers}")
    for score in facts.get("scores", ()):
        console.message(f"  {Score(**score)}")
    made = {"plan": facts.get("plan"), "parent": facts.get("parent"), **facts.get("lineage", {})}
    console.table("", ["made of", ""], ((key, one) for key, one in made.items() if one))
    sizes = facts.get("bytes", {})
    console.table("", ["file", "bytes", "sha256"], (
        [path, f"{sizes[path]:,}" if path in sizes else "", digest[:16]]
        for path, digest in facts["files"].items()
    ))
    _events(facts["events"])


def diff(
    first: Reference, second: Reference, registry: Registry = HERE, as_json: Json = False
) -> None:
    """What two versions differ in: plan, lineage, scores, files."""
    from fettle import upkeep

    found = upkeep.differences(first, second, registry=registry)
    if as_json:
        _print(found)
        return
    rows = []
    for part in ("plan", "lineage", "scores", "files"):
        for key, pair in found[part].items():
            told = [_scores([one]) if part == "scores" and one else one for one in pair]
            rows.append([part, key, *(_short(one) for one in told)])
    if not rows:
        console.message(f"{found['versions'][0]} and {found['versions'][1]} are the same.")
        return
    console.table("", ["", "", *found["versions"]], rows)
    console.message("Whether one is better: fettle promote asks both the same test rows.")


def promote(
    reference: Reference, registry: Registry = HERE,
    force: Annotated[bool, typer.Option("--force", help="Whatever the gates say")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Ask the gates, and move nothing")] = False,
    reason: Reason = "", actor: Actor = None, as_json: Json = False,
) -> None:
    """Make a version champion, where every gate lets it through. Ends with 3 where not."""
    from fettle import upkeep
    from fettle.store import records

    story = upkeep.promote(
        reference, registry=registry, force=force, dry=dry, reason=reason, actor=actor
    )
    verdict = None
    with console.Watcher() as watcher:
        for verdict in story:
            watcher.show(verdict)
    assert verdict is not None
    if as_json:
        _print(records.to_plain(verdict))
    else:
        console.verdict(verdict)
    if not (verdict.promoted or (dry and verdict.decision == "promote")):
        raise typer.Exit(3)


def rollback(
    name: Name, registry: Registry = HERE,
    to: Annotated[int | None, typer.Option(help="A version's number, not the one before")] = None,
    reason: Reason = "", actor: Actor = None, as_json: Json = False,
) -> None:
    """Make the champion before champion again, once it has shown that it loads and answers."""
    from fettle import upkeep

    done = upkeep.rollback(name, to=to, registry=registry, reason=reason, actor=actor)
    if as_json:
        _print(done)
        return
    console.message(
        f"{done['champion']} is champion again, {done['previous']} was. It loads and answers: "
        f"outputs differ by at most {done['largest_difference']:.2g}."
    )


def history(name: Maybe = None, registry: Registry = HERE, as_json: Json = False) -> None:
    """What happened, when, who did it and why; each entry carries the hash of the one before."""
    from fettle import upkeep
    from fettle.store import records

    events = [records.to_plain(event) for event in upkeep.history(name, registry=registry)]
    if as_json:
        _print(events)
    else:
        _events(events)


def verify(registry: Registry = HERE, as_json: Json = False) -> None:
    """Read everything in the registry once more. Ends with 3 where something is not as written."""
    from fettle import upkeep
    from fettle.store import records

    found = upkeep.inspect(registry=registry)
    if as_json:
        _print(records.to_plain(found))
    else:
        console.message(
            f"{found.versions:,} versions, {found.files:,} files ({found.bytes:,} bytes), "
            f"{found.events:,} events: {len(found.problems) or 'no'} problems"
        )
        for line in (*found.problems, *found.notes):
            console.message(f"  {line}")
    if found.problems:
        raise typer.Exit(3)


def gc(
    registry: Registry = HERE,
    keep: Annotated[int | None, typer.Option(help="Newest versions of each name that stay")] = None,
    grace: Annotated[str, typer.Option(help="What is younger stays, such as 12h or 30d")] = "1d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go")] = False,
    reason: Reason = "", actor: Actor = None, as_json: Json = False,
) -> None:
    """Remove files that no version needs; with --keep, give up old versions first."""
    from fettle import upkeep
    from fettle.store import records

    done = upkeep.collect(
        registry=registry, keep=keep, grace_days=_days(grace), dry=dry_run, reason=reason,
        actor=actor,
    )
    if as_json:
        _print(records.to_plain(done))
        return
    would = "would be " if done.dry else ""
    for version in done.versions:
        console.message(f"{version} {would}given up; its entry and its history stay")
    console.message(f"{done.files:,} files ({done.bytes:,} bytes) {would}removed")
    if done.kept_back:
        console.message(f"{done.kept_back:,} files that nothing needs are younger than {grace}")


def _events(events: Iterable[dict[str, Any]]) -> None:
    console.table("", ["", "when", "what", "who", "why"], (
        [one["id"], one["at"], _happened(one), one["actor"], one["reason"]] for one in events
    ))


def _happened(event: dict[str, Any]) -> str:
    """One event in a few words."""
    name, detail = event["name"], event["detail"]
    version = f"{name}@{detail.get('number')}"
    verdict = detail.get("verdict", {})
    match event["event"]:
        case "publish":
            return f"{version} published"
        case "champion" | "challenger":
            return f"{version} is {event['event']}"
        case "promote":
            forced = f", forced: {verdict['decision']}" if verdict.get("forced") else ""
            return f"{version} promoted over {name}@{detail['from']}{forced}"
        case "rollback":
            return f"back to {version} from {name}@{detail['from']}"
        case "gate":
            return f"{verdict.get('challenger', name)} not promoted: {verdict.get('decision', '')}"
        case "collect":
            return f"given up: {', '.join(detail['versions'])}"
    return str(event["event"])


def _scores(scores: Iterable[dict[str, Any]]) -> str:
    return "; ".join(str(Score(**one)) for one in scores)


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 44 else f"{text[:41]}..."


def _days(text: str) -> float:
    """12h, 30d, 2w and 7 as days."""
    units = {"h": 1 / 24, "d": 1.0, "w": 7.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "d")
    try:
        return float(number) * units[unit]
    except ValueError:
        raise SettingError(
            f"--grace is {text!r}; such as 12h, 30d or 2w is what it takes."
        ) from None


def _print(value: object) -> None:
    console.message(json.dumps(value, ensure_ascii=False))
