"""Running: a version on a port, from the first look at it to the last answer."""

import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import uvicorn

from fettle.core.errors import SettingError
from fettle.store.journal import Journal
from fettle.store.places import journal_folder
from fettle.web.batching import Batcher
from fettle.web.champion import Champion
from fettle.web.connection import Connection
from fettle.web.desk import Desk, Limits
from fettle.web.diary import Diary
from fettle.web.door import Door, is_loopback
from fettle.web.holding import Holding
from fettle.web.meters import Meters
from fettle.web.routes import application
from fettle.web.telling import Keeping

__all__ = ["Serving", "serve"]

SHORTEST_TOKEN = 16
MOST_FILES, SPARE_FILES = 4096, 64
"""Of what this process has open at most: for everything that is no connection."""
UNTOLD_FILES = 512
"""Of what this process may have open, where the system does not say it: few grant less."""
LINGER_SECONDS = 10
"""For a client to read its answer, after the deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Every setting of a server."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 for any that is free."""
    token: str | None = None
    """Whoever sends it is answered; without one, only this machine is."""
    limits: Limits = field(default_factory=Limits)
    batch_rows: int = 32
    queue_rows: int = 128
    """Half a second's work of a small encoder on one core: who waits longer is better told so."""
    wait_seconds: float = 0.0
    """For which a row waits for company when no batch runs."""
    poll_seconds: float = 2.0
    """Between two looks at the registry's pointer."""
    journal_bytes: int | None = 2 * 2**30
    """Of all answers that are kept; None keeps none."""
    keeping: Keeping = field(default_factory=Keeping)

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise SettingError(
                f"--host {self.host} can be reached from other machines, so the server needs a "
                "token: write one to a file and name it with --token-file, or set FETTLE_TOKEN."
            )
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise SettingError(
                f"The token has {len(self.token)} characters; at least {SHORTEST_TOKEN} make one "
                "that cannot be guessed, such as from `openssl rand -hex 32`."
            )
        if not 0 <= self.port < 2**16:
            raise SettingError(f"--port is {self.port}; a number from 0 to 65535 is what it takes.")
        if not 0 <= self.keeping.audit_share <= 1:
            raise SettingError(
                f"--audit-share is {self.keeping.audit_share}; from 0 to 1 is what it takes."
            )
        if self.batch_rows < 1 or self.queue_rows < 1:
            raise SettingError("--batch and --queue are numbers of rows, from 1 on.")


def serve(
    reference: str, settings: Serving, *, registry: str, say: Callable[[str], None]
) -> None:
    """Answer until SIGTERM or Ctrl-C, then everything that was asked, then return.

    Args:
        reference: NAME (its champion, followed), NAME@N, or a version's folder.
        settings: of the server.
        registry: a folder or a URL.
        say: told what an operator should know, the address first.

    Raises:
        SettingError: the port is taken, or the host is not this machine's.
        UnknownName: the registry has no such version.
        CorruptFile: the version is damaged, or answers otherwise than where it was made.
    """
    listening = _listening(settings)
    try:
        desk = _desk(reference, settings, registry, say)
        app = Door(
            application(desk, poll_seconds=settings.poll_seconds, say=say),
            token=settings.token, host=settings.host, meters=desk.meters,
            most_seconds=_most_seconds(settings),
        )
        connection = type("Connection", (Connection,), {
            "head_seconds": settings.limits.read_seconds, "full": staticmethod(desk.full),
            "may_ask": app.lets_in,
        })
        server = uvicorn.Server(uvicorn.Config(
            app, http=connection, ws="none", lifespan="on", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, limit_concurrency=_connections(say),
            timeout_graceful_shutdown=int(_most_seconds(settings)),
        ))
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        say(
            f"{desk.champion.served.id} answers at http://{shown}:{port} and was asked before: "
            f"outputs differ by at most {desk.champion.difference:.2g} from where it was made."
        )
        _until_told(server, listening)
    finally:
        listening.close()
    if desk.diary is not None:
        desk.diary.close()
    say("Everything that was asked is answered.")


def _desk(
    reference: str, settings: Serving, registry: str, say: Callable[[str], None]
) -> Desk:
    """All that answers, put together."""
    meters = Meters()
    champion = Champion(reference, registry, say=say, swapped=meters.swapped)
    batcher = Batcher(
        batch_rows=settings.batch_rows, queue_rows=settings.queue_rows,
        wait_seconds=settings.wait_seconds, watch=meters.batch,
    )
    diary = None
    if settings.journal_bytes is not None:
        folder = journal_folder(registry, champion.name)
        journal = Journal(folder, all_bytes=settings.journal_bytes)
        diary = Diary(journal, say=say, lost=meters.lost)
    holding = Holding()
    meters.watch(
        waiting=lambda: batcher.waiting, held=lambda: holding.bytes,
        kept_out=lambda: bool(champion.kept_out),
        journal_failing=lambda: bool(diary and diary.failing),
    )
    return Desk(champion, batcher, meters, diary, settings.keeping, settings.limits, holding)


def _until_told(server: uvicorn.Server, listening: socket.socket) -> None:
    """Run until a signal came. uvicorn raises it again once it has ended, to no effect here."""
    before = {
        number: signal.signal(number, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listening(settings: Serving) -> socket.socket:
    """A socket that listens, so that a port that is taken is told before a model is opened."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host.strip("[]"), settings.port, type=socket.SOCK_STREAM
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise SettingError(
            f"Could not listen on {settings.host}, port {settings.port}: "
            f"{error.strerror or error}. Give another one with --port, or --port 0 for any."
        ) from error
    return listening


def _most_seconds(settings: Serving) -> float:
    """Of one request, from its head to the last byte of its answer."""
    return settings.limits.read_seconds + settings.limits.deadline_seconds + LINGER_SECONDS


def _connections(say: Callable[[str], None]) -> int:
    """How many may be open at once: what the system grants, less a few."""
    try:
        import resource
    except ImportError:  # as on Windows
        most = UNTOLD_FILES
        say(f"This system does not say how many connections it grants: {most - SPARE_FILES} are "
            "taken at once.")
    else:
        granted = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = MOST_FILES if granted == resource.RLIM_INFINITY else min(granted, MOST_FILES)
    return max(most - SPARE_FILES, SPARE_FILES)
