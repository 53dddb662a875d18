"""The event log: it only grows, and each entry carries the hash of the one before.

Whoever changes an entry, leaves one out or cuts off the end is found by `broken`, unless every
hash after it and the head were worked out again too: keep a copy of the last hash elsewhere.
"""

import datetime
import getpass
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sql

from fettle.core.upkeep import Event
from fettle.store.tables import EVENTS, HEAD, digest

__all__ = ["append", "broken", "listed", "now", "this_actor"]


def append(
    connection: sql.Connection, name: str, event: str, *, actor: str, reason: str = "",
    detail: Mapping[str, Any], at: str | None = None,
) -> None:
    """One more event, within the transaction that it tells of."""
    events, previous = connection.execute(sql.select(HEAD.c.events, HEAD.c.hash)).one()
    row = {
        "id": events + 1, "at": at or now(), "name": name, "event": event, "actor": actor,
        "reason": reason, "detail": json.dumps(detail), "previous": previous,
    }
    made = _hash(row)
    connection.execute(EVENTS.insert().values(**row, hash=made))
    connection.execute(HEAD.update().values(events=events + 1, hash=made))


def listed(connection: sql.Connection, name: str | None = None) -> list[Event]:
    """The events of a name, or all, oldest first."""
    query = sql.select(EVENTS).order_by(EVENTS.c.id)
    if name is not None:
        query = query.where(EVENTS.c.name == name)
    return [
        Event(**{**row._mapping, "detail": json.loads(row.detail)})
        for row in connection.execute(query)
    ]


def broken(connection: sql.Connection) -> list[str]:
    """A sentence for each place where the log is not the one that was written."""
    wrong: list[str] = []
    rows: Sequence[Any] = connection.execute(sql.select(EVENTS).order_by(EVENTS.c.id)).all()
    previous = ""
    for number, row in enumerate(rows, start=1):
        if row.id != number:
            wrong.append(f"Event {number} of the log is gone; the next one there is {row.id}.")
            break
        values = {key: value for key, value in row._mapping.items() if key != "hash"}
        if row.previous != previous or row.hash != _hash(values):
            wrong.append(f"Event {number} of the log ({row.event} {row.name}) was altered.")
            break
        previous = row.hash
    counted, last = connection.execute(sql.select(HEAD.c.events, HEAD.c.hash)).one()
    if not wrong and (counted, last) != (len(rows), previous):
        wrong.append(f"The log ends after {len(rows)} events; {counted} were written.")
    return wrong


def this_actor() -> str:
    """user@host of this process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container without a line in passwd
        user = f"user {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def now() -> str:
    """The time in UTC, to the second, as the registry writes it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _hash(row: Mapping[str, Any]) -> str:
    return digest(json.dumps(row, sort_keys=True))
