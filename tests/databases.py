"""Databases for tests: a folder for SQLite, and a PostgreSQL server that lives as long as they do.

The server is Debian's, from the path or its own folder. It refuses root, so it runs as a user
without rights. Where there is none, its tests are skipped here and fail in CI.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fettle.store.registry import Registry

Url = str


@dataclass(frozen=True)
class Place:
    """Where a registry lies."""

    registry: str
    blobs: Path

    def open(self, **given) -> Registry:
        return Registry(self.registry, blobs=str(self.blobs), **given)


def _found(name: str) -> str | None:
    in_debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(in_debian[-1]) if in_debian else None)


def _user() -> dict[str, str]:
    """As whom the server runs: a user without rights where this process is root."""
    if os.geteuid():
        return {}
    known = {one.pw_name for one in pwd.getpwall()}
    name = "postgres" if "postgres" in known else "nobody"
    return {"user": name, "group": str(pwd.getpwnam(name).pw_gid)}


def _run(*command: str, **given) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **given)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], Url]]:
    """postgres() is the URL of an empty database."""
    initdb, control = _found("initdb"), _found("pg_ctl")
    if initdb is None or control is None:
        missing = "There is no PostgreSQL here: apt-get install postgresql"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    folder = Path(tempfile.mkdtemp(prefix="fettle-postgres-"))
    user = _user()
    if user:
        os.chown(folder, pwd.getpwnam(user["user"]).pw_uid, int(user["group"]))
        user["group"] = int(user["group"])
    options = {**user, "cwd": folder, "env": {**os.environ, "LC_ALL": "C"}}
    data, log = str(folder / "data"), str(folder / "log")
    _run(initdb, "-D", data, "-U", "fettle", "-A", "trust", "-E", "UTF8", "--no-sync", **options)
    settings = f"-c listen_addresses='' -k '{folder}' -c max_connections=200"
    _run(control, "-D", data, "-l", log, "-w", "-t", "600", "-o", settings, "start", **options)

    def empty() -> Url:
        import psycopg

        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(
            f"postgresql://fettle@/postgres?host={folder}", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://fettle@/{name}?host={folder}"

    try:
        yield empty
    finally:
        _run(control, "-D", data, "-m", "immediate", "-t", "600", "stop", **options)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place for a registry, of each kind of database in turn."""
    if request.param == "sqlite":
        return Place(str(tmp_path / "registry"), tmp_path / "registry" / "blobs")
    return Place(request.getfixturevalue("postgres")(), tmp_path / "blobs")
