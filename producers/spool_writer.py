"""Requests that wait for the spool's disk: all that came while the last ones were synced share the next sync."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from producers.flight import Settled
from producers.publisher import Record
from producers.spool import Spool
from producers.spool_entries import ENTRY_BYTES, MAX_RECORD_BYTES, size_of
from schemas.errors import BarometerError, UnavailableError
from schemas.telemetry import Telemetry

MAX_WAITING_BYTES = 64 * 1024 * 1024
TOGETHER = 256
"""Requests of one transaction."""
log = structlog.get_logger("producers.spool_writer")


class SpoolWriter:
    """Stores requests in a thread of its own, in the order of `submit`; `waiting` is how many are not yet settled."""

    def __init__(self, spool: Spool, *, max_bytes: int, telemetry: Telemetry, stored: Callable[[], None]) -> None:
        self._spool = spool
        self._max_bytes = max_bytes
        self._telemetry = telemetry
        self._stored = stored
        self._queue: queue.SimpleQueue[tuple[Sequence[Record], int, Settled] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.waiting = 0
        self._waiting_bytes = 0
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def close(self) -> None:
        """Store what waits, then end."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def refusal(self, size: int = 1) -> str:
        """Return why records of this size would be refused now; empty: they would not."""
        if self._spool.bytes + self._waiting_bytes + size > self._max_bytes:
            return f"the local spool is full ({self._max_bytes} bytes)"
        if self._waiting_bytes + size > MAX_WAITING_BYTES and self.waiting:
            return "too much waits for the local disk"
        return ""

    def full(self) -> str:
        """Return why a usual request would be refused now; empty: it would not."""
        return self.refusal(max(1, min(ENTRY_BYTES, self._max_bytes // 50)))

    def submit(self, records: Sequence[Record], settled: Settled) -> None:
        """Take one request; `settled` hears, from the writer's thread, of its sync or its error. Raises UnavailableError."""
        largest = max((len(one.value) for one in records), default=0)
        if largest > MAX_RECORD_BYTES:
            raise UnavailableError("too_large_to_spool", f"a record of {largest} bytes", "send it when Kafka is back")
        size = size_of(records)
        with self._lock:
            why = self.refusal(size)
            if why:
                raise UnavailableError("spool_full", why, "send again later")
            self.waiting += 1
            self._waiting_bytes += size
        self._queue.put((records, size, settled))

    def _run(self) -> None:
        while True:
            some = [self._queue.get()]
            while len(some) < TOGETHER and not self._queue.empty():
                some.append(self._queue.get())
            requests = [one for one in some if one is not None]
            if requests:
                self._store(requests)
            if None in some:
                return

    def _store(self, requests: Sequence[tuple[Sequence[Record], int, Settled]]) -> None:
        error: Exception | None = None
        try:
            self._spool.append([records for records, _, _ in requests])
        except BarometerError as refused:
            log.error("the spool takes nothing", error=str(refused), requests=len(requests))
            error = refused
        except Exception as unexpected:  # each request raises it again, in its own handler
            log.exception("the spool failed")
            error = unexpected
        else:
            counts = Counter(one.topic for records, _, _ in requests for one in records)
            for topic, count in counts.items():
                self._telemetry.count("spooled_total", count, topic=topic)
        with self._lock:
            self.waiting -= len(requests)
            self._waiting_bytes -= sum(size for _, size, _ in requests)
        self._stored()
        for _, _, settled in requests:
            settled(error)
