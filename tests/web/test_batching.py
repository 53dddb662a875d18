"""The queue and its one thread, before a model that waits to be told to go on."""

import asyncio
import gc
import threading
import time
import weakref
from dataclasses import dataclass, field

import numpy as np
import pytest

from fettle.core.dataset import Schema
from fettle.web.batching import Batcher, Busy, parts
from patience import PATIENCE


class Letters:
    """An encoder whose items are texts and whose sizes are their letters."""

    def encode(self, fields):
        if any(cells == ("broken",) for cells in fields):
            raise ValueError("no such text")
        return [cells[0] for cells in fields]

    def traits(self, fields, items):
        return {}

    def size(self, item):
        return len(item)


class Counted(Letters):
    """Says how many rows it was given at once; a row's one trait is the number that it is."""

    def __init__(self):
        self.rows = []

    def encode(self, fields):
        self.rows.append(len(fields))
        return super().encode(fields)

    def traits(self, fields, items):
        return {"number": np.array([float(item) for item in items])}


@dataclass(eq=False)
class Model:
    """Answers with each text's length, once it may go on."""

    id: str = "m@1"
    schema: Schema = field(default_factory=lambda: Schema("label", ("text",)))
    encoder: Letters = field(default_factory=Letters)
    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    batches: list = field(default_factory=list)

    def read(self, items):
        self.begun.set()
        assert self.go.wait(PATIENCE)
        self.batches.append(list(items))
        if "nan" in items:
            return np.full((len(items), 2), np.nan), np.zeros((len(items), 1), np.float32)
        if "fails" in items:
            raise RuntimeError("out of luck")
        sizes = np.array([[len(item)] for item in items], float)
        return np.hstack([sizes, -sizes]), sizes.astype(np.float32)


def rows(*texts):
    return [(text,) for text in texts]


def soon(seconds: float = PATIENCE) -> float:
    return time.monotonic() + seconds


def run(story, **settings):
    """A story with a batcher that has started, to its end."""

    async def whole():
        batcher = Batcher(**settings)
        batcher.start()
        try:
            return await story(batcher)
        finally:
            await batcher.close()

    return asyncio.run(asyncio.wait_for(whole(), PATIENCE))


async def held(batcher, model):
    """The thread inside a batch of this model, which waits there."""
    first = batcher.ask(model, rows("first"), soon())
    await asyncio.to_thread(model.begun.wait, PATIENCE)
    return first


def test_what_arrives_while_a_batch_runs_makes_the_next_one():
    model = Model()

    async def story(batcher):
        first = await held(batcher, model)
        more = [batcher.ask(model, rows("a", "b"), soon()) for _ in range(3)]
        assert batcher.waiting == 6
        model.go.set()
        await asyncio.gather(first.answered, *(one.answered for one in more))
        assert batcher.waiting == 0
        return more

    for one in run(story):
        assert one.probabilities.tolist() == [[1, -1], [1, -1]]
        assert one.embeddings.dtype == np.float32
    assert model.batches == [["first"], ["a", "b"] * 3]


def test_a_batch_counts_rows_and_a_large_request_is_answered_in_several():
    model = Model()
    model.go.set()

    async def story(batcher):
        asked = batcher.ask(model, rows(*[f"{n:03d}" for n in range(10)]), soon())
        return await asked.answered

    assert run(story, batch_rows=4).probabilities[:, 0].tolist() == [3.0] * 10
    assert [len(one) for one in model.batches] == [4, 4, 2]


def test_of_a_large_request_only_the_rows_of_one_batch_are_encoded_at_a_time():
    model = Model(encoder=Counted())
    model.go.set()

    async def story(batcher):
        asked = batcher.ask(model, rows(*[f"{n:03d}" for n in range(10)]), soon())
        return await asked.answered

    asked = run(story, batch_rows=4)
    assert model.encoder.rows == [4, 4, 2]
    assert asked.traits["number"].tolist() == list(range(10))
    assert not asked.items, "what the network has read is let go"


def test_a_row_that_cannot_be_encoded_fails_its_request_whichever_batch_it_is_in():
    model = Model()
    model.go.set()

    async def story(batcher):
        with pytest.raises(ValueError, match="no such text"):
            await batcher.ask(model, rows(*["fine"] * 6, "broken"), soon()).answered
        assert batcher.waiting == 0
        return await batcher.ask(model, rows("fine"), soon()).answered

    assert run(story, batch_rows=4).probabilities.tolist() == [[4, -4]]


def test_rows_that_nobody_waits_for_are_let_go_at_once():
    class Text(str):
        """A text of which it can be seen whether it is still there."""

    model = Model()

    async def story(batcher):
        await held(batcher, model)
        text = Text("dropped")
        there = weakref.ref(text)
        asked = batcher.ask(model, [(text,)], soon())
        batcher.drop(asked)
        del text, asked
        gc.collect()
        is_gone = there() is None
        model.go.set()
        return is_gone

    assert run(story)


def test_a_request_that_finds_no_room_is_busy_and_one_alone_always_fits():
    model = Model()

    async def story(batcher):
        await held(batcher, model)
        large = batcher.ask(model, rows(*"abcdef"), soon())
        with pytest.raises(Busy, match="6 rows are waiting already") as refused:
            batcher.ask(model, rows("g"), soon())
        assert refused.value.seconds >= 1
        batcher.drop(large)
        assert batcher.waiting == 0
        batcher.ask(model, rows("h"), soon())
        model.go.set()

    run(story, queue_rows=4)


def test_what_nobody_waits_for_is_not_done():
    model = Model()

    async def story(batcher):
        await held(batcher, model)
        dropped = batcher.ask(model, rows("dropped"), soon())
        late = batcher.ask(model, rows("late"), time.monotonic())
        wanted = batcher.ask(model, rows("wanted"), soon())
        batcher.drop(dropped)
        batcher.drop(dropped)
        model.go.set()
        await wanted.answered
        assert not dropped.answered.done()
        assert not late.answered.done()
        assert batcher.waiting == 0

    run(story)
    assert model.batches == [["first"], ["wanted"]]


def test_a_pass_that_nobody_waits_for_any_more_is_not_done_either():
    model = Model()

    async def story(batcher):
        short = batcher.ask(model, rows("a"), soon())
        long = batcher.ask(model, rows("b" * 300), soon())
        await asyncio.to_thread(model.begun.wait, PATIENCE)
        batcher.drop(long)
        model.go.set()
        await short.answered

    run(story, wait_seconds=0.2)
    assert model.batches == [["a"]]


def test_two_versions_never_share_a_batch_and_each_answers_its_own():
    old, new = Model(), Model("m@2")
    new.go.set()

    async def story(batcher):
        await held(batcher, old)
        asked = [batcher.ask(model, rows(text), soon())
                 for model, text in ((old, "a"), (new, "b"), (old, "c"))]
        old.go.set()
        await asyncio.gather(*(one.answered for one in asked))

    run(story)
    assert (old.batches, new.batches) == ([["first"], ["a"], ["c"]], [["b"]])


@pytest.mark.parametrize(("text", "error"), [
    ("fails", "out of luck"), ("nan", "no number"), ("broken", "no such text"),
])
def test_a_failure_is_told_to_whoever_waits_and_the_thread_goes_on(text, error):
    model = Model()
    model.go.set()

    async def story(batcher):
        with pytest.raises(Exception, match=error):
            await batcher.ask(model, rows("fine", text), soon()).answered
        assert batcher.waiting == 0
        return await batcher.ask(model, rows("fine"), soon()).answered

    assert run(story).probabilities.tolist() == [[4, -4]]


def test_a_first_row_waits_for_company_where_that_was_asked_for():
    model = Model()
    model.go.set()

    async def together(batcher):
        first = batcher.ask(model, rows("a"), soon())
        await asyncio.sleep(0.05)
        assert not first.answered.done()
        second = batcher.ask(model, rows("b"), soon())  # and now they are enough
        await asyncio.gather(first.answered, second.answered)

    run(together, wait_seconds=PATIENCE, batch_rows=2)
    assert model.batches == [["a", "b"]]
    model.batches.clear()

    async def alone(batcher):
        await batcher.ask(model, rows("a"), soon()).answered

    for more in ({}, {"wait_seconds": 0.01}):
        run(alone, **more)
    assert model.batches == [["a"], ["a"]]


def test_closing_answers_what_waits():
    model = Model()

    async def story(batcher):
        await held(batcher, model)
        asked = batcher.ask(model, rows("a"), soon())
        model.go.set()
        await batcher.close()
        return asked.answered.done()

    assert run(story)


def padded(sizes, found, overhead):
    return sum(overhead + len(part) * max(sizes[row] for row in part) for part in found)


def test_parts_hold_each_row_once_within_the_budget_and_cost_least():
    rng = np.random.default_rng(0)
    for _ in range(50):
        sizes = rng.integers(1, 60, rng.integers(1, 9)).tolist()
        found = parts(sizes, budget=100, overhead=12)
        assert sorted(row for part in found for row in part) == list(range(len(sizes)))
        for part in found:
            assert len(part) * max(sizes[row] for row in part) <= 100 or len(part) == 1
        order = sorted(sizes)
        every_way = [_cut(len(order), bits) for bits in range(2 ** (len(order) - 1))]
        cheapest = min(
            padded(order, cut, 12) for cut in every_way
            if all(len(part) * order[part[-1]] <= 100 or len(part) == 1 for part in cut)
        )
        assert padded(sizes, found, 12) == cheapest


def _cut(rows, bits):
    found, start = [], 0
    for stop in range(1, rows + 1):
        if stop == rows or bits >> (stop - 1) & 1:
            found.append(list(range(start, stop)))
            start = stop
    return found


def test_a_long_row_does_not_pad_short_ones():
    assert parts([5, 200, 5, 5], budget=4096) == [[0, 2, 3], [1]]
    assert parts([5, 6, 5], budget=4096) == [[0, 2, 1]]
    assert parts([], budget=10) == []
