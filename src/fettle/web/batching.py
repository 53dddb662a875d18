"""Batching: rows that many requests wait for, answered on one thread, a batch at a time.

The queue counts rows and is bounded. What arrives while a batch runs makes the next one, so that
nobody waits for company while the machine is idle. What nobody waits for any more is not done.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fettle.core.errors import FettleError
from fettle.stages.serving import Opened

__all__ = ["Asked", "Batcher", "Busy", "parts"]

FORWARD_TOKENS = 24
"""What a pass costs beside its tokens, in tokens: 15 in fp32 and 32 in bf16, for MiniLM on one
core of a server's processor."""
SMOOTHING = 0.1


class Busy(FettleError):
    """The queue is full."""

    def __init__(self, rows: int, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(
            f"{rows} rows are waiting already, which is as many as may. Ask again in "
            f"{seconds:.0f} s."
        )


@dataclass(slots=True, eq=False)
class Asked:
    """The rows of one request, and what is known of them by now."""

    model: Opened
    """The version that answers them, whichever is champion when they do."""
    fields: Sequence[tuple[str, ...]]
    deadline: float
    """By `time.monotonic`; what is not begun by then is not done."""
    answered: "asyncio.Future[Asked]"
    probabilities: np.ndarray = field(init=False)
    """float64 (rows, classes)."""
    embeddings: np.ndarray = field(init=False)
    """float32 (rows, width)."""
    items: dict[int, Any] = field(default_factory=dict)
    """What the network reads, by row: of those alone that a batch has taken. A picture's is many
    times what was sent."""
    traits: dict[str, np.ndarray] = field(default_factory=dict)
    """Of pictures: how bright, how sharp, how large; float (rows,) each."""
    taken: int = 0
    left: int = 0
    dropped: bool = False

    def __post_init__(self) -> None:
        self.left = len(self.fields)

    @property
    def waiting(self) -> int:
        """Rows that no batch has taken."""
        return 0 if self.dropped else len(self.fields) - self.taken


class Batcher:
    """One thread with a model, and the queue before it."""

    def __init__(
        self, *, batch_rows: int = 32, batch_tokens: int = 4096, queue_rows: int = 128,
        wait_seconds: float = 0.0, watch: Callable[[int, float], None] = lambda rows, seconds: None,
    ) -> None:
        """Nothing runs until `start`.

        Args:
            batch_rows: taken from the queue at once.
            batch_tokens: of a forward pass, padding included.
            queue_rows: that may wait; a single request of more is taken when none wait.
            wait_seconds: for which the first row waits for company when the queue was empty.
            watch: told of every batch: its rows and seconds.
        """
        self._batch_rows, self._batch_tokens = batch_rows, batch_tokens
        self._queue_rows, self._wait_seconds = queue_rows, wait_seconds
        self._watch = watch
        self._queue: deque[Asked] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._is_closing = False
        self._rows_a_second = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Answer from now on, to the event loop that runs here."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Answer what waits, and end the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        while self._thread.is_alive():
            await asyncio.sleep(0.01)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Rows that no batch has taken and that somebody waits for."""
        return self._waiting

    def require_room(self, rows: int = 1) -> None:
        """Stop a request that would not find room.

        Raises:
            Busy: as many rows wait as may; it says when to ask again.
        """
        waiting = self._waiting
        if waiting and waiting + rows > self._queue_rows:
            raise Busy(waiting, max(1.0, np.ceil(waiting / max(self._rows_a_second, 1.0))))

    def ask(self, model: Opened, fields: Sequence[tuple[str, ...]], deadline: float) -> Asked:
        """Put rows into the queue; their future is set when all of them are answered.

        Raises:
            Busy: there is no room.
        """
        assert self._loop is not None, "a Batcher is started before it is asked"
        self.require_room(len(fields))
        asked = Asked(model, fields, deadline, self._loop.create_future())
        with self._changed:
            self._queue.append(asked)
            self._waiting += len(fields)
            self._changed.notify()
        return asked

    def drop(self, asked: Asked) -> None:
        """Nobody waits for these rows any more; what of them is not begun is not done."""
        with self._changed:
            self._waiting -= asked.waiting
            asked.dropped = True
            if asked in self._queue:  # else a batch has taken all of it
                self._queue.remove(asked)

    def _work(self) -> None:
        with self._changed:
            if self._queue:  # asked before this thread had begun to wait
                self._gather()
        while (batch := self._next()) is not None:
            for rows in batch:
                self._answer(rows)

    def _next(self) -> list[list[tuple[Asked, int]]] | None:
        """The next rows of one version, in the parts that run at once; None when closing."""
        with self._changed:
            while not (taken := self._take()):
                if self._is_closing:
                    return None
                self._changed.wait()
                if self._wait_seconds and not self._is_closing:
                    self._gather()
        for asked in dict.fromkeys(asked for asked, _ in taken):
            self._encode(asked, [row for one, row in taken if one is asked])
        taken = [(asked, row) for asked, row in taken if row in asked.items]
        sizes = [asked.model.encoder.size(asked.items[row]) for asked, row in taken]
        return [
            [taken[number] for number in part]
            for part in parts(sizes, budget=self._batch_tokens)
        ]

    def _gather(self) -> None:
        """Wait a little for more rows, the lock released meanwhile."""
        until = time.monotonic() + self._wait_seconds
        while self._waiting < self._batch_rows and (left := until - time.monotonic()) > 0:
            self._changed.wait(left)

    def _take(self) -> list[tuple[Asked, int]]:
        """Up to a batch of rows from the front of the queue, all for one version."""
        taken: list[tuple[Asked, int]] = []
        while self._queue and len(taken) < self._batch_rows:
            first = self._queue[0]
            if first.dropped or time.monotonic() >= first.deadline:
                self._queue.popleft()
                self._waiting -= first.waiting
                first.dropped = True
                continue
            if taken and first.model is not taken[0][0].model:
                break
            room = self._batch_rows - len(taken)
            rows = range(first.taken, min(first.taken + room, len(first.fields)))
            taken += [(first, row) for row in rows]
            first.taken += len(rows)
            self._waiting -= len(rows)
            if first.taken == len(first.fields):
                self._queue.popleft()
        return taken

    def _encode(self, asked: Asked, rows: list[int]) -> None:
        """These rows of a request; nothing of it where one cannot be."""
        fields = [asked.fields[row] for row in rows]
        try:
            items = asked.model.encoder.encode(fields)
            for name, values in asked.model.encoder.traits(fields, items).items():
                asked.traits.setdefault(name, np.empty(len(asked.fields)))[rows] = values
            asked.items.update(zip(rows, items, strict=True))
        except Exception as error:  # handed to whoever waits; the thread goes on
            self._fail(asked, error)

    def _fail(self, asked: Asked, error: Exception) -> None:
        self.drop(asked)
        self._tell([(asked, error)])

    def _answer(self, rows: list[tuple[Asked, int]]) -> None:
        """One forward pass, and every request that it completes."""
        now = time.monotonic()
        rows = [(one, row) for one, row in rows if not one.dropped and now < one.deadline]
        if not rows:
            return
        model = rows[0][0].model
        try:
            probabilities, embeddings = model.read([one.items.pop(row) for one, row in rows])
            if not np.isfinite(probabilities).all():
                raise FloatingPointError(f"{model.id} gave an output that is no number")
        except Exception as error:  # handed to those who wait; the thread goes on
            for failed in dict.fromkeys(one for one, _ in rows):
                self._fail(failed, error)
            return
        seconds = time.monotonic() - now
        done: list[tuple[Asked, Exception | None]] = []
        for number, (one, row) in enumerate(rows):
            if one.left == len(one.fields):
                one.probabilities = np.empty((len(one.fields), probabilities.shape[1]))
                one.embeddings = np.empty((len(one.fields), embeddings.shape[1]), np.float32)
            one.probabilities[row], one.embeddings[row] = probabilities[number], embeddings[number]
            one.left -= 1
            if not one.left:
                done.append((one, None))
        rate = len(rows) / max(seconds, 1e-6)
        before = self._rows_a_second or rate
        self._rows_a_second = before + SMOOTHING * (rate - before)
        self._watch(len(rows), seconds)
        self._tell(done)

    def _tell(self, done: list[tuple[Asked, Exception | None]]) -> None:
        if done and self._loop is not None:
            self._loop.call_soon_threadsafe(_resolve, done)


def _resolve(done: list[tuple[Asked, Exception | None]]) -> None:
    for asked, error in done:
        if asked.answered.done():
            continue
        if error is None:
            asked.answered.set_result(asked)
        else:
            asked.answered.set_exception(error)


def parts(sizes: Sequence[int], *, budget: int, overhead: int = FORWARD_TOKENS) -> list[list[int]]:
    """The rows of a batch in passes of like length, so that passes and padding cost least together.

    Args:
        sizes: tokens of each row.
        budget: tokens of a pass, padding included; a single longer row gets a pass of its own.
        overhead: what a pass costs beside its tokens, in tokens.

    Returns:
        Row numbers, each once; the shortest rows first.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    cost = [0.0] * (len(order) + 1)
    begins = [0] * (len(order) + 1)
    for stop in range(1, len(order) + 1):
        longest = sizes[order[stop - 1]]
        choices = [
            (cost[start] + overhead + (stop - start) * longest, start)
            for start in range(stop)
            if (stop - start) * longest <= budget or start == stop - 1
        ]
        cost[stop], begins[stop] = min(choices)
    found: list[list[int]] = []
    stop = len(order)
    while stop:
        found.append(order[begins[stop] : stop])
        stop = begins[stop]
    return found[::-1]
