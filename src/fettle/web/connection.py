"""A connection: what uvicorn does with its bytes, and limits on a head that never ends.

A question for which there is no room is refused here, once its head is read: that costs a tenth of
the way through the application, which is what a server has to spare when ten times too much comes.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["Connection"]

HEAD_BYTES = 64 * 1024
"""Of a request's line and headers; what comes with its first bytes counts from the second read."""


SMALL = b"99999"
"""Length of a body that a client has sent, or sends, whatever it is told."""
ASKS = (b"/predict", b"/infer")


class _Answered:
    """In place of uvicorn's cycle of a request that was answered by its head alone."""

    response_complete = True
    message_event = asyncio.Event()


class Connection(HttpToolsProtocol):
    """Closes where a request's head takes too long or too much."""

    head_seconds = 10.0
    """For a head to arrive, from its first byte; and for a client to send that."""
    may_ask: Callable[[dict[bytes, bytes]], bool] = staticmethod(lambda headers: True)
    """Whether a request with these headers comes in at all; else it is not told what is full."""
    full: Callable[[], tuple[str, int] | None] = staticmethod(lambda: None)
    """Why nothing more can be asked now, and after how many seconds again; None where it can."""
    _in_head = True
    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and has so long to ask."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """More bytes of a head or of a body."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large",
                         f"The request's head is larger than {HEAD_BYTES:,} bytes.")

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._disarm()
        self._arm()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; those after a body are not kept, as nothing reads them."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._disarm()
        told = self.full() if self._may_be_refused() else None
        if told is None:
            super().on_headers_complete()
            return
        keep = self.parser.should_keep_alive()
        self.cycle = _answered
        self._refuse(b"503 Service Unavailable", told[0], b"retry-after: %d" % told[1], keep=keep)
        if keep:
            self.on_response_complete()

    def on_message_complete(self) -> None:
        """The body is over; behind a refusal by its head it was read over, and the wait for a next
        request begins: uvicorn ended it when more of the body came."""
        super().on_message_complete()
        if self.cycle is _answered:
            self._wait(self.timeout_keep_alive)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        super().on_body(body)
        if self.cycle is _answered:
            self._wait(self.head_seconds)

    def _wait(self, seconds: float) -> None:
        """Close, where nothing comes for so long."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler)

    def _may_be_refused(self) -> bool:
        """Whether this asks for answers, and its body, if it comes, can be read over."""
        if self.cycle is not None and not self.cycle.response_complete:
            return False  # an answer before it is still on its way
        asks = self.parser.get_method() == b"POST" and self.url.endswith(ASKS)
        lengths = [value for name, value in self.headers if name == b"content-length"]
        return asks and not self.expect_100_continue and len(lengths) == 1 and (
            len(lengths[0]) <= len(SMALL)) and self.may_ask(dict(self.headers))

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refuse(b"400 Bad Request", msg)

    def _refuse(
        self, status: bytes, sentence: str, *headers: bytes, keep: bool = False
    ) -> None:
        content = json.dumps({"error": sentence}).encode()
        lines = [
            b"HTTP/1.1 " + status, b"content-type: application/json", *headers,
            *(() if keep else (b"connection: close",)), b"content-length: %d" % len(content),
        ]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + content)
        if not keep:
            self.transport.close()

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self._refuse(b"408 Request Timeout",
                         f"The request's head did not arrive within {self.head_seconds:g} s.")


_answered: Any = _Answered()
