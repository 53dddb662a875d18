"""The journal: what a served version answered and what was said of it, one JSON object a line.

`.fettle/journal/NAME/` holds files of answers, each named by the second in which it was begun
(`20261121T160509Z-0.jsonl`), and `feedback.jsonl`. They only grow. Every writer begins a file of
its own, so that several servers of one name share a folder without sharing a file; a line that
was torn by a crash is passed over by the reader, and said.
"""

import datetime
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fettle.core.errors import StoreError
from fettle.core.journal import Answered, Answers, Label, Labels
from fettle.store import failpoints, files, folders

__all__ = ["FEEDBACK", "Journal", "add_labels", "answers", "labels"]

FEEDBACK = "feedback.jsonl"
FILE = re.compile(r"(\d{8}T\d{6}Z)-(\d+)\.jsonl")
OWN = 0o600
"""A journal's files are read by their owner alone."""
DIGITS = 5
FILE_BYTES, FILE_SECONDS, ALL_BYTES = 16 * 2**20, 24 * 3600.0, 2 * 2**30


class Journal:
    """The writer of one process: begins a file with its first answer, and another one where that
    has grown or aged enough."""

    def __init__(
        self, folder: Path, *, file_bytes: int = FILE_BYTES, file_seconds: float = FILE_SECONDS,
        all_bytes: int = ALL_BYTES, clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is made on the disk yet.

        Args:
            folder: of this name's journal.
            file_bytes: a file that is larger gets no further answer.
            file_seconds: nor does one that is older.
            all_bytes: of all files of answers; where there is more, the oldest are removed.
            clock: seconds that never run backwards.
        """
        self.folder = folder
        self._file_bytes, self._file_seconds, self._all_bytes = file_bytes, file_seconds, all_bytes
        self._clock = clock
        self._path: Path | None = None
        self._begun = 0.0
        self._said: set[str] = set()

    def write(self, batch: Iterable[Answered]) -> tuple[str, ...]:
        """All of these answers, on the disk when this returns; else none of them.

        Returns:
            A sentence for each old file that was removed to stay within the limit.

        Raises:
            StoreError: the disk is full, gone or not writable. The next call tries again.
        """
        lines = [_line(one) for one in batch]
        if not lines:
            return ()
        path = self._current()
        files.append_lines(path, lines)
        try:  # the answers are on the disk: nothing below may say that they are not
            if path.stat().st_size >= self._file_bytes:
                self._path = None
            return self._removed(keep=path)
        except (StoreError, OSError) as error:
            return self._once(f"Old files of the journal could not be removed: {error}")

    def _once(self, sentence: str) -> tuple[str, ...]:
        """Said once, however often it comes."""
        if sentence in self._said:
            return ()
        self._said.add(sentence)
        return (sentence,)

    def _current(self) -> Path:
        """The file that is written to: of this process alone."""
        aged = self._clock() - self._begun >= self._file_seconds
        if self._path is None or aged or not self._path.exists():
            self._path, self._begun = _begin(self.folder), self._clock()
        return self._path

    def _removed(self, keep: Path) -> tuple[str, ...]:
        sizes = {path: path.stat().st_size for path in _files(self.folder)}
        said = []
        for path in [path for path in sizes if path != keep]:
            if sum(sizes.values()) <= self._all_bytes:
                break
            files.remove_file(path)
            said.append(
                f"{path} was removed: the journal holds at most {self._all_bytes:,} bytes."
            )
            del sizes[path]
        return tuple(said)


def answers(
    folder: Path, *, since: datetime.datetime | None = None,
    until: datetime.datetime | None = None, last: int | None = None,
    keep: Callable[[Answered], bool] = lambda one: True,
) -> Answers:
    """The answers in a journal, oldest first; a folder that is not there has none.

    Args:
        folder: of one name's journal.
        since: only those given then or later.
        until: only those given before.
        last: only so many of the newest; older files are not opened.
        keep: only those that it is true of, such as one version's.

    Raises:
        StoreError: a file cannot be read.
    """
    found: list[list[Answered]] = []
    passed_over: list[list[str]] = []
    count = 0
    for path in reversed(_files(folder)):
        if last is not None and count >= last:
            break
        numbered, not_whole = files.read_numbered_lines(path)
        kept, torn = [], list(not_whole)
        for number, value in numbered:
            try:
                one = _answered(value)
            except (KeyError, TypeError, ValueError) as error:
                torn.append(f"Line {number} of {path} is no answer ({error!r}) and is passed over.")
                continue
            if (since is None or one.at >= since) and (until is None or one.at < until) and (
                keep(one)
            ):
                kept.append(one)
        found.append(kept)
        passed_over.append(torn)
        count += len(kept)
    whole = [one for part in reversed(found) for one in part]
    return Answers(
        tuple(whole[-last:] if last else whole if last is None else ()),
        tuple(one for part in reversed(passed_over) for one in part),
    )


def labels(folder: Path) -> Labels:
    """The labels that were entered, oldest first.

    Raises:
        StoreError: the file cannot be read.
    """
    path = folder / FEEDBACK
    numbered, not_whole = files.read_numbered_lines(path)
    found, torn = [], list(not_whole)
    for number, value in numbered:
        try:
            found.append(Label(
                _text(value, "id"), _text(value, "label"), _moment(value), _text(value, "source"),
                _text(value, "by") if "by" in value else "",
            ))
        except (KeyError, TypeError, ValueError) as error:
            torn.append(f"Line {number} of {path} is no label ({error!r}) and is passed over.")
    return Labels(tuple(found), tuple(torn))


def add_labels(folder: Path, batch: Iterable[Label]) -> None:
    """Enter labels: all of them, on the disk when this returns, or none.

    Whoever calls holds the folder (`locks.hold`).

    Raises:
        StoreError: the disk is full, gone or not writable.
    """
    lines = [
        json.dumps({
            "id": one.id, "label": one.label, "at": one.at.isoformat(timespec="seconds"),
            "source": one.source, **({"by": one.by} if one.by else {}),
        }, ensure_ascii=False)
        for one in batch
    ]
    if lines:
        files.append_lines(folder / FEEDBACK, lines, mode=OWN)


def _line(one: Answered) -> str:
    """An answer as its line."""
    plain: dict[str, Any] = {
        "id": one.id, "at": one.at.isoformat(timespec="milliseconds"), "version": one.version,
        "value": one.value, "stream": one.stream,
    }
    if one.inputs is not None:
        plain["inputs"] = dict(one.inputs)
    if one.traits:
        plain["traits"] = {name: round(value, DIGITS) for name, value in one.traits.items()}
    lists = {"probabilities": one.probabilities, "embedding": one.embedding}
    told = [f'"{key}": {_short(values)}' for key, values in lists.items() if values is not None]
    return f"{json.dumps(plain, ensure_ascii=False)[:-1]}, {', '.join(told)}}}"


def _short(values: np.ndarray) -> str:
    """A JSON list, each number as whole hundred-thousandths: 0.12346 is 12346e-5.

    A third of what it takes to print the shortest decimals, and hundreds are printed for each
    answer, on a core that should be answering (measured).
    """
    whole = np.rint(values.astype(np.float64) * 10**DIGITS).astype(np.int64).tolist()
    return f"[{', '.join([f'{number}e-{DIGITS}' for number in whole])}]"


def _answered(value: Mapping[str, Any]) -> Answered:
    inputs = value.get("inputs")
    embedding = value.get("embedding")
    return Answered(
        id=_text(value, "id"), at=_moment(value), version=_text(value, "version"),
        value=_text(value, "value"),
        probabilities=np.asarray(value["probabilities"], np.float64).reshape(-1),
        embedding=None if embedding is None else np.asarray(embedding, np.float32).reshape(-1),
        inputs=None if inputs is None else {str(key): str(cell) for key, cell in inputs.items()},
        stream=_text(value, "stream"),
        traits={str(name): float(one) for name, one in dict(value.get("traits", {})).items()},
    )


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value[key]
    if not isinstance(found, str):
        raise TypeError(f"{key} is {found!r}, which is no text")
    return found


def _moment(value: Mapping[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromisoformat(_text(value, "at"))


def _files(folder: Path) -> list[Path]:
    """The files of answers, oldest first: by the second of their names, then by number."""
    if not folder.is_dir():
        return []
    named = [(FILE.fullmatch(path.name), path) for path in folder.iterdir()]
    return [path for *_, path in sorted((m[1], int(m[2]), path) for m, path in named if m)]


def _begin(folder: Path) -> Path:
    """A new file that no other process writes to."""
    try:
        folders.make(folder)
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        taken = [FILE.fullmatch(path.name) for path in _files(folder)]
        number = max((1 + int(one[2]) for one in taken if one and one[1] == stamp), default=0)
        while True:
            path = folder / f"{stamp}-{number}.jsonl"
            try:
                with failpoints.operation("create", path):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWN))
            except FileExistsError:
                number += 1
                continue
            folders.flush(folder)
            return path
    except OSError as error:
        raise folders.refused("write", folder, error) from error
