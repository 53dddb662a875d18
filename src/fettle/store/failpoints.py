"""Failpoints: an operation on the disk that fails on purpose, so that tests can try every one.

FETTLE_FAILPOINT says how and where; it is read once, when the process starts. `kill@7` dies before
the seventh operation of the store, `kill-after@7` after it, `torn@7` with half of it written;
`enospc@7`, `eio@7` and every other error of the system fail it, half written; `interrupt@7` is a
Ctrl-C there, and `stop@7` waits before it for a SIGCONT. In place of the number may stand an
operation, a file's name, or both ("rename plan.json"): the first such one. `list@FILE` fails
nothing; FILE gets one line for each operation. Without the variable nothing is counted and nothing
happens.
"""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from fettle.core.errors import SettingError

__all__ = ["arm", "operation", "reach"]

VARIABLE = "FETTLE_FAILPOINT"
DEADLY = ("kill", "kill-after", "torn")
KINDS = (*DEADLY, "interrupt", "stop", "list")
"""Beside the errors of the system, by the names that errno has for them."""


class _Failpoint:
    """The operations of this process, counted from 1, and what befalls one of them."""

    def __init__(self, kind: str, at: str) -> None:
        self._kind, self._at = kind, at
        self._count = 0
        self._spent = kind == "list"

    @contextmanager
    def passing(self, name: str, path: Path | None, into: Path | None) -> Iterator[None]:
        self._count += 1
        if self._kind == "list":
            with open(self._at, "a", encoding="utf-8") as lines:
                lines.write(f"{name} {path.name if path else ''}\n")
        if not self._is_here(name, path):
            yield
            return
        self._spent = True
        if self._kind == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            yield
            return
        if self._kind == "kill" or (into is None and self._kind != "kill-after"):
            self._fail(path)
        before = _size(into)
        yield
        if into is not None and self._kind != "kill-after":
            os.truncate(into, before + (_size(into) - before) // 2)
        self._fail(path)

    def _is_here(self, name: str, path: Path | None) -> bool:
        file = path.name if path else ""
        return not self._spent and self._at in (str(self._count), name, file, f"{name} {file}")

    def _fail(self, path: Path | None) -> None:
        if self._kind in DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._kind == "interrupt":
            raise KeyboardInterrupt
        code = getattr(errno, self._kind.upper())
        raise OSError(code, os.strerror(code), str(path))


def arm(text: str) -> None:
    """Count from 1 again, and fail as FETTLE_FAILPOINT would have it; "" disarms.

    Raises:
        SettingError: the text is not KIND@N; the message lists the kinds.
    """
    global _armed
    kind, _, at = text.partition("@")
    if text and not (at and (kind in KINDS or hasattr(errno, kind.upper()))):
        raise SettingError(
            f"{VARIABLE} is {text!r}. KIND@N is what it takes, where KIND is kill, kill-after, "
            "torn, interrupt, stop, list, or an error of the system such as enospc or eio."
        )
    _armed = _Failpoint(kind, at) if text else None


def operation(
    name: str, path: Path | None = None, *, into: Path | None = None
) -> AbstractContextManager[None]:
    """The block around one operation on the disk; where this is the one to fail, it fails.

    Args:
        name: what is done: write, flush, rename, unlink ...
        path: the file that it is done to, by the name that a user knows.
        into: the file that grows by it; a failure in the middle leaves half of what was added.
    """
    return _UNARMED if _armed is None else _armed.passing(name, path, into)


def reach(name: str) -> None:
    """A point that a process may die at, between two steps that are not files."""
    with operation(name):
        pass


def _size(path: Path | None) -> int:
    return path.stat().st_size if path and path.exists() else 0


_UNARMED = nullcontext()
_armed: _Failpoint | None = None
arm(os.environ.get(VARIABLE, ""))
