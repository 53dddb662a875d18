"""A connection: what uvicorn does with its bytes, and limits on a head that never ends."""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["Connection"]

HEAD_BYTES = 64 * 1024
"""Of a request's line and headers; what comes with its first bytes counts from the second read."""


class Connection(HttpToolsProtocol):
    """Closes where a request's head takes too long or too much."""

    head_seconds = 10.0
    """For a head to arrive, from its first byte; and for a client to send that."""
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
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refuse(b"400 Bad Request", msg)

    def _refuse(self, status: bytes, sentence: str) -> None:
        content = json.dumps({"error": sentence}).encode()
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nconnection: close\r\n"
            + b"content-length: " + str(len(content)).encode() + b"\r\n\r\n" + content
        )
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
