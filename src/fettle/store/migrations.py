"""How an empty or an older database becomes one of today's; all of it in one transaction."""

import json
from typing import Any

import sqlalchemy as sql

from fettle.store import events
from fettle.store.tables import ABOUT, HEAD, POINTERS, SCHEMA, TABLES, VERSIONS, digest

__all__ = ["bring_up_to_date"]


def bring_up_to_date(connection: sql.Connection, found: int) -> None:
    """Make the tables, or turn those of an older schema into today's; all in one transaction."""
    old = found == 1
    if old:
        for name in ("versions", "pointers", "events"):
            connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO old_{name}")
    TABLES.create_all(connection)
    connection.execute(HEAD.insert().values(id=1, events=0, hash=""))
    if old:
        _from_first(connection)
        for name in ("pointers", "events", "versions"):
            connection.exec_driver_sql(f"DROP TABLE old_{name}")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA}")
    else:
        connection.execute(ABOUT.insert().values(key="schema", value=str(SCHEMA)))


def _from_first(connection: sql.Connection) -> None:
    """Schema 1 had no hashes and no actors; the rows are the same, and in the same order."""
    hashes = {}
    for row in _all(connection, "versions"):
        hashes[row["name"], row["number"]] = digest(row["manifest"])
        connection.execute(
            VERSIONS.insert().values(**row, sha256=hashes[row["name"], row["number"]])
        )
    for row in _all(connection, "pointers"):
        connection.execute(POINTERS.insert().values(**row))
    for row in _all(connection, "events"):
        detail = json.loads(row["detail"])
        if row["event"] == "publish":
            detail["manifest"] = hashes[row["name"], detail["number"]]
        reason = detail.pop("why", "")
        events.append(
            connection, row["name"], row["event"], actor="(before actors were written down)",
            reason=reason, detail=detail, at=row["at"],
        )


def _all(connection: sql.Connection, name: str) -> list[dict[str, Any]]:
    order = "id" if name == "events" else "name"
    found = connection.exec_driver_sql(f"SELECT * FROM old_{name} ORDER BY {order}")
    return [dict(row._mapping) for row in found]
