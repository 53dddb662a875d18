"""The registry: which versions a name has, which one is its champion, and who looked at a test set.

SQLite by default, in one folder that can be copied; blobs lie beside it. A version is referenced
only after every one of its files is on the disk.
"""

import datetime
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from fettle.core.errors import StoreError, unknown_name
from fettle.store import blobs, files

__all__ = ["Registry"]

SCHEMA = 1
TABLES = sql.MetaData()
VERSIONS = sql.Table(
    "versions", TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("manifest", sql.Text, nullable=False),
    sql.Column("at", sql.String, nullable=False),
)
POINTERS = sql.Table(
    "pointers", TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("pointer", sql.String, primary_key=True),
    sql.Column("number", sql.Integer, nullable=False),
    sql.Column("generation", sql.Integer, nullable=False),
)
EVENTS = sql.Table(
    "events", TABLES,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("at", sql.String, nullable=False),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("event", sql.String, nullable=False),
    sql.Column("detail", sql.Text, nullable=False),
)
OPENINGS = sql.Table(
    "openings", TABLES,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("test", sql.String, nullable=False, index=True),
    sql.Column("at", sql.String, nullable=False),
    sql.Column("reason", sql.String, nullable=False),
)


class Registry:
    """The versions under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        path = root / "registry.db"
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._engine = sql.create_engine(f"sqlite:///{path}")
            sql.event.listen(self._engine, "connect", _settings)
            sql.event.listen(self._engine, "begin", _begin)
            with self._connected() as connection:
                self._migrate(connection)
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from error

    def publish(
        self, name: str, folder: Path, manifest: Mapping[str, Any]
    ) -> tuple[int, dict[str, str]]:
        """One more version of this name, made of every file in the folder.

        Returns:
            Its number, counted from 1, and the sha256 of each file by its path. The first version
            of a name becomes its champion.
        """
        held = {
            str(path.relative_to(folder)): blobs.put(self.root, path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        text = json.dumps({**manifest, "files": held}, ensure_ascii=False)
        with self._connected() as connection:
            last = connection.scalar(
                sql.select(sql.func.max(VERSIONS.c.number)).where(VERSIONS.c.name == name)
            )
            number = (last or 0) + 1
            connection.execute(
                VERSIONS.insert().values(name=name, number=number, manifest=text, at=_now())
            )
            _log(connection, name, "publish", {"number": number})
            if last is None:
                connection.execute(
                    POINTERS.insert().values(
                        name=name, pointer="champion", number=number, generation=1
                    )
                )
                _log(connection, name, "champion", {"number": number, "why": "the first version"})
        return number, held

    def find(self, reference: str) -> tuple[str, int, dict[str, Any]]:
        """Name, number and manifest of NAME (its champion) or NAME@N.

        Raises:
            UnknownName: there is no such name or number; the nearest name is offered.
        """
        name, _, wanted = reference.partition("@")
        with self._connected() as connection:
            names = set(connection.scalars(sql.select(VERSIONS.c.name).distinct()))
            if name not in names:
                raise unknown_name("model", name, names or {"(none yet)"}, place=str(self.root))
            numbers = set(
                connection.scalars(sql.select(VERSIONS.c.number).where(VERSIONS.c.name == name))
            )
            number = int(wanted) if wanted.isdecimal() else self._pointer(connection, name, wanted)
            if number not in numbers:
                raise unknown_name(f"version of {name}", wanted, {str(n) for n in numbers})
            manifest = connection.scalar(
                sql.select(VERSIONS.c.manifest).where(
                    VERSIONS.c.name == name, VERSIONS.c.number == number
                )
            )
        return name, number, json.loads(manifest or "{}")

    def paths(self, manifest: Mapping[str, Any]) -> dict[str, Path]:
        """Where each file of a version lies, once its bytes are known to be right.

        Raises:
            CorruptFile: a file is missing or altered.
        """
        return {
            name: files.require_hash(blobs.path_of(self.root, digest), digest)
            for name, digest in manifest["files"].items()
        }

    def versions(self, name: str | None = None) -> list[dict[str, Any]]:
        """Every version, oldest first: name, number, at, champion, manifest."""
        query = sql.select(VERSIONS).order_by(VERSIONS.c.name, VERSIONS.c.number)
        if name is not None:
            query = query.where(VERSIONS.c.name == name)
        with self._connected() as connection:
            champions = {
                row.name: row.number
                for row in connection.execute(
                    sql.select(POINTERS).where(POINTERS.c.pointer == "champion")
                )
            }
            return [
                {
                    "name": row.name,
                    "number": row.number,
                    "at": row.at,
                    "champion": champions.get(row.name) == row.number,
                    "manifest": json.loads(row.manifest),
                }
                for row in connection.execute(query)
            ]

    def count_opening(self, test: str, reason: str) -> int:
        """Write down that these test rows are looked at; how many times that was by now."""
        with self._connected() as connection:
            connection.execute(OPENINGS.insert().values(test=test, at=_now(), reason=reason))
            counted = sql.select(sql.func.count()).where(OPENINGS.c.test == test)
            return int(connection.scalar(counted) or 0)

    def _pointer(self, connection: sql.Connection, name: str, pointer: str) -> int:
        found = connection.scalar(
            sql.select(POINTERS.c.number).where(
                POINTERS.c.name == name, POINTERS.c.pointer == (pointer or "champion")
            )
        )
        return -1 if found is None else int(found)

    @contextmanager
    def _connected(self) -> Iterator[sql.Connection]:
        """A transaction; the database's own errors become ours."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sql.exc.DatabaseError as error:
            raise self._refused(str(error.orig)) from error

    def _refused(self, why: str) -> StoreError:
        return StoreError(
            f"Could not open the registry {self.root / 'registry.db'}: {why}. Check that there is "
            "room, that the folder may be written to, and that the file is a fettle registry."
        )

    def _migrate(self, connection: sql.Connection) -> None:
        version = int(connection.scalar(sql.text("PRAGMA user_version")) or 0)
        if version > SCHEMA:
            raise StoreError(
                f"{self.root} was written by a newer fettle (schema {version}, this one knows "
                f"{SCHEMA}). Update fettle, or name another folder with --registry."
            )
        if version < SCHEMA:
            TABLES.create_all(connection)
            connection.execute(sql.text(f"PRAGMA user_version = {SCHEMA}"))


def _settings(connection: Any, _: object) -> None:
    connection.isolation_level = None
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sql.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _log(connection: sql.Connection, name: str, event: str, detail: Mapping[str, Any]) -> None:
    connection.execute(
        EVENTS.insert().values(at=_now(), name=name, event=event, detail=json.dumps(detail))
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
