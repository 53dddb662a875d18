"""The desk before a model that fails or is slow: what a client hears, and what is not done."""

import asyncio
import json
from contextlib import suppress
from types import SimpleNamespace

import pytest

from fettle.core.errors import OutOfMemory
from fettle.web.batching import Batcher
from fettle.web.desk import Desk, Limits
from fettle.web.door import Door
from fettle.web.holding import Holding, cells_bytes
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


def asgi(story, model, *, deadline=PATIENCE, holding=None):
    """A story with an application that has started, to its end."""

    async def whole():
        batcher, meters = Batcher(), Meters()
        limits = Limits(deadline_seconds=deadline)
        desk = Desk(Fixed(model), batcher, meters, None, Keeping(), limits, holding or Holding())
        inside = application(desk, poll_seconds=1.0, say=print)
        door = Door(inside, token=None, host="localhost", meters=meters, most_seconds=PATIENCE)
        async with inside.router.lifespan_context(inside):
            return await story(door, batcher)

    return asyncio.run(asyncio.wait_for(whole(), PATIENCE))


async def ask(app, body, *, path="/predict", gone=None, headers=(), reads=None):
    """(status, object) that the application answers; `gone` is when the client goes away, `reads`
    when it reads what comes."""
    sent = []
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    messages = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive():
        if messages:
            return messages.pop(0)
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if reads is not None:
            await reads.wait()

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


def long_or_short():
    """A model that answers whole requests."""
    model = Model(encoder=OneColumn())
    model.task = SimpleNamespace(classes=("long", "short"))
    return model


def test_requests_that_fill_the_memory_set_aside_are_told_to_come_back():
    """The first waits for its answer and is held; the second does not fit beside it."""
    model, holding = long_or_short(), Holding(1000)

    async def story(app, batcher):
        first = asyncio.create_task(ask(app, {"rows": ["a" * 30]}))
        await asyncio.to_thread(model.begun.wait, PATIENCE)
        assert holding.bytes == cells_bytes([("a" * 30,)]), "its row is held, and no body"
        second = await ask(app, {"rows": ["b" * 30]})
        model.go.set()
        return await first, second, await ask(app, {"rows": ["c" * 3000]})

    first, second, third = asgi(story, model, holding=holding)
    assert first[0] == 200
    assert (second[0], "Ask again in 1 s" in second[1]["error"]) == (503, True)
    assert third[0] == 200, "a single request always finds room, and what was held is given back"
    assert holding.bytes == 0


def test_an_answer_is_held_until_it_has_left_however_slowly_it_is_read():
    model, holding = long_or_short(), Holding()
    model.go.set()

    async def story(app, batcher):
        reads = asyncio.Event()
        asking = asyncio.create_task(ask(app, {"rows": ["a", "b"]}, reads=reads))
        while batcher.waiting or not model.batches:
            await asyncio.sleep(0.01)
        while holding.bytes == cells_bytes([("a",), ("b",)]):
            await asyncio.sleep(0.01)
        meanwhile = holding.bytes
        reads.set()
        _, told = await asking
        return meanwhile, told

    meanwhile, told = asgi(story, model, holding=holding)
    assert meanwhile == len(json.dumps(told, separators=(",", ":"), ensure_ascii=False))
    assert holding.bytes == 0


@pytest.mark.parametrize("body", [b"{", b'{"rows": "a"}', b'{"rows": []}', b'{"rows": ["a", 1]}'])
def test_what_is_refused_holds_nothing_any_more(body):
    holding = Holding()

    async def story(app, batcher):
        return await ask(app, body)

    assert asgi(story, long_or_short(), holding=holding)[0] in (400, 422)
    assert holding.bytes == 0


def test_a_model_of_texts_takes_no_pictures():
    async def story(app, batcher):
        return await ask(app, {}, headers=[(b"content-type", b"image/png")])

    status, told = asgi(story, Model(encoder=OneColumn()))
    assert (status, told["error"]) == (415, "m@1 reads texts: send JSON.")
