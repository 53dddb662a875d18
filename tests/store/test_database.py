"""Databases that are older, newer, broken, copied, or on a disk that others share."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, suppress

import pytest

from fettle.core.errors import FettleError, SettingError, StoreError
from fettle.core.upkeep import Pointer
from fettle.store import database, files, migrations, mounts
from fettle.store.inspecting import inspect
from fettle.store.registry import Registry

FIRST = (
    "CREATE TABLE versions (\n\tname VARCHAR NOT NULL, \n\tnumber INTEGER NOT NULL, \n\t"
    "manifest TEXT NOT NULL, \n\tat VARCHAR NOT NULL, \n\tPRIMARY KEY (name, number)\n);"
    "CREATE TABLE pointers (\n\tname VARCHAR NOT NULL, \n\tpointer VARCHAR NOT NULL, \n\t"
    "number INTEGER NOT NULL, \n\tgeneration INTEGER NOT NULL, \n\tPRIMARY KEY (name, pointer)\n);"
    "CREATE TABLE events (\n\tid INTEGER NOT NULL, \n\tat VARCHAR NOT NULL, \n\t"
    "name VARCHAR NOT NULL, \n\tevent VARCHAR NOT NULL, \n\tdetail TEXT NOT NULL, \n\t"
    "PRIMARY KEY (id)\n);"
    "CREATE TABLE openings (\n\tid INTEGER NOT NULL, \n\ttest VARCHAR NOT NULL, \n\t"
    "at VARCHAR NOT NULL, \n\treason VARCHAR NOT NULL, \n\tPRIMARY KEY (id)\n);"
    "CREATE INDEX ix_openings_test ON openings (test);"
    "PRAGMA user_version = 1;"
)
"""The schema of the first fettle, as SQLite told it."""


def of_the_first(folder):
    """A registry with two versions, as the first fettle left it."""
    from fettle.store.blobs import Blobs

    digest = Blobs(folder / "blobs").put(files.write_text(folder / "made" / "weights", "w"))
    shutil.rmtree(folder / "made")
    with closing(sqlite3.connect(folder / "registry.db")) as database:
        database.executescript("PRAGMA journal_mode=WAL;" + FIRST)
        at = "2026-11-01T00:00:00+00:00"
        for number in (1, 2):
            manifest = json.dumps({"n": number, "files": {"weights": digest}})
            database.execute("INSERT INTO versions VALUES ('m', ?, ?, ?)", (number, manifest, at))
        database.execute("INSERT INTO pointers VALUES ('m', 'champion', 1, 1)")
        for event, detail in (
            ("publish", {"number": 1}), ("champion", {"number": 1, "why": "the first version"}),
            ("publish", {"number": 2}),
        ):
            database.execute(
                "INSERT INTO events (at, name, event, detail) VALUES (?, 'm', ?, ?)",
                (at, event, json.dumps(detail)),
            )
        database.execute("INSERT INTO openings (test, at, reason) VALUES ('t', ?, 'r')", (at,))
        database.commit()
    return folder


def dump(folder):
    with closing(sqlite3.connect(folder / "registry.db")) as database:
        return list(database.iterdump())


def schema(folder):
    with closing(sqlite3.connect(folder / "registry.db")) as database:
        found = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")
        return found.fetchall(), database.execute("PRAGMA user_version").fetchone()


def test_a_registry_of_the_first_fettle_opens_with_all_that_it_held(tmp_path):
    registry = Registry(of_the_first(tmp_path))
    assert [(v["number"], v["champion"], v["manifest"]["n"]) for v in registry.versions("m")] == [
        (1, True, 1), (2, False, 2)
    ]  # fmt: skip
    assert registry.pointers("m") == {"champion": Pointer(1, 1)}
    assert [(e.id, e.event, e.reason) for e in registry.history("m")] == [
        (1, "publish", ""), (2, "champion", "the first version"), (3, "publish", "")
    ]  # fmt: skip
    assert registry.count_opening("t", "again") == 2
    assert registry.paths(registry.find("m")[2])["weights"].read_text() == "w"
    assert inspect(registry).problems == ()
    registry.move("m", 2, seen=Pointer(1, 1), event="promote")
    assert inspect(registry).problems == ()


def test_what_became_of_it_has_the_tables_of_a_new_one(tmp_path):
    Registry(of_the_first(tmp_path / "old"))
    Registry(tmp_path / "new")
    assert schema(tmp_path / "old") == schema(tmp_path / "new")


def test_a_migration_that_breaks_off_changes_nothing(tmp_path, monkeypatch):
    before = dump(of_the_first(tmp_path))

    def broken(*_, **__):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(migrations.events, "append", broken)
        with pytest.raises(sqlite3.OperationalError):
            Registry(tmp_path)
    assert dump(tmp_path) == before
    assert len(Registry(tmp_path).versions("m")) == 2


def test_a_registry_that_is_up_to_date_is_only_read(tmp_path, monkeypatch):
    Registry(tmp_path)
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.0)
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")  # whoever wanted to write would give up here
        registry = Registry(tmp_path, create=False)
        assert registry.versions() == []
        files.write_text(tmp_path / "made" / "weights", "w")
        with pytest.raises(StoreError, match="locked"):
            registry.publish("m", tmp_path / "made", {})


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_registry_of_a_newer_fettle_is_left_alone(tmp_path, request, kind):
    if kind == "sqlite":
        place, change = str(tmp_path), "PRAGMA user_version = 99"
    else:
        place = request.getfixturevalue("postgres")()
        change = "UPDATE about SET value = '99' WHERE key = 'schema'"
    registry = Registry(place, blobs=str(tmp_path / "blobs"))
    with registry.database.writing() as connection:
        connection.exec_driver_sql(change)
    with pytest.raises(StoreError, match=r"newer fettle \(schema 99.*Update fettle"):
        Registry(place)


def test_what_is_no_registry_is_refused_and_not_touched(tmp_path):
    (tmp_path / "registry.db").write_text("these are my notes\n" * 100)
    with pytest.raises(StoreError, match="Could not open the registry"):
        Registry(tmp_path)
    assert (tmp_path / "registry.db").read_text() == "these are my notes\n" * 100
    with pytest.raises(StoreError, match="Could not open the registry"):
        Registry(tmp_path / "registry.db")


def test_a_registry_without_one_of_its_tables_is_a_store_error(tmp_path):
    files.write_text(tmp_path / "made" / "weights", "w")
    registry = Registry(tmp_path / "r")
    with registry.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE events")
    with pytest.raises(StoreError, match="registry"):
        registry.publish("m", tmp_path / "made", {})
    assert registry.versions() == []


PUBLISHER = """
import sys
from pathlib import Path
from fettle.store.registry import Registry
registry = Registry(sys.argv[1])
while True:
    registry.publish("m", Path(sys.argv[2]), {})
    print(flush=True)
"""


def test_a_copy_taken_while_it_is_written_to_is_whole_or_says_that_it_is_not(tmp_path):
    files.write_text(tmp_path / "made" / "weights", "w")
    command = [sys.executable, "-c", PUBLISHER, str(tmp_path / "r"), str(tmp_path / "made")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, ended(process):
        for number in range(12):
            process.stdout.readline()
            said = told_of(copied(tmp_path / "r", tmp_path / f"copy{number}"))
            assert not said or "copied while" in said or "registry.db" in said, said
    assert told_of(copied(tmp_path / "r", tmp_path / "afterwards")) == ""


def copied(place, folder):
    """A copy of a registry, one file after the other, as cp does it."""
    folder.mkdir()
    for name in ("registry.db", "registry.db-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(place / name, folder / name)
    shutil.copytree(place / "blobs", folder / "blobs")
    return folder


@contextmanager
def ended(process):
    try:
        yield
    finally:
        process.kill()


def told_of(folder):
    """What a registry is told to be wrong with; empty where all is well."""
    try:
        return "".join(inspect(Registry(folder, create=False)).problems)
    except FettleError as error:
        return str(error)


def test_pages_that_were_altered_are_found(tmp_path):
    files.write_text(tmp_path / "made" / "weights", "w")
    registry = Registry(tmp_path / "r")
    for number in range(60):
        registry.publish("m", tmp_path / "made", {"n": number, "x": "y" * 500})
    path = tmp_path / "r" / "registry.db"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 40] = bytes(40)  # the head of a page
    path.write_bytes(bytes(content))
    assert "copied while it was written to" in told_of(tmp_path / "r")


def journal(registry):
    with registry.database.reading() as connection:
        return (
            connection.exec_driver_sql("PRAGMA journal_mode").scalar(),
            connection.exec_driver_sql("PRAGMA synchronous").scalar(),
            connection.exec_driver_sql("PRAGMA foreign_keys").scalar(),
        )


def test_the_journal_fits_the_disk_that_it_lies_on(tmp_path, monkeypatch):
    registry = Registry(tmp_path / "here")
    assert journal(registry) == ("wal", 2, 1)
    assert registry.database.notes == ()

    monkeypatch.setattr(mounts, "_mounts", lambda: f"server:/x {tmp_path} nfs4 rw 0 0\n")
    for name in ("there", "here"):  # made there, and one that was made on a disk of its own
        registry = Registry(tmp_path / name)
        assert journal(registry) == ("delete", 3, 1)
        assert "nfs4" in registry.database.notes[0]
        files.write_text(tmp_path / "made" / "weights", "w")
        registry.publish("m", tmp_path / "made", {})
        assert inspect(registry).problems == ()
        assert "nfs4" in inspect(registry).notes[0]


def test_without_psycopg_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingError, match=r"pip install 'fettle\[postgres\]'"):
        Registry("postgresql://host/db")
