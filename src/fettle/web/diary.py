"""The diary: answers on their way to the journal, on a thread of its own.

A disk that is slow or full delays no answer. What could not be written waits in memory, up to a
limit, and is tried again; what is lost is counted and said aloud.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from sys import getsizeof

from fettle.core.errors import StoreError
from fettle.core.journal import Answered
from fettle.store.journal import Journal

__all__ = ["Diary"]

MOST, MOST_BYTES = 10_000, 64 * 2**20
PAUSE_SECONDS, AGAIN_SECONDS = 0.2, 5.0


class Diary:
    """The thread that writes, and what waits for it."""

    def __init__(
        self, journal: Journal, *, say: Callable[[str], None],
        lost: Callable[[int], None] = lambda rows: None, most: int = MOST,
        most_bytes: int = MOST_BYTES, again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        """Begin.

        Args:
            journal: that is written to.
            say: told what an operator should know.
            lost: told how many answers will never be written, each time that some are lost.
            most: answers that wait in memory while the disk says no, or is slow.
            most_bytes: that these take, the texts or pictures that are kept of them included.
            again_seconds: between two tries.
        """
        self._journal, self._say, self._lost = journal, say, lost
        self._most, self._most_bytes, self._bytes = most, most_bytes, 0
        self._again_seconds = again_seconds
        self._waiting: deque[Answered] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._lost_count = 0
        self._told_slow = False
        self.failing = ""
        """What the disk said last; empty where all is well."""
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def note(self, batch: Iterable[Answered]) -> None:
        """Write these down, soon."""
        with self._changed:
            was_empty = not self._waiting
            for one in batch:
                self._waiting.append(one)
                self._bytes += _bytes_of(one)
            self._shed()
            if was_empty:  # else the thread knows, and waking it costs more than the answer
                self._changed.notify()

    def close(self) -> None:
        """Write what waits, and end; what cannot be written is lost, aloud."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting and not self._closing.is_set():
                    self._changed.wait()
            # several answers make one write
            self._closing.wait(self._again_seconds if self.failing else PAUSE_SECONDS)
            is_last = self._closing.is_set()
            with self._changed:
                batch = list(self._waiting)
                self._waiting.clear()
                self._bytes = 0
            self._write(batch, is_last)
            if is_last:
                return

    def _write(self, batch: list[Answered], is_last: bool) -> None:
        try:
            for sentence in self._journal.write(batch):
                self._say(sentence)
        except (StoreError, OSError) as error:
            if not self.failing:
                self._say(f"The journal cannot be written; answering goes on. {error}")
            self.failing = str(error)
            with self._changed:
                self._waiting.extendleft(reversed(batch))
                self._bytes += sum(map(_bytes_of, batch))
                self._shed(to=0 if is_last else None)
            return
        if self.failing:
            self.failing = ""
            self._say(f"The journal is written again; {self._lost_count:,} answers are not in it.")

    def _shed(self, to: int | None = None) -> None:
        """Lose the oldest where more wait than may."""
        most, over = self._most if to is None else to, 0
        while len(self._waiting) > most or self._bytes > self._most_bytes:
            self._bytes -= _bytes_of(self._waiting.popleft())
            over += 1
        if not over:
            return
        self._lost_count += over
        self._lost(over)
        if to == 0:
            self._say(f"{over:,} answers are lost to the journal.")
        elif not self.failing and not self._told_slow:
            self._told_slow = True
            self._say("The journal is slower than the answers: the oldest that wait are lost.")


def _bytes_of(one: Answered) -> int:
    """What an answer takes in memory, its arrays and texts above all."""
    arrays = one.probabilities.nbytes + (0 if one.embedding is None else one.embedding.nbytes)
    return getsizeof(one) + arrays + sum(map(getsizeof, (one.inputs or {}).values()))
