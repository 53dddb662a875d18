"""The registry: which versions a name has, which one is its champion, and who moved what, and why.

SQLite by default, in one folder that can be copied; PostgreSQL by URL. A version is referenced
only after every one of its files is in the blobs' place. A pointer is moved by compare-and-swap:
whoever saw an older generation is refused. Everything that happens is in the event log.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from fettle.core.errors import PointerMoved, SettingError, StoreError, unknown_name
from fettle.core.upkeep import Event, Pointer
from fettle.store import events
from fettle.store.blobs import Blobs
from fettle.store.database import Database
from fettle.store.names import require_model_name, require_paths
from fettle.store.places import is_url
from fettle.store.tables import ABOUT, OPENINGS, POINTERS, VERSIONS, digest

__all__ = ["Registry"]

LONGEST_REASON = 2000


class Registry:
    """The versions in one place."""

    def __init__(
        self, place: str | Path, *, blobs: str | None = None, create: bool = True,
        actor: str | None = None,
    ) -> None:
        """Open the registry there, or make it.

        Args:
            place: a folder (SQLite), or postgresql://USER@HOST/DATABASE.
            blobs: where the files go; beside the database where it is a folder. It is written
                down in the database when that is made, so that it is named once.
            create: whether to make what is not there.
            actor: who the log says it was; by default user@host.

        Raises:
            SettingError: there is none and none is to be made; or the blobs' place is not known,
                or not the one that the registry was made with.
            StoreError: it cannot be opened, or a newer fettle wrote it.
        """
        self.actor = _plain("--actor", actor or events.this_actor())
        self.database = Database(str(place), create=create)
        self.place = self.database.shown
        self.root = None if is_url(str(place)) else Path(place)
        self.blobs = Blobs(self._blobs_place(blobs))

    def publish(
        self, name: str, folder: Path, manifest: Mapping[str, Any], *, identity: str | None = None
    ) -> tuple[int, dict[str, str]]:
        """One more version of this name, made of every file in the folder.

        Args:
            name: of the model.
            folder: holds the version's files.
            manifest: what is to be known of it; its files, their sizes and its parent are added.
            identity: a hash of what makes it what it is; where a version of this name has the
                same, that one is the answer and nothing is entered. A command that is given again
                after it was killed makes no second version.

        Returns:
            Its number, counted from 1, and the sha256 of each file by its path. The first version
            of a name becomes its champion, a later one its challenger.
        """
        require_model_name(name)
        paths = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        require_paths(paths, place=str(folder))
        held = {path: self.blobs.put(source) for path, source in paths.items()}
        sizes = {path: source.stat().st_size for path, source in paths.items()}
        with self.database.writing() as connection:
            for path, blob in held.items():  # gc may have come between
                if not self.blobs.holds(blob):
                    self.blobs.put(paths[path])
            before = self._same(connection, name, identity)
            if before is not None:
                return before, held
            number = 1 + (connection.scalar(
                sql.select(sql.func.max(VERSIONS.c.number)).where(VERSIONS.c.name == name)
            ) or 0)
            champion = _pointers(connection, name).get("champion")
            parent = f"{name}@{champion.number}" if champion else None
            text = json.dumps({**manifest, "parent": parent, "files": held, "bytes": sizes})
            connection.execute(VERSIONS.insert().values(
                name=name, number=number, at=events.now(), manifest=text, sha256=digest(text),
                identity=identity,
            ))
            detail = {"number": number, "manifest": digest(text)}
            events.append(connection, name, "publish", actor=self.actor, detail=detail)
            pointer = "challenger" if champion else "champion"
            generation = _point(connection, name, pointer, number)
            events.append(
                connection, name, pointer, actor=self.actor,
                reason="" if champion else "the first version",
                detail={"number": number, "generation": generation},
            )
        return number, held

    def find(self, reference: str) -> tuple[str, int, dict[str, Any]]:
        """Name, number and manifest of NAME (its champion), NAME@N or NAME@POINTER.

        Raises:
            UnknownName: there is no such name or number; the nearest name is offered.
            StoreError: its entry was altered, or its files were given up.
        """
        name, _, wanted = reference.partition("@")
        with self.database.reading() as connection:
            names = set(connection.scalars(sql.select(VERSIONS.c.name).distinct()))
            if name not in names:
                raise unknown_name("model", name, names or {"(none yet)"}, place=self.place)
            numbers = set(
                connection.scalars(sql.select(VERSIONS.c.number).where(VERSIONS.c.name == name))
            )
            pointer = _pointers(connection, name).get(wanted or "champion")
            number = int(wanted) if wanted.isdecimal() else pointer.number if pointer else -1
            if number not in numbers:
                raise unknown_name(f"version of {name}", wanted, {str(n) for n in numbers})
            row = connection.execute(sql.select(VERSIONS).where(
                VERSIONS.c.name == name, VERSIONS.c.number == number
            )).one()
        if row.collected:
            raise StoreError(
                f"{name}@{number} was given up by `fettle gc` on {row.collected}: its entry and "
                f"its history are kept, its files are not. Choose another of `fettle versions`."
            )
        if digest(row.manifest) != row.sha256:
            raise StoreError(
                f"The entry of {name}@{number} in {self.place} was altered. Restore the registry "
                "from a copy; `fettle verify` tells what else is wrong."
            )
        return name, number, json.loads(row.manifest)

    def paths(self, manifest: Mapping[str, Any]) -> dict[str, Path]:
        """Where each file of a version lies, once its bytes are known to be right.

        Raises:
            CorruptFile: a file is missing or altered.
        """
        require_paths(manifest["files"], place=self.place)
        return {name: self.blobs.path(digest) for name, digest in manifest["files"].items()}

    def versions(self, name: str | None = None) -> list[dict[str, Any]]:
        """Every version, oldest first: name, number, at, champion, pointers, collected, manifest.

        Raises:
            UnknownName: there is no version of this name.
        """
        query = sql.select(VERSIONS).order_by(VERSIONS.c.name, VERSIONS.c.number)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
            pointers = connection.execute(
                sql.select(POINTERS).order_by(POINTERS.c.pointer)
            ).all()
        names = {row.name for row in rows}
        if name is not None and name not in names:
            raise unknown_name("model", name, names or {"(none yet)"}, place=self.place)
        at: dict[tuple[str, int], list[str]] = {}
        for one in pointers:
            at.setdefault((one.name, one.number), []).append(one.pointer)
        return [
            {
                "name": row.name,
                "number": row.number,
                "at": row.at,
                "champion": "champion" in at.get((row.name, row.number), ()),
                "pointers": at.get((row.name, row.number), []),
                "collected": row.collected,
                "manifest": json.loads(row.manifest),
            }
            for row in rows
            if name in (None, row.name)
        ]

    def pointers(self, name: str) -> dict[str, Pointer]:
        """Where champion, challenger and previous point; those that point anywhere."""
        with self.database.reading() as connection:
            return _pointers(connection, name)

    def move(
        self, name: str, number: int, *, seen: Pointer, event: str, reason: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> Pointer:
        """Make this version the champion; what was the champion is `previous` from now on.

        Args:
            name: of the model.
            number: of the version.
            seen: the champion when it was decided to move it.
            event: what the log calls it: promote or rollback.
            reason: why, in the words of whoever did it.
            detail: more for the log, such as the Verdict.

        Returns:
            The champion as it is now.

        Raises:
            PointerMoved: the champion is not the one that was seen; nothing was changed.
        """
        reason = _plain("--reason", reason)
        with self.database.writing() as connection:
            there = sql.select(VERSIONS.c.collected).where(
                VERSIONS.c.name == name, VERSIONS.c.number == number
            )
            if connection.execute(there).one_or_none() != (None,):
                raise StoreError(f"{name}@{number} is not there any more. Nothing was changed.")
            swapped = connection.execute(
                POINTERS.update()
                .where(
                    POINTERS.c.name == name, POINTERS.c.pointer == "champion",
                    POINTERS.c.generation == seen.generation, POINTERS.c.number == seen.number,
                )
                .values(number=number, generation=seen.generation + 1)
            )
            if swapped.rowcount != 1:
                raise self._moved(connection, name, seen)
            _point(connection, name, "previous", seen.number)
            connection.execute(POINTERS.delete().where(
                POINTERS.c.name == name, POINTERS.c.pointer == "challenger",
                POINTERS.c.number == number,
            ))
            told = {"from": seen.number, "number": number, "generation": seen.generation + 1}
            events.append(
                connection, name, event, actor=self.actor, reason=reason,
                detail={**told, **(detail or {})},
            )
        return Pointer(number, seen.generation + 1)

    def log(self, name: str, event: str, *, reason: str = "", detail: Mapping[str, Any]) -> None:
        """Write down what happened and changed no pointer."""
        reason = _plain("--reason", reason)
        with self.database.writing() as connection:
            events.append(
                connection, name, event, actor=self.actor, reason=reason, detail=detail
            )

    def history(self, name: str | None = None) -> list[Event]:
        """The events of a name, or all, oldest first."""
        with self.database.reading() as connection:
            found = events.listed(connection, name)
        if name is not None and not found:
            self.versions(name)  # says which names there are
        return found

    def count_opening(self, test: str, reason: str) -> int:
        """Write down that these test rows are looked at; how many times that was by now."""
        with self.database.writing() as connection:
            connection.execute(
                OPENINGS.insert().values(test=test, at=events.now(), reason=reason)
            )
            counted = sql.select(sql.func.count()).where(OPENINGS.c.test == test)
            return int(connection.scalar(counted) or 0)

    def _same(self, connection: sql.Connection, name: str, identity: str | None) -> int | None:
        if identity is None:
            return None
        return connection.scalar(sql.select(sql.func.max(VERSIONS.c.number)).where(
            VERSIONS.c.name == name, VERSIONS.c.identity == identity,
            VERSIONS.c.collected.is_(None),
        ))

    def _moved(self, connection: sql.Connection, name: str, seen: Pointer) -> PointerMoved:
        now = _pointers(connection, name)["champion"]
        last = events.listed(connection, name)[-1]
        return PointerMoved(
            f"The champion of {name} was moved meanwhile: it is {name}@{now.number} (generation "
            f"{now.generation}), and {name}@{seen.number} (generation {seen.generation}) was "
            f"compared with. Last came {last.event} by {last.actor} at {last.at}. Nothing was "
            "changed; give the command again to compare with the new champion."
        )

    def _blobs_place(self, asked: str | None) -> str:
        """Where the files go: as asked, as written down, or beside the database."""
        where = sql.select(ABOUT.c.value).where(ABOUT.c.key == "blobs")
        with self.database.reading() as connection:
            known = connection.scalar(where)
            used = connection.scalar(sql.select(sql.func.count()).select_from(VERSIONS))
        beside = str(self.root / "blobs") if self.root is not None else None
        if asked is not None and not is_url(asked):
            asked = str(Path(asked).absolute())
        lie = known or (str(Path(beside).absolute()) if beside else None)
        if asked is None or asked == lie:
            if lie is None:
                raise SettingError(
                    f"The registry {self.place} does not know yet where its files go. Name a "
                    "folder that every machine sees, or a URL, with --blobs; it is written down."
                )
            return str(known or beside)
        if known is not None or used:
            raise SettingError(
                f"The files of the registry {self.place} lie in {lie}, and --blobs names {asked}. "
                "Leave --blobs away, or name another registry."
            )
        with self.database.writing() as connection:
            if connection.scalar(where) is None:
                connection.execute(ABOUT.insert().values(key="blobs", value=asked))
        return self._blobs_place(asked)  # another process may have been quicker


def _pointers(connection: sql.Connection, name: str) -> dict[str, Pointer]:
    found = connection.execute(sql.select(POINTERS).where(POINTERS.c.name == name))
    return {row.pointer: Pointer(row.number, row.generation) for row in found}


def _point(connection: sql.Connection, name: str, pointer: str, number: int) -> int:
    """Put a pointer that nobody competes for; its new generation."""
    here = (POINTERS.c.name == name) & (POINTERS.c.pointer == pointer)
    before = connection.scalar(sql.select(POINTERS.c.generation).where(here))
    values = {"number": number, "generation": (before or 0) + 1}
    if before is None:
        connection.execute(POINTERS.insert().values(name=name, pointer=pointer, **values))
    else:
        connection.execute(POINTERS.update().where(here).values(**values))
    return values["generation"]


def _plain(option: str, text: str) -> str:
    """One text that a log can hold.

    Raises:
        SettingError: it is too long, or holds what cannot be printed.
    """
    text = text.strip()
    if len(text) > LONGEST_REASON or not all(one.isprintable() or one in "\n\t" for one in text):
        raise SettingError(
            f"{option} is one text of at most {LONGEST_REASON} characters that can be printed."
        )
    return text
