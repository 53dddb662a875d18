"""The command about models: which are worth a try, and which lie here."""

import json
from dataclasses import asdict

import typer

from fettle import console
from fettle.options import Json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Hang the command in."""
    app.command("models")(_models)


def _models(as_json: Json = False) -> None:
    """Models that can be tuned: a short choice, with size, licence and what lies here."""
    from importlib.util import find_spec

    from fettle.models.known import KNOWN, SOURCES, is_here

    found = [{**asdict(one), "here": is_here(one.name)} for one in KNOWN]
    if as_json:
        console.message(json.dumps(found))
        return
    fetch = {one.name: one.fetch for one in KNOWN}
    for one in found:
        place = "here" if one["here"] else f"fetch: {fetch[one['name']]}"
        console.message(
            f"{one['name']}\n    {one['reads']}, {one['parameters']:g} M parameters, "
            f"{one['input']}; trained on {one['trained_on']}; {one['good_for']}; "
            f"{one['licence']}; {place}"
        )
    console.message("\n--model takes any of:")
    for what, (library, extra) in SOURCES.items():
        missing = "" if find_spec(library) else f"; install it: pip install '{extra}'"
        console.message(f"    {what}{missing}")
