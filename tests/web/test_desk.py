"""The desk before a model that fails or is slow: what a client hears, and what is not done."""

import asyncio
import json
from contextlib import suppress
from types import SimpleNamespace

import pytest

from fettle.core.errors import OutOfMemory
from fettle.web import desk as desk_of
from fettle.web.batching import Batcher
from fettle.web.desk import Desk, Limits
from fettle.web.door import Door
from fettle.web.meters import Meters
from fettle.web.routes import application
from fettle.web.telling import Keeping
from patience import PATIENCE

from .test_batching import Letters, Model, rows, soon


class Fixed:
    """A champion that stays."""

    name, number, kept_out = "m", "1", ""

    def __init__(self, model):
        self.served = model

    async def follow(self, seconds):
        await asyncio.sleep(0)


class OneColumn(Letters):
    fields = ("text",)


def asgi(story, model, *, deadline=PATIENCE):
    """A story with an application that has started, to its end."""

    async def whole():
        batcher, meters = Batcher(), Meters()
        limits = Limits(deadline_seconds=deadline)
        desk = Desk(Fixed(model), batcher, meters, None, Keeping(), limits)
        inside = application(desk, poll_seconds=1.0, say=print)
        door = Door(inside, token=None, host="localhost", meters=meters, most_seconds=PATIENCE)
        async with inside.router.lifespan_context(inside):
            return await story(door, batcher)

    return asyncio.run(asyncio.wait_for(whole(), PATIENCE))


async def ask(app, body, *, path="/predict", gone=None, headers=()):
    """(status, object) that the application answers; `gone` is when the client goes away."""
    sent = []
    messages = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive():
        if messages:
            return messages.pop(0)
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
        "headers": [(b"host", b"localhost"), *headers], "asgi": {"version": "3.0"},
    }
    with suppress(Exception):  # starlette raises again what it has answered, for the log
        await app(scope, receive, send)
    content = b"".join(one.get("body", b"") for one in sent)
    return sent[0]["status"], json.loads(content) if content else None


@pytest.mark.parametrize("error", [RuntimeError("secret path"), OutOfMemory("secret path")])
def test_a_model_that_fails_is_a_500_that_tells_nothing_of_the_inside(error):
    class Fails(Model):
        def read(self, items):
            raise error

    async def story(app, batcher):
        first = await ask(app, {"rows": ["a"]})
        assert batcher.is_alive
        return first

    status, told = asgi(story, Fails(encoder=OneColumn()))
    assert status == 500
    assert "secret" not in told["error"]
    assert "its log says how" in told["error"]


def test_what_a_client_that_went_away_had_asked_is_not_done():
    model = Model(encoder=OneColumn())

    async def story(app, batcher):
        batcher.ask(model, rows("first"), soon())
        await asyncio.to_thread(model.begun.wait, PATIENCE)
        gone = asyncio.Event()
        asking = asyncio.create_task(ask(app, {"rows": ["left", "behind"]}, gone=gone))
        while batcher.waiting != 2:
            await asyncio.sleep(0.01)
        gone.set()
        status, _ = await asking
        assert status == 499
        assert batcher.waiting == 0
        model.go.set()

    asgi(story, model)
    assert model.batches == [["first"]]


def test_who_finds_no_room_is_told_while_the_model_is_still_at_work():
    model = Model(encoder=OneColumn())

    async def story(app, batcher):
        batcher.ask(model, rows("first"), soon())
        await asyncio.to_thread(model.begun.wait, PATIENCE)
        waiting = batcher.ask(model, rows(*"abcdef" * 30), soon())
        status, told = await ask(app, {"rows": ["one more"]})
        assert not waiting.answered.done()
        model.go.set()
        return status, told

    status, told = asgi(story, model)
    assert status == 503
    assert "180 rows are waiting already" in told["error"]


def test_an_answer_after_the_deadline_is_a_504():
    model = Model(encoder=OneColumn())

    async def story(app, batcher):
        status, told = await ask(app, {"rows": ["a"]})
        model.go.set()
        return status, told, batcher.waiting

    status, told, waiting = asgi(story, model, deadline=0.2)
    assert (status, waiting) == (504, 0)
    assert "No answer within 0.2 s" in told["error"]


def test_bodies_that_fill_the_memory_set_aside_are_told_to_come_back(monkeypatch):
    """The first waits for its answer and is held; the second does not fit beside it."""
    monkeypatch.setattr(desk_of, "HELD_BYTES", 50)
    model = Model(encoder=OneColumn())
    model.task = SimpleNamespace(classes=("long", "short"))

    async def story(app, batcher):
        first = asyncio.create_task(ask(app, {"rows": ["a" * 30]}))
        await asyncio.to_thread(model.begun.wait, 5)
        second = await ask(app, {"rows": ["b" * 30]})
        model.go.set()
        return await first, second, await ask(app, {"rows": ["c" * 300]})

    first, second, third = asgi(story, model)
    assert first[0] == 200
    assert (second[0], "Ask again in 1 s" in second[1]["error"]) == (503, True)
    assert third[0] == 200, "a single request always finds room, and what was held is given back"


def test_a_model_of_texts_takes_no_pictures():
    async def story(app, batcher):
        return await ask(app, {}, headers=[(b"content-type", b"image/png")])

    status, told = asgi(story, Model(encoder=OneColumn()))
    assert (status, told["error"]) == (415, "m@1 reads texts: send JSON.")
