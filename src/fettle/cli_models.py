"""The command about models: which are worth a try, and which lie here."""

import json
from dataclasses import asdict

import typer

from fettle import console
from fettle.options import Json

__all__ = ["register"]

TASKS = "Each of them can be tuned to one label a row, to several, and to a number."


def register(app: typer.Typer) -> None:
    """Hang the command in."""
    app.command("models")(_models)


def _models(as_json: Json = False) -> None:
    """Models that can be tuned: a short choice, with size, task, licence and what lies here."""
    from importlib.util import find_spec

    from fettle.models.known import KNOWN, SOURCES, in_cache, is_here

    others = in_cache()
    found = [
        {**asdict(one), "source": one.source, "fetch": one.fetch,
         "here": one in others or is_here(one.name)}
        for one in (*KNOWN, *others)
    ]
    if as_json:
        console.message(json.dumps(found))
        return
    for one in found:
        place = "here" if one["here"] else f"fetch: {one['fetch']}"
        trained = f"trained on {one['trained_on']}" if one["trained_on"] else ""
        said = (f"{one['reads']}, {one['parameters']:g} M parameters", one["input"], trained,
                one["good_for"], one["licence"], one["source"])
        console.message(f"{one['name']}\n    {'; '.join(filter(None, said))}\n    {place}")
    console.message(f"\n{TASKS}")
    console.message("\n--model takes any of:")
    for what, (library, extra) in SOURCES.items():
        missing = "" if find_spec(library) else f"; install it: pip install '{extra}'"
        console.message(f"    {what}{missing}")
