"""Open loop: requests that leave at fixed times, whether or not earlier ones were answered.

    python bench/open_loop.py PORT RATE SECONDS PATH TEXTS.json [CONNECTIONS]

One text a request, `RATE` a second, over connections that are kept. The time of a request runs
from the moment at which it was due, so that a server that stalls is charged for every request that
waited meanwhile (Tene, "How NOT to Measure Latency", 2015: coordinated omission). Prints one JSON
object. Only the standard library, so that it can run on a core of its own beside any server.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

__all__ = ["main", "measured", "quantile"]

TIMEOUT = 30.0


class Line:
    """One connection that is kept; made again where the server closed it, as servers do with one
    that was idle for a few seconds."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        is_gone = self._reader is None or self._reader.at_eof()
        if self._writer is None or self._writer.is_closing() or is_gone:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        try:
            self._writer.write(request)
            head = await self._reader.readuntil(b"\r\n\r\n")
            lowered = head.lower()
            length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await self._reader.readexactly(length)
        except BaseException:
            self._writer.close()
            self._writer = None
            raise
        if b"connection: close" in lowered:
            self._writer.close()
            self._writer = None
        return int(head[9:12]), body


def request_of(path: str, text: str) -> bytes:
    """The bytes that ask one text."""
    key = "rows" if path == "/predict" else "texts"
    body = json.dumps({key: [text]}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


async def measured(
    port: int, rate: float, seconds: float, path: str, texts: list[str], connections: int
) -> dict[str, Any]:
    """Latencies by status, and what the slowest was."""
    requests = [request_of(path, text) for text in texts]
    free: asyncio.LifoQueue[Line] = asyncio.LifoQueue()  # no more connections than are needed
    for _ in range(connections):
        free.put_nowait(Line(port))
    taken: list[tuple[float, int]] = []
    versions: Counter[str] = Counter()

    async def one(due: float, number: int) -> None:
        line = await free.get()
        try:
            async with asyncio.timeout(TIMEOUT):
                status, body = await line.ask(requests[number % len(requests)])
            if status == 200 and b'"version":"' in body:
                versions[body.partition(b'"version":"')[2].partition(b'"')[0].decode()] += 1
        except TimeoutError:
            status = -1
        except (OSError, asyncio.IncompleteReadError, ValueError):
            status = -2
        finally:
            free.put_nowait(line)
        taken.append((time.perf_counter() - due, status))

    begun = time.perf_counter()
    running = set()
    total = int(rate * seconds)
    for number in range(total):
        due = begun + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(due, number))
        running.add(task)
        task.add_done_callback(running.discard)
    sent = time.perf_counter()
    late = sent - begun - total / rate
    while running:
        await asyncio.wait(running)
    ended = time.perf_counter()
    whole = ended - begun
    good = sorted(seconds for seconds, status in taken if status == 200)
    refused = sorted(seconds for seconds, status in taken if status == 503)
    return {
        "asked": total, "rate": rate, "seconds": whole, "generator_late_seconds": late,
        "drained_seconds": ended - sent,
        "statuses": {str(status): count for status, count in
                     Counter(status for _, status in taken).items()},
        "answered_a_second": len(good) / whole,
        "p50": quantile(good, 0.5), "p95": quantile(good, 0.95), "p99": quantile(good, 0.99),
        "max": good[-1] if good else None,
        "refused_p95": quantile(refused, 0.95),
        "versions": dict(versions),
    }


def quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value that so large a share is at most; None of none."""
    if not ordered:
        return None
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def main() -> None:
    """Measure once and print it."""
    port, rate, seconds, path, texts, *more = sys.argv[1:]
    found = asyncio.run(measured(
        int(port), float(rate), float(seconds), path, json.loads(Path(texts).read_text()),
        int(more[0]) if more else 256,
    ))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
