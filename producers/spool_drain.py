"""The spool's way out: entries go to the broker in their order, and leave the disk when it has acknowledged them."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter

import structlog

from producers.publisher import Publisher, Record
from producers.spool import Spool
from producers.spool_entries import topic_after
from schemas.clock import Clock
from schemas.errors import UnavailableError, UndecodableError
from schemas.killpoint import KillPoints
from schemas.telemetry import Telemetry

PAGE_BYTES = 512 * 1024
IDLE_S = 1.0
RETRY_S = 0.5
KEYS_EVERY_MS = 3_600_000
log = structlog.get_logger("producers.spool_drain")


class Drain:
    """Sends what waits, from a thread of its own; `cursor` is the last entry that it is done with.

    A page that was not acknowledged is sent again, whole: a copy has the same id and partition, so the repeat filter finds it.
    Between pages it rests as long as a page took, so that requests get their share, unless the spool grows meanwhile.
    `slack_ms`: see `topic_after`. `failed` hears of an unexpected error: the process must end.
    """

    def __init__(
        self,
        spool: Spool,
        publisher: Publisher,
        *,
        clock: Clock,
        telemetry: Telemetry,
        kill_points: KillPoints,
        slack_ms: int,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._spool = spool
        self._publisher = publisher
        self._clock = clock
        self._telemetry = telemetry
        self._kill_points = kill_points
        self._slack_ms = slack_ms
        self._failed = failed
        self.cursor = 0
        self._deleted_to = 0
        self._keys_looked_at: int | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool-drain", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._wake.set()

    def stop(self) -> None:
        """Ask it to end after the page that is on its way; what is not acknowledged by then stays."""
        self._stop.set()
        self._wake.set()

    def ended(self, timeout_s: float) -> bool:
        """Wait until it has ended; return whether it has."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def step(self) -> None:
        """Send one page and remove it. Raises UnavailableError if it was not acknowledged: then it stays and is sent again."""
        entries = self._spool.page(self.cursor, PAGE_BYTES)
        now = self._clock()
        records: list[Record] = []
        unreadable = []
        for entry in entries:
            try:
                found = self._spool.opened(entry)
            except UndecodableError as error:
                log.critical("an entry of the spool cannot be read; it is kept", seq=entry.seq, error=str(error))
                unreadable.append(entry)
            else:
                records += self._in_lanes(found, now - entry.spooled_at)
        if records:
            self._publisher.wait(self._publisher.submit(records))
        for topic, count in Counter(one.topic for one in records).items():
            self._telemetry.count("spool_drained_total", count, topic=topic)
        self._kill_points.reached("spool.before_delete")
        for entry in unreadable:
            self._spool.set_aside(entry)
        self.cursor = entries[-1].seq
        self._delete()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.wait(IDLE_S)
                self._wake.clear()
                try:
                    self._tidy()
                    while self._spool.last_seq > self.cursor and not self._stop.is_set():
                        self._publisher.wait_ready(IDLE_S)
                        self._paced()
                        if self._spool.last_seq == self.cursor:
                            log.info("the spool is drained", unreadable=self._spool.unreadable)
                except UnavailableError as error:
                    log.debug("the spool waits", why=str(error))
                    self._stop.wait(RETRY_S)
        except BaseException as error:
            log.exception("the drain of the spool failed")
            self._failed(error)

    def _paced(self) -> None:
        last, behind = self._spool.last_seq, self._spool.last_seq - self.cursor
        began = perf_counter()
        self.step()
        if last < self._spool.last_seq < self.cursor + behind:
            self._stop.wait(perf_counter() - began)

    def _in_lanes(self, records: Sequence[Record], lain_ms: int) -> list[Record]:
        out = []
        for one in records:
            topic = topic_after(one.topic, lain_ms, self._slack_ms)
            out.append(one if topic == one.topic else Record(topic, one.key, one.value))
        return out

    def _delete(self) -> None:
        """Remove what was acknowledged; a disk that refuses holds up nothing but the room, and a new start sends it again."""
        try:
            self._spool.delete(self._deleted_to, self.cursor)
            self._deleted_to = self.cursor
        except UnavailableError as error:
            log.error("what the broker has acknowledged stays in the spool for now", error=str(error))

    def _tidy(self) -> None:
        if self._deleted_to < self.cursor:
            self._delete()
        elif self._spool.trouble:
            self._spool.probe()
            log.warning("the disk of the spool takes events again")
        now = self._clock()
        if self._keys_looked_at is None or abs(now - self._keys_looked_at) >= KEYS_EVERY_MS:
            self._keys_looked_at = now
            destroyed = self._spool.destroy_old_keys()
            if destroyed:
                log.info("keys of past days are destroyed", keys=len(destroyed))
