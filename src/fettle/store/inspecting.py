"""Inspecting: everything in a registry is read once more and compared with what was written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sql

from fettle.core.errors import StoreError
from fettle.core.upkeep import Event, Inspection
from fettle.store import events, names
from fettle.store.registry import Registry
from fettle.store.tables import POINTERS, VERSIONS, digest

__all__ = ["inspect"]


def inspect(registry: Registry) -> Inspection:
    """What is not as it was written: pages, log, entries, pointers, and every file's bytes."""
    database = registry.database
    wrong = database.quick_check()
    with database.reading() as connection:
        torn = events.broken(connection)
        log = [] if torn else events.listed(connection)
        rows = connection.execute(
            sql.select(VERSIONS).order_by(VERSIONS.c.name, VERSIONS.c.number)
        ).all()
        pointers = {
            (row.name, row.pointer): row.number for row in connection.execute(sql.select(POINTERS))
        }
    if torn:  # what the log says is then no measure for the rest
        wrong += [*torn, *(f"The entry of {row.name}@{row.number} was altered." for row in rows
                           if digest(row.manifest) != row.sha256)]
    else:
        wrong += _entries(rows, log) + _pointers(pointers, log)
    held: dict[str, list[str]] = {}
    for row in rows:
        if not row.collected:
            for path, blob in _files(row).items():
                held.setdefault(blob, []).append(f"{row.name}@{row.number}: {path}")
    found = [(blob, users, _fault(registry, blob)) for blob, users in held.items()]
    wrong += [f"{', '.join(users)}: {fault}" for _, users, fault in found if fault]
    there = {one.path: one for one in registry.blobs.listed()}
    spare = [one for one in there.values() if one.digest not in held]
    notes = [*database.notes]
    if spare:
        size = sum(one.bytes for one in spare)
        notes.append(
            f"{len(spare)} files ({size:,} bytes) belong to no version: a write that was broken "
            "off, or a version that was given up. `fettle gc` removes them."
        )
    return Inspection(
        versions=len(rows), files=len(held), events=len(log), problems=tuple(wrong),
        bytes=sum(one.bytes for one in there.values() if one.digest in held), notes=tuple(notes),
    )


def _entries(rows: Sequence[Any], log: Iterable[Event]) -> list[str]:
    """Every version's entry is the one that the log tells of, and none is missing."""
    told = {
        (one.name, one.detail["number"]): one.detail["manifest"]
        for one in log if one.event == "publish"
    }
    given_up = {version for one in log if one.event == "collect"
                for version in one.detail["versions"]}
    wrong = []
    for row in rows:
        id = f"{row.name}@{row.number}"
        hashed = told.pop((row.name, row.number), None)
        if hashed is None:
            wrong.append(f"{id} is in the registry, and the log does not tell of it.")
        elif not hashed == digest(row.manifest) == row.sha256:
            wrong.append(f"The entry of {id} was altered.")
        if bool(row.collected) != (id in given_up):
            wrong.append(f"The log and the entry of {id} differ on whether it was given up.")
    wrong += [f"{name}@{number} was published and is gone." for name, number in told]
    return wrong


def _pointers(found: Mapping[tuple[str, str], int], log: Iterable[Event]) -> list[str]:
    """Every pointer stands where the log says that it was moved to."""
    told: dict[tuple[str, str], Any] = {}
    for one in log:
        number = one.detail.get("number")
        if one.event in ("champion", "challenger"):
            told[one.name, one.event] = number
        elif one.event in ("promote", "rollback"):
            told[one.name, "champion"], told[one.name, "previous"] = number, one.detail["from"]
            if told.get((one.name, "challenger")) == number:
                del told[one.name, "challenger"]
    return [
        f"The {pointer} of {name} is {found.get((name, pointer), 'nowhere')}, and the log says "
        f"{told.get((name, pointer), 'nowhere')}."
        for name, pointer in sorted(found.keys() | told.keys())
        if found.get((name, pointer)) != told.get((name, pointer))
    ]


def _files(row: Any) -> Mapping[str, str]:
    """sha256 by path; none where the entry cannot be read, which is told elsewhere."""
    try:
        held = json.loads(row.manifest)["files"]
        names.require_paths(held, place="")
    except (ValueError, KeyError, TypeError, StoreError):
        return {}
    return held


def _fault(registry: Registry, blob: str) -> str | None:
    try:
        return registry.blobs.fault(blob)
    except StoreError as error:
        return str(error)
