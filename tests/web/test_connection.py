"""A connection before an application: what is refused by a request's head alone."""

import asyncio
import re

import pytest
import uvicorn
from uvicorn.server import ServerState

from fettle.web.connection import Connection

HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n"


class Wire(asyncio.Transport):
    """What was written, and whether it was closed."""

    def __init__(self):
        super().__init__()
        self.written, self.closed = b"", False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def get_extra_info(self, name, default=None):
        return default

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


def told(*parts, full):
    """(what came back, paths that the application was asked, whether it was closed)."""
    asked = []

    async def app(scope, receive, send):
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        asked.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def story():
        config = uvicorn.Config(app, log_config=None, lifespan="off")
        config.load()
        kind = type("One", (Connection,), {"full": staticmethod(full)})
        connection, wire = kind(config, ServerState(), {}), Wire()
        connection.connection_made(wire)
        for part in parts:
            connection.data_received(part)
            for _ in range(20):
                await asyncio.sleep(0)
        found = wire.written, asked, wire.closed
        connection.connection_lost(None)
        return found

    return asyncio.run(story())


def no_room():
    return "Ask again.", 3


def test_a_question_without_room_is_refused_by_its_head_and_its_body_read_over():
    found, asked, closed = told(HEAD + b"\r\n", b"rows", full=no_room)
    assert found.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 3\r\n" in found
    assert found.endswith(b'{"error": "Ask again."}')
    assert (asked, closed) == ([], False)


def test_the_same_connection_is_answered_when_there_is_room_again():
    rooms = iter([("Ask again.", 1), None, ("Ask again.", 1)])
    found, asked, _ = told(HEAD + b"\r\nrows" + HEAD + b"\r\nmore", HEAD + b"\r\nlast",
                           full=lambda: next(rooms))
    assert re.findall(rb"HTTP/1\.1 (\d+)", found) == [b"503", b"200", b"503"]
    assert asked == [("/predict", b"more")]


def test_a_client_that_wants_no_more_is_let_go():
    found, _, closed = told(HEAD + b"connection: close\r\n\r\nrows", full=no_room)
    assert b"connection: close" in found
    assert closed


@pytest.mark.parametrize("head", [
    b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /elsewhere HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\nrows",
])
def test_whatever_asks_nothing_or_cannot_be_read_over_takes_the_long_way(head):
    found, asked, _ = told(head, full=no_room)
    assert len(asked) == 1
    assert b"200" in found
