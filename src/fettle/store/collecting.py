"""Collecting: files that nothing needs any more are removed, and never one that something needs.

First the versions to give up are marked, with an event; only then are files removed, those that
no version refers to, by whoever holds the registry's one lock. A publish that runs meanwhile looks
again for its files once it has the lock, so what is removed here is never referred to there.
"""

import datetime
import itertools
import json
from collections.abc import Sequence, Set

import sqlalchemy as sql

from fettle.core.upkeep import Collection
from fettle.store import events
from fettle.store.blobs import Found
from fettle.store.registry import Registry
from fettle.store.tables import POINTERS, VERSIONS

__all__ = ["collect"]

DAY = 86_400.0
Key = tuple[str, int]
"""Name and number of a version."""


def collect(
    registry: Registry, *, keep: int | None = None, grace_days: float = 1.0, dry: bool = False,
    reason: str = "",
) -> Collection:
    """Remove files that no version refers to; on request, give up old versions first.

    Args:
        registry: where.
        keep: of each name, how many of the newest versions stay; all where not given. Champion,
            previous and challenger stay in any case, and so does the entry of each version.
        grace_days: what is younger stays: somebody may be about to publish it.
        dry: only say what would be removed.
        reason: for the log.
    """
    with registry.database.reading() as connection:
        given_up = _old(connection, keep, grace_days)
        kept = _referred(connection, without=given_up)
    spare, young = _spare(registry, kept, grace_days)
    if dry or not (spare or given_up):
        return _collection(given_up, spare, young, dry=dry)
    with registry.database.writing() as connection:
        given_up = _old(connection, keep, grace_days)  # once more, now that nobody else writes
        _give_up(connection, registry, given_up, reason)
    with registry.database.writing() as connection:
        spare, young = _spare(registry, _referred(connection), grace_days)
        for one in spare:
            registry.blobs.remove(one)
    return _collection(given_up, spare, young, dry=False)


def _collection(
    given_up: list[Key], spare: list[Found], young: int, *, dry: bool
) -> Collection:
    return Collection(
        versions=tuple(f"{name}@{number}" for name, number in given_up),
        files=len(spare), bytes=sum(one.bytes for one in spare), dry=dry, kept_back=young,
    )


def _old(connection: sql.Connection, keep: int | None, grace_days: float) -> list[Key]:
    """The versions that nothing points to, beyond the newest `keep` of their name."""
    if keep is None:
        return []
    until = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=grace_days)
    pointed = {(row.name, row.number) for row in connection.execute(sql.select(POINTERS))}
    rows = connection.execute(
        sql.select(VERSIONS.c.name, VERSIONS.c.number, VERSIONS.c.at)
        .where(VERSIONS.c.collected.is_(None))
        .order_by(VERSIONS.c.name, VERSIONS.c.number.desc())
    ).all()
    found = []
    for name, of_name in itertools.groupby(rows, key=lambda row: row.name):
        for row in list(of_name)[keep:]:
            young = datetime.datetime.fromisoformat(row.at) > until
            if not young and (name, row.number) not in pointed:
                found.append((name, row.number))
    return found


def _referred(connection: sql.Connection, without: Sequence[Key] = ()) -> set[str]:
    """The sha256 of every file that a version needs."""
    rows = connection.execute(sql.select(VERSIONS).where(VERSIONS.c.collected.is_(None)))
    return {
        blob
        for row in rows
        if (row.name, row.number) not in without
        for blob in json.loads(row.manifest)["files"].values()
    }


def _spare(registry: Registry, kept: Set[str], grace_days: float) -> tuple[list[Found], int]:
    """What no version needs and is old enough to go, and how many files are too young."""
    spare = [one for one in registry.blobs.listed() if one.digest not in kept]
    old = [one for one in spare if one.seconds >= grace_days * DAY]
    return old, len(spare) - len(old)


def _give_up(
    connection: sql.Connection, registry: Registry, given_up: Sequence[Key], reason: str
) -> None:
    for name, number in given_up:
        connection.execute(
            VERSIONS.update()
            .where(VERSIONS.c.name == name, VERSIONS.c.number == number)
            .values(collected=events.now())
        )
    for name, of_name in itertools.groupby(given_up, key=lambda key: key[0]):
        events.append(
            connection, name, "collect", actor=registry.actor, reason=reason,
            detail={"versions": [f"{name}@{number}" for _, number in of_name]},
        )
