"""The commands that let others ask a version: argv in, exit code out. They are part of `fettle`."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fettle import console, options
from fettle.core.errors import SettingError
from fettle.core.journal import Feedback
from fettle.options import HERE, Json, LabelSeparator, Registry, Version

__all__ = ["feedback", "register", "serve"]

SHOWN = 20
"""Of what was not entered, on the screen."""


def register(app: typer.Typer) -> None:
    """Make these commands of the application."""
    for command in (serve, feedback):
        app.command()(command)


def serve(
    version: Version, registry: Registry = HERE,
    host: Annotated[str, typer.Option(help="Beyond this machine only with a token")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="Its first line is what clients must send; or FETTLE_TOKEN")
    ] = None,
    deadline: Annotated[str, typer.Option(help="Of one request, such as 2s")] = "10s",
    read_timeout: Annotated[str, typer.Option(help="For a client to send its request")] = "10s",
    body_limit: Annotated[str, typer.Option(help="Of one request")] = "1MiB",
    picture_limit: Annotated[str, typer.Option(help="The same where pictures are read")] = "10MiB",
    rows: Annotated[int, typer.Option(help="Of one request, at most")] = 256,
    queue: Annotated[int, typer.Option(help="Rows that may wait; more are told to come back")]
    = 128,
    batch: Annotated[int, typer.Option(help="Rows that are answered together, at most")] = 32,
    wait: Annotated[float, typer.Option(help="Milliseconds a row waits for company")] = 0.0,
    poll: Annotated[str, typer.Option(help="Between two looks at who is champion")] = "2s",
    journal: Annotated[bool, typer.Option(help="Keep what was answered, for watch and feedback")]
    = True,
    journal_inputs: Annotated[
        bool, typer.Option("--journal-inputs", help="Keep the texts or pictures asked about, too")
    ] = False,
    journal_embeddings: Annotated[bool, typer.Option(help="Keep what the head saw")] = True,
    journal_limit: Annotated[str, typer.Option(help="The oldest files go beyond it")] = "2GiB",
    audit_share: Annotated[float, typer.Option(help="Of answers, flagged at random")] = 0.01,
) -> None:
    """A version over HTTP, until it is told to end. A new champion takes over by itself."""
    _require_extra()
    from fettle.web.desk import Limits
    from fettle.web.running import Serving
    from fettle.web.running import serve as run
    from fettle.web.telling import Keeping

    settings = Serving(
        host=host, port=port, token=_token(token_file),
        limits=Limits(
            body_bytes=options.size(body_limit, "--body-limit") or 0, rows=rows,
            picture_bytes=options.size(picture_limit, "--picture-limit") or 0,
            read_seconds=options.seconds(read_timeout, "--read-timeout") or 10.0,
            deadline_seconds=options.seconds(deadline, "--deadline") or 10.0,
        ),
        batch_rows=batch, queue_rows=queue, wait_seconds=wait / 1000,
        poll_seconds=options.seconds(poll, "--poll") or 2.0,
        journal_bytes=options.size(journal_limit, "--journal-limit") if journal else None,
        keeping=Keeping(journal_embeddings, journal_inputs, audit_share),
    )
    run(version, settings, registry=registry, say=console.error)


def feedback(
    name: Annotated[str, typer.Argument(help="Of the model")],
    file: Annotated[Path, typer.Argument(help="Columns id and label; as served and as it should")],
    registry: Registry = HERE,
    audit: Annotated[
        bool, typer.Option("--audit", help="All of the audit stream, whoever complained or not")
    ] = False,
    new_labels: Annotated[
        bool, typer.Option("--new-labels", help="Take labels that the model does not know")
    ] = False,
    label_separator: LabelSeparator = None,
    as_json: Json = False,
) -> None:
    """What the answers should have been, matched by prediction id; complaints, or the audit."""
    from fettle import feedback as story
    from fettle.store import records

    found, notes = story.enter(name, file, registry=registry, audit=audit, new_labels=new_labels,
                               label_separator=label_separator)
    if as_json:
        plain = records.to_plain(found)
        console.message(json.dumps({**plain, "entered": len(found.entered)}, ensure_ascii=False))
    else:
        _show(name, found, "audit" if audit else "user")
    for sentence in notes:
        console.error(sentence)


def _show(name: str, found: Feedback, kind: str) -> None:
    known = f"; {found.known:,} were known" if found.known else ""
    console.message(f"{len(found.entered):,} labels entered as {kind} feedback on {name}{known}")
    _list("ids are not in the journal, and their labels not entered", found.unknown)
    _list("ids are not of the audit stream, and their labels not entered", found.unaudited)
    _list(
        "labels are none of the classes, and not entered (--new-labels takes them)",
        [f"{label} ({rows:,} rows)" for label, rows in found.strange.items()],
    )
    _list(
        "ids have labels that contradict each other; all are kept, and none counts",
        [f"{id}: {', '.join(said)}" for id, said in found.contradicted.items()],
    )
    _list("rows have no id or no label", found.empty)


def _list(what: str, listed: Sequence[str]) -> None:
    """How many there are, and the first of them."""
    if not listed:
        return
    console.message(f"{len(listed):,} {what}:")
    for one in listed[:SHOWN]:
        console.message(f"  {one}")
    if len(listed) > SHOWN:
        console.message(f"  and {len(listed) - SHOWN:,} more; --json lists all")


def _token(path: Path | None) -> str | None:
    """The token in the file, else in the environment; none where neither is given."""
    if path is None:
        return os.environ.get("FETTLE_TOKEN") or None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise SettingError(f"--token-file {path} cannot be read: {error}.") from error
    token = lines[0].strip() if lines else ""
    if not token:
        raise SettingError(f"--token-file {path} holds no token in its first line.")
    return token


def _require_extra() -> None:
    try:
        import httptools  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise SettingError(
            f"fettle serve needs {error.name}, which is not installed: "
            "pip install 'fettle[serve]'."
        ) from error
