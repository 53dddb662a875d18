"""The command that writes a version in another tool's form. It is part of `fettle`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fettle import console
from fettle.options import HERE, Json, Registry, Version

__all__ = ["export", "register"]


def register(app: typer.Typer) -> None:
    """Make this a command of the application."""
    app.command()(export)


def export(
    version: Version,
    to: Annotated[
        str, typer.Option(help="onnx, transformers, torch; peft of texts; timm, keras of pictures")
    ],
    out: Annotated[Path, typer.Option(help="A folder that is empty or not there yet")],
    registry: Registry = HERE, as_json: Json = False,
) -> None:
    """A version in another tool's form. Ends with 3, and no files, where that answers otherwise."""
    from fettle import upkeep
    from fettle.store import records

    with console.Watcher() as watcher:
        made = watcher.finish(upkeep.export(version, to, out, registry=registry))
    if as_json:
        plain = {**records.to_plain(made), "folder": str(out),
                 "largest_difference": made.largest_difference, "changed": made.changed,
                 **({} if made.several is None else {
                     "largest_probability": made.largest_probability})}
        console.message(json.dumps(plain, ensure_ascii=False))
        return
    console.message(f"{made.version} as {made.form}: {out}")
    console.message(made.sentence)
    for note in made.notes:
        console.message(note)
    if made.served_changed:
        console.message(
            f"`fettle predict` answers {made.served_changed} of these rows otherwise: it computes "
            f"in {made.served_precision} here, and the export in fp32."
        )
