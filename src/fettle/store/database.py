"""The registry's database: SQLite in a folder, or PostgreSQL by URL; one writer at a time.

A reader never waits for a writer and locks nothing. A writer takes the one lock before it looks
at anything (SQLite: BEGIN IMMEDIATE; PostgreSQL: the row of `head`), so that what it saw is true
until it is done.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from fettle.core.errors import SettingError, StoreError
from fettle.store import failpoints, folders, mounts
from fettle.store.migrations import bring_up_to_date
from fettle.store.places import is_url
from fettle.store.tables import HEAD, SCHEMA, schema_of

__all__ = ["Database"]

PATIENCE_SECONDS = 30.0
"""How long a writer waits for the one before it. Fifty at once took under three."""
REACHED = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Of PostgreSQL, seconds and milliseconds: a server that has gone without a word is told as such
within a minute, where the system's own patience is hours, in which nobody would follow a pointer.
"""


class Database:
    """One database, found or made."""

    def __init__(self, place: str, *, create: bool) -> None:
        self.notes: tuple[str, ...] = ()
        self.shown = place
        self._file = None if is_url(place) else Path(place) / "registry.db"
        if self._file is None:
            self._engine = _postgres(place)
            self.shown = self._engine.url.render_as_string(hide_password=True)
        else:
            if not create and not self._file.is_file():
                raise self._missing()
            self._engine = self._sqlite(self._file)
        sql.event.listen(self._engine, "before_cursor_execute", _reach)
        self._open(create)

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """A view of one moment; nothing is locked and nothing can be changed."""
        with self._told(), self._engine.connect() as plain:
            connection = plain
            if self._file is None:
                connection = plain.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """The only writer, until the block ends; all of it is kept, or nothing."""
        with self._locked() as connection:
            if self._file is None:
                connection.execute(sql.select(HEAD).with_for_update())
            failpoints.reach("begin")
            yield connection
            failpoints.reach("commit")

    def quick_check(self) -> list[str]:
        """What SQLite finds wrong with its own pages; empty for a database that looks after it."""
        if self._file is None:
            return []
        with self.reading() as connection:
            found = connection.scalars(sql.text("PRAGMA quick_check")).all()
        return [] if found == ["ok"] else [f"{self._file}: {line}." for line in found]

    @contextmanager
    def _locked(self) -> Iterator[sql.Connection]:
        with self._told(), self._engine.connect() as plain:
            connection = plain.execution_options(fettle_writes=True)
            if self._file is None:
                connection = plain.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                if self._file is None:
                    patience = f"SET LOCAL lock_timeout = '{PATIENCE_SECONDS:.0f}s'"
                    connection.exec_driver_sql(patience)
                yield connection
            failpoints.reach("committed")

    def _open(self, create: bool) -> None:
        """Today's tables, whatever was there; a database that has them is only read."""
        with self.reading() as connection:
            found = schema_of(connection, place=self.shown)
        if found == SCHEMA:
            return
        if not found and not create:
            raise self._missing()
        with self._locked() as connection:
            if self._file is None:
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(70391817)")
            found = schema_of(connection, place=self.shown)  # another may have been quicker
            if found != SCHEMA:
                bring_up_to_date(connection, found)

    def _sqlite(self, path: Path) -> sql.Engine:
        kind = mounts.shared_kind(path.parent)
        if kind is not None:
            self.notes = (
                f"{path.parent} lies on {kind}, which other machines may share: the database there "
                "keeps a slower journal that is safe on it. For more than one machine at a time "
                "take PostgreSQL: --registry postgresql://...",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._disk(error) from error
        engine = sql.create_engine(
            sql.URL.create("sqlite", database=str(path)), poolclass=sql.NullPool,
            connect_args={"timeout": PATIENCE_SECONDS},
        )
        sql.event.listen(engine, "connect", lambda raw, _: _settings(raw, shared=kind is not None))
        sql.event.listen(engine, "begin", _begin)
        return engine

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The database's own errors become ours."""
        try:
            yield
        except sql.exc.DBAPIError as error:
            raise self._refused(str(error.orig).strip()) from error
        except OSError as error:
            raise self._disk(error) from error

    def _disk(self, error: OSError) -> StoreError:
        """What the system said about the file, or about the way to the server."""
        if self._file is None:
            return self._refused(error.strerror or str(error))
        return folders.refused("open the registry", self._file, error)

    def _refused(self, why: str) -> StoreError:
        if self._file is None:
            return StoreError(
                f"The registry {self.shown} did not answer: {why}. Check the address, that the "
                "server runs, and that the user may make tables in this database."
            )
        hint = (
            "Check that the folder may be written to, and that the file is a fettle registry."
        )
        if "is full" in why:
            hint = "Make room and give the same command again."
        if "malformed" in why or "not a database" in why:
            hint = (
                "The file is damaged, or was copied while it was written to. Restore it from a "
                "copy made while nothing was published, or with SQLite's own: sqlite3 registry.db "
                "\"VACUUM INTO 'copy.db'\"."
            )
        return StoreError(f"Could not open the registry {self._file}: {why}. {hint}")

    def _missing(self) -> SettingError:
        return SettingError(
            f"There is no registry in {self.shown}. Make one with `fettle tune`, or name its place "
            "with --registry."
        )


def _settings(raw: Any, *, shared: bool) -> None:
    """Of each connection. The journal is changed by who has the file alone: tried until then."""
    raw.isolation_level = None
    raw.execute("PRAGMA foreign_keys=ON")
    if shared:
        raw.execute("PRAGMA locking_mode=EXCLUSIVE")  # no memory is shared, as WAL would do
    wanted = "delete" if shared else "wal"
    until = time.monotonic() + PATIENCE_SECONDS
    while raw.execute("PRAGMA journal_mode").fetchone()[0] != wanted:
        try:
            raw.execute(f"PRAGMA journal_mode={wanted}").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
    if shared:
        raw.execute("PRAGMA locking_mode=NORMAL")
    raw.execute(f"PRAGMA synchronous={'EXTRA' if shared else 'FULL'}")


def _reach(*given: Any) -> None:
    """A place to fail at before each statement that changes something."""
    statement: str = given[2]
    if not statement.startswith(("SELECT", "BEGIN", "PRAGMA q", "SET", "\nSELECT")):
        failpoints.reach(f"sql {statement.split(maxsplit=1)[0].lower()}")


def _begin(connection: sql.Connection) -> None:
    writes = connection.get_execution_options().get("fettle_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres(place: str) -> sql.Engine:
    """PostgreSQL through psycopg, by whatever name the URL calls it."""
    try:
        url = sql.make_url(place)
    except (sql.exc.ArgumentError, ValueError) as error:
        raise SettingError(
            "--registry is no URL that can be read; postgresql://USER@HOST/DATABASE is the form, "
            "and a folder is what it takes for SQLite."
        ) from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingError(
            f"--registry names a {url.get_backend_name()} database; a folder (SQLite) or "
            "postgresql://USER@HOST/DATABASE is what it takes."
        )
    try:
        engine = sql.create_engine(
            url.set(drivername="postgresql+psycopg"), poolclass=sql.NullPool,
            connect_args=REACHED,
        )
    except ModuleNotFoundError as error:
        raise SettingError(
            "A registry in PostgreSQL needs psycopg: pip install 'fettle[postgres]'."
        ) from error
    return engine
