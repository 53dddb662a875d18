"""The registry's tables, and which schema a database has."""

import hashlib

import sqlalchemy as sql

from fettle.core.errors import StoreError

__all__ = [
    "ABOUT", "EVENTS", "HEAD", "OPENINGS", "POINTERS", "SCHEMA", "TABLES", "VERSIONS", "digest",
    "schema_of",
]

SCHEMA = 2
TABLES = sql.MetaData()
VERSIONS = sql.Table(
    "versions", TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("at", sql.String, nullable=False),
    sql.Column("manifest", sql.Text, nullable=False),
    sql.Column("sha256", sql.String, nullable=False),  # of the manifest
    sql.Column("identity", sql.String),  # the same content is not entered twice
    sql.Column("collected", sql.String),  # when its files were given up
)
POINTERS = sql.Table(
    "pointers", TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("pointer", sql.String, primary_key=True),
    sql.Column("number", sql.Integer, nullable=False),
    sql.Column("generation", sql.Integer, nullable=False),
    sql.ForeignKeyConstraint(["name", "number"], ["versions.name", "versions.number"]),
)
EVENTS = sql.Table(
    "events", TABLES,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("at", sql.String, nullable=False),
    sql.Column("name", sql.String, nullable=False, index=True),
    sql.Column("event", sql.String, nullable=False),
    sql.Column("actor", sql.String, nullable=False),
    sql.Column("reason", sql.Text, nullable=False),
    sql.Column("detail", sql.Text, nullable=False),
    sql.Column("previous", sql.String, nullable=False),
    sql.Column("hash", sql.String, nullable=False),
)
HEAD = sql.Table(
    "head", TABLES,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("events", sql.Integer, nullable=False),
    sql.Column("hash", sql.String, nullable=False),
)
"""One row: how many events there are, and the last one's hash. Whoever writes locks it first."""
OPENINGS = sql.Table(
    "openings", TABLES,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("test", sql.String, nullable=False, index=True),
    sql.Column("at", sql.String, nullable=False),
    sql.Column("reason", sql.String, nullable=False),
)
ABOUT = sql.Table(
    "about", TABLES,
    sql.Column("key", sql.String, primary_key=True),
    sql.Column("value", sql.String, nullable=False),
)


def schema_of(connection: sql.Connection, *, place: str) -> int:
    """The schema that the database has; 0 where it has none yet.

    Raises:
        StoreError: a newer fettle wrote it, or something else did.
    """
    if connection.dialect.name == "sqlite":
        found = int(connection.scalar(sql.text("PRAGMA user_version")) or 0)
    else:
        there = sql.inspect(connection).has_table("about")
        asked = sql.select(ABOUT.c.value).where(ABOUT.c.key == "schema")
        found = int(connection.scalar(asked) or 0) if there else 0
    if found > SCHEMA:
        raise StoreError(
            f"{place} was written by a newer fettle (schema {found}, this one knows {SCHEMA}). "
            "Update fettle, or name another registry with --registry. Nothing was changed."
        )
    return found


def digest(text: str) -> str:
    """The sha256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
