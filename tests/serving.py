"""Servers to ask in tests: `fettle serve` in a process of its own, on a port that is free."""

import http.client
import json
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE, until
from stories import _started, texts_and_labels, write_rows

DRIPS = 600


@dataclass
class Heard:
    """One answer."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        return self.json["error"]


@dataclass
class Server:
    """A server that answers, and what it has said."""

    process: subprocess.Popen[str]
    port: int
    said: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Heard:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, content, given)
            found = connection.getresponse()
            return Heard(
                found.status, {k.lower(): v for k, v in found.getheaders()}, found.read()
            )
        finally:
            connection.close()

    def predict(self, *rows: Any, **headers: str) -> Heard:
        return self.ask("POST", "/predict", {"rows": list(rows)}, **headers)

    def raw(self, *parts: bytes, pause: float = 0.0, drip: bytes = b"") -> bytes:
        """All that comes back for these bytes, until the server closes.

        Args:
            parts: sent one after the other.
            pause: seconds after each.
            drip: sent again and again after them, until the server says something.
        """
        with self._line() as line:
            try:
                for part in parts:
                    line.sendall(part)
                    time.sleep(pause)
                for _ in range(DRIPS if drip else 0):
                    if select.select([line], [], [], pause)[0]:
                        break
                    line.sendall(drip)
            except OSError:  # it has closed already; what it said may still be there
                pass
            found = b""
            try:
                while some := line.recv(65536):
                    found += some
            except OSError:
                pass
            return found

    def leave(self, content: bytes) -> None:
        """Send this, and go away without a look at what comes back."""
        with self._line() as line:
            line.sendall(content)

    def _line(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def metric(self, name: str) -> float:
        """The value of one line of /metrics."""
        text = self.ask("GET", "/metrics").content.decode()
        return float(next(
            line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")
        ))

    def wait_until(self, holds: Callable[[], object]) -> None:
        until(holds, lambda: f"the server said {self.said}")

    def memory_bytes(self) -> int:
        """Resident, of the server's process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(
    machine: Path, folder: Path, *arguments: object, name: str = "tickets", port: int = 0,
    **environment: str,
) -> Iterator[Server]:
    """`fettle serve NAME`, once it answers; it waits long, unless it is told how long."""
    patient = [
        part for name in ("--deadline", "--read-timeout") if name not in arguments
        for part in (name, "120s")
    ]
    process = _started(
        machine, ["serve", name, "--port", port, *arguments, *patient], folder, False, None,
        environment,
    )
    said: list[str] = []
    assert process.stderr is not None
    port = 0
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"answers at http://[^ ]*:(\d+)", line):
            port = int(found[1])
            break
    assert port, said
    reader = threading.Thread(target=lambda: said.extend(process.stderr), daemon=True)
    reader.start()
    server = Server(process, port, said)
    try:
        server.wait_until(lambda: _listens(port))
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join(5)
        process.stderr.close()
        process.stdout.close()


def free_port() -> int:
    """A port that nobody listens on, below those that a system hands out by itself: between this
    look and the server's nobody gets it by chance."""
    while True:
        port = random.SystemRandom().randrange(12_000, 30_000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
            return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def two_versions(
    tmp_path_factory: pytest.TempPathFactory, tell: Any, tiny: Path
) -> Path:
    """A folder whose registry holds tickets@1, the champion, and tickets@2. Do not alter it."""
    folder = tmp_path_factory.mktemp("served")
    for seed in (0, 5):
        data = write_rows(folder / f"{seed}.csv", texts_and_labels(90, seed=seed))
        tell(folder, data, model=tiny, name="tickets", rungs=("features",))
    return folder


def copy_of_registry(source: Path, folder: Path) -> Path:
    """The folder, with the registry of another one in it, and no journal."""
    away = shutil.ignore_patterns("journal")
    shutil.copytree(source / ".fettle", folder / ".fettle", ignore=away)
    return folder


@pytest.fixture
def shelf(two_versions: Path, tmp_path: Path) -> Path:
    """A copy of the registry with tickets@1 and tickets@2, to alter."""
    return copy_of_registry(two_versions, tmp_path)


@pytest.fixture(scope="module")
def server(machine: Path, two_versions: Path) -> Iterator[Server]:
    """One server for all tests of a module that do not alter it; it waits for slow clients."""
    with serving(machine, two_versions, "--queue", 64, "--audit-share", 0.5) as one:
        yield one
