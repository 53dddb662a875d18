"""A connection before an application: what is refused by a request's head alone."""

import asyncio
import re

import pytest
import uvicorn
from uvicorn.server import ServerState

from fettle.web.connection import Connection
from fettle.web.door import Door
from fettle.web.meters import Meters

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


def told(*parts, full, may_ask=lambda headers: True, later=0.0, **settings):
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
        config = uvicorn.Config(app, log_config=None, lifespan="off", **settings)
        config.load()
        kind = type("One", (Connection,), {
            "full": staticmethod(full), "may_ask": staticmethod(may_ask)})
        connection, wire = kind(config, ServerState(), {}), Wire()
        connection.connection_made(wire)
        for part in parts:
            connection.data_received(part)
            for _ in range(20):
                await asyncio.sleep(0)
        await asyncio.sleep(later)
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


def test_who_may_not_come_in_is_not_told_that_it_is_full():
    seen = []

    def may_ask(headers):
        seen.append(headers)
        return False

    found, asked, _ = told(HEAD + b"\r\nrows", full=no_room, may_ask=may_ask)
    assert found.startswith(b"HTTP/1.1 200")  # the application, whose door refuses
    assert asked == [("/predict", b"rows")]
    assert seen == [{b"host": b"localhost", b"content-length": b"4"}]


@pytest.mark.parametrize("parts", [
    (HEAD + b"\r\n", b"rows"), (HEAD + b"\r\nro", b"ws"), (HEAD + b"\r\n", b"ro"),
], ids=["whole", "in two parts", "half"])
def test_a_client_that_was_refused_and_then_says_nothing_is_let_go(parts, monkeypatch):
    monkeypatch.setattr(Connection, "head_seconds", 0.02)
    _, _, closed = told(*parts, full=no_room, later=0.2, timeout_keep_alive=0.02)
    assert closed


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


@pytest.mark.parametrize(("token", "headers", "comes_in"), [
    ("secret", {b"authorization": b"Bearer secret", b"host": b"a.example"}, True),
    ("secret", {b"authorization": b"Bearer other", b"host": b"localhost"}, False),
    ("secret", {b"host": b"localhost"}, False),
    (None, {b"host": b"localhost:8000"}, True),
    (None, {b"host": b"rebound.example"}, False),
    (None, {b"host": b"localhost", b"origin": b"https://elsewhere.example"}, False),
])
def test_the_door_says_by_headers_alone_who_comes_in(token, headers, comes_in):
    door = Door(None, token=token, host="127.0.0.1", meters=Meters(), most_seconds=1.0)
    assert door.lets_in(headers) is comes_in
