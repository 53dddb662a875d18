"""Processes to kill: each is forked from one that has imported everything and computed nothing.

A fork takes hundredths of a second where a start takes seconds, so that a test can let one die at
every single operation.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from patience import PATIENCE
from stories import SMALL, Done

SERVED = f"""
{SMALL}
import nursery
nursery.serve()
"""
KILLED, STOPPED = -signal.SIGKILL, -signal.SIGSTOP
COMMAND = (
    "torch._dynamo", "pyarrow.parquet", "sqlalchemy.dialects.sqlite", "scipy.stats",
    "sklearn.linear_model", "sklearn.feature_extraction.text", "matplotlib.backends.backend_svg",
    "jinja2.ext", "fettle.cli", "fettle.pipeline", "fettle.stages.training",
    "fettle.stages.evaluating", "fettle.stages.reporting", "fettle.stages.publishing",
)  # fmt: skip
"""What `fettle tune` imports on its way, so far as it takes time."""


class Nursery:
    """A process that forks another one for each thing to do, and says how that one ended."""

    def __init__(self, imported: Iterable[str] = ()) -> None:
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVED, *imported], env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def close(self) -> None:
        self._process.communicate("", timeout=PATIENCE)

    def start(self, act: str, *given: Any, failpoint: str = "") -> int:
        """The number of a process that does this from now on.

        Args:
            act: "module:function".
            given: its arguments, as JSON.
            failpoint: as in FETTLE_FAILPOINT.
        """
        return self._asked("start", [act, given, failpoint])

    def ended(self, process: int) -> int | None:
        """What it ended with, once it has; below 0 where a signal ended it, None where it stopped.

        One that has stopped goes on after a SIGCONT.
        """
        code = self._asked("wait", [process])
        return None if code == STOPPED else code

    def exit_code(self, act: str, *given: Any, failpoint: str = "") -> int | None:
        """What a process that does this ends with."""
        return self.ended(self.start(act, *given, failpoint=failpoint))

    def deaths(
        self, again: Callable[[], object], act: str, *given: Any
    ) -> Iterator[tuple[str, str]]:
        """Let processes that do this die before every operation, and within every write.

        Args:
            again: puts everything as it was; called before each process.
            act: "module:function".
            given: its arguments.

        Yields:
            The operation and the failpoint, once the process is dead.
        """
        again()
        for number, operation in enumerate(self.operations(act, *given), start=1):
            grows = operation.split()[0] in ("write", "append")
            for death in ("kill", "torn") if grows else ("kill",):
                again()
                assert self.exit_code(act, *given, failpoint=f"{death}@{number}") == KILLED
                yield operation, f"{death}@{number}"
        again()

    def operations(self, act: str, *given: Any) -> list[str]:
        """Every operation of a process that does this, in order: "rename plan.json"."""
        with tempfile.NamedTemporaryFile("r") as listed:
            assert self.exit_code(act, *given, failpoint=f"list@{listed.name}") == 0
            found = listed.read().splitlines()
        assert found, "no operation passed a failpoint"
        return found

    def _asked(self, verb: str, words: list[Any]) -> int:
        self._process.stdin.write(json.dumps([verb, words], default=str) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@dataclass(frozen=True)
class Command:
    """The command line in a process of a nursery."""

    nursery: Nursery
    machine: Path
    """The folder of what is measured of this machine."""
    words: tuple[object, ...]
    folder: Path
    """To stand in."""

    def start(self, failpoint: str = "", *, limit: int = 0) -> int:
        """The number of the process.

        Args:
            failpoint: as in FETTLE_FAILPOINT.
            limit: no file may grow beyond so many bytes, as where the disk is full; 0 is no limit.
        """
        words = [str(one) for one in self.words]
        given = (str(self.machine), words, self.folder, limit)
        return self.nursery.start("nursery:tell", *given, failpoint=failpoint)

    def ended(self, process: int) -> Done:
        """What it came to; the code is -19 where it has stopped."""
        code = self.nursery.ended(process)
        said = [Path(f"{self.folder}.{process}.{name}").read_text() for name in ("out", "err")]
        return Done(STOPPED if code is None else code, *said)

    def __call__(self, failpoint: str = "", *, limit: int = 0) -> Done:
        return self.ended(self.start(failpoint, limit=limit))


def serve() -> None:
    """Fork and wait, as every line asks, and answer with a number."""
    for name in sys.argv[1:]:
        import_module(name)
    for line in sys.stdin:
        verb, words = json.loads(line)
        if verb == "start":
            number = os.fork()
            if number == 0:
                os._exit(_done(*words))
        else:
            status = os.waitpid(words[0], os.WUNTRACED)[1]
            number = STOPPED if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
        print(number, flush=True)


def _done(act: str, given: list[Any], failpoint: str) -> int:
    from fettle.store import failpoints

    os.dup2(2, 1)  # the answers stand alone on the real one
    module, name = act.split(":")
    function = getattr(import_module(module), name)
    failpoints.arm(failpoint)
    try:
        return int(function(*given) or 0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 1


def tell(machine: str, words: list[str], folder: str, limit: int) -> int:
    """The command line, what it says in files beside the folder."""
    import resource

    from fettle import cli

    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}.{os.getpid()}.{name}", os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.update(XDG_CACHE_HOME=machine, COLUMNS="160")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    code = cli._guarded(lambda: cli.app(words, standalone_mode=False))
    sys.stdout.flush()
    sys.stderr.flush()
    return code
