"""Meters: what is counted while a version is served, in the form that Prometheus reads."""

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

__all__ = ["Meters"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64)


class Meters:
    """Counters of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        """All at zero."""
        self._all = CollectorRegistry()
        self._requests = Counter(
            "fettle_requests", "Requests that were answered, by what and how",
            ["route", "status"], registry=self._all,
        )
        self._seconds = Histogram(
            "fettle_request_seconds", "From the first byte of a request to the answer's last",
            ["route"], buckets=SECONDS, registry=self._all,
        )
        self._rows = Counter("fettle_rows", "Rows that were answered", registry=self._all)
        self._batch_rows = Histogram(
            "fettle_batch_rows", "Rows of a forward pass", buckets=ROWS, registry=self._all
        )
        self._batch_seconds = Histogram(
            "fettle_batch_seconds", "Of a forward pass", buckets=SECONDS, registry=self._all
        )
        self._swaps = Counter(
            "fettle_swaps", "New champions, by what became of them", ["outcome"],
            registry=self._all,
        )
        self._lost = Counter(
            "fettle_journal_lost", "Answers that the journal will never hold", registry=self._all
        )
        self._version = Gauge(
            "fettle_version", "1 for the version that answers", ["version"], registry=self._all
        )
        for outcome in ("swapped", "kept_out"):
            self._swaps.labels(outcome)

    def watch(self, *, waiting: Callable[[], int], held: Callable[[], int],
              kept_out: Callable[[], bool], journal_failing: Callable[[], bool]) -> None:
        """Ask these whenever somebody looks."""
        for name, told, ask in (
            ("fettle_queue_rows", "Rows that wait", waiting),
            ("fettle_held_bytes", "Of memory that requests hold", held),
            ("fettle_champion_kept_out", "1 while the registry's champion is kept out", kept_out),
            ("fettle_journal_failing", "1 while the journal cannot be written", journal_failing),
        ):
            Gauge(name, told, registry=self._all).set_function(ask)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        """One batch went through the network."""
        self._rows.inc(rows)
        self._batch_rows.observe(rows)
        self._batch_seconds.observe(seconds)

    def swapped(self, outcome: str) -> None:
        """A new champion was swapped in, or kept_out."""
        self._swaps.labels(outcome).inc()

    def lost(self, rows: int) -> None:
        """So many answers will never be in the journal."""
        self._lost.inc(rows)

    def text(self, version: str) -> bytes:
        """Everything, as Prometheus reads it."""
        self._version.clear()
        self._version.labels(version).set(1)
        return generate_latest(self._all)
