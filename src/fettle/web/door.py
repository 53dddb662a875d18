"""The door: who may come in, and in which form every refusal is told.

Without a token only this machine is answered, under its own names: a page in a browser here that
was led to this address by another name (DNS rebinding), or that asks from another site, is
refused. With a token whoever sends it is answered.
"""

import asyncio
import hashlib
import hmac
import ipaddress
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fettle.web.meters import Meters

__all__ = ["Door", "is_loopback", "refusal"]

OPEN = ("/v2/health/live", "/v2/health/ready")
"""Answered without a token: whoever starts and stops servers asks them."""
NAMES = frozenset(("localhost", "127.0.0.1", "::1"))


class Door:
    """An ASGI application around another one."""

    def __init__(
        self, app: ASGIApp, *, token: str | None, host: str, meters: Meters, most_seconds: float
    ) -> None:
        """Refuse what `app` shall not see.

        Args:
            app: what is inside.
            token: that a request must bear; None where only this machine can ask.
            host: that the server was told to listen on.
            meters: told of every request.
            most_seconds: of one request, its reading and the client's reading of the answer too.
        """
        self._app, self._meters, self._most_seconds = app, meters, most_seconds
        self._token = None if token is None else _digest(token.encode())
        self._names = NAMES | {host.lower().strip("[]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = dict(scope["headers"])
        app: ASGIApp = self._refused(scope["path"], headers) or self._app
        try:
            async with asyncio.timeout(self._most_seconds):
                await app(scope, receive, counted)
        finally:
            if (share := scope.get("fettle.share")) is not None:
                share.take(0)  # here, as only here the answer has left
            route = scope.get("fettle.route", "other")
            self._meters.request(route, status, perf_counter() - begun)

    def lets_in(self, headers: dict[bytes, bytes]) -> bool:
        """Whether a request for answers with these headers gets past the door."""
        return self._refused("", headers) is None

    def _refused(self, path: str, headers: dict[bytes, bytes]) -> JSONResponse | None:
        if self._token is not None:
            if path in OPEN:
                return None
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() == b"bearer" and hmac.compare_digest(_digest(given), self._token):
                return None
            return refusal(
                401, "This server answers those who send its token: Authorization: Bearer TOKEN.",
                {"www-authenticate": "Bearer"},
            )
        host = headers.get(b"host", b"").decode("latin-1")
        if _name_of(f"//{host}") not in self._names:
            return refusal(403, f"This server is not {host[:80]!r}; it answers as localhost.")
        origin = headers.get(b"origin")
        if origin is not None and _name_of(origin.decode("latin-1")) not in self._names:
            return refusal(403, "Pages of other sites are not answered.")
        return None


def refusal(
    status: int, sentence: str, headers: dict[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A refusal as every route tells it: {"error": what, where, and what next}."""
    return JSONResponse({"error": sentence, **more}, status_code=status, headers=headers)


def is_loopback(host: str) -> bool:
    """Whether only this machine can ask what listens there."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _name_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
