"""Publishing with a spool behind it: what the broker does not acknowledge is kept on this disk, and goes out later, in order."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from producers.flight import tell
from producers.publisher import Publisher, Record
from producers.spool import DayKeys, Spool
from producers.spool_drain import Drain
from producers.spool_folder import make_folder
from producers.spool_writer import SpoolWriter
from schemas.arrival import SENT_SLACK_MS
from schemas.clock import Clock
from schemas.errors import UnavailableError
from schemas.keyring import Keyring
from schemas.killpoint import KillPoints
from schemas.settings import Settings
from schemas.telemetry import Telemetry

CLOSE_S = 3.0
log = structlog.get_logger("producers.spooling")


class Spooling:
    """The publisher, and while it fails or the spool still holds something, the spool: so that a key keeps its order.

    Without trouble a request costs one comparison more, and touches no disk.
    """

    def __init__(
        self,
        publisher: Publisher,
        spool: Spool,
        settings: Settings,
        *,
        clock: Clock,
        telemetry: Telemetry,
        failed: Callable[[BaseException], None],
    ) -> None:
        """`failed` hears, from another thread, of an unexpected error in the way out: the process must end."""
        self._publisher = publisher
        self._spool = spool
        self._clock = clock
        self._telemetry = telemetry
        self._kill_points = KillPoints(settings.kill_point)
        self._drain = Drain(
            spool, publisher, clock=clock, telemetry=telemetry, kill_points=self._kill_points, failed=failed,
            # a first try that was not answered, the way out itself, and the most that `arrived` can be off
            slack_ms=SENT_SLACK_MS + int(2 * 1000 * publisher.longest_wait_s),
        )  # fmt: skip
        self._writer = SpoolWriter(
            spool, max_bytes=settings.spool_max_bytes, telemetry=telemetry, stored=self._drain.wake
        )
        self._max_bytes = settings.spool_max_bytes

    def start(self) -> None:
        """Begin to take and to send; what an earlier process left goes first."""
        if self._spool.records:
            log.warning("the spool holds records of an earlier run", records=self._spool.records)
        self._writer.start()
        self._drain.start()

    def close(self) -> None:
        """Store what waits for the disk, close the publisher, then the file; what is left goes out after the next start."""
        self._writer.close()
        self._drain.stop()
        self._publisher.close()  # ends the wait for what is on its way
        if self._drain.ended(CLOSE_S):
            self._spool.close()

    @property
    def holds(self) -> bool:
        """Return whether records wait for the broker; then new ones wait behind them."""
        return self._writer.waiting > 0 or self._spool.last_seq > self._drain.cursor

    async def publish(self, records: Sequence[Record]) -> None:
        """Return when all records are acknowledged by the broker or synced to the disk. Raises UnavailableError if neither.

        Records that the broker did not acknowledge in time may be stored there twice, under the same ids. While a probe goes
        unanswered nobody waits for the broker: a request of the outage's first seconds is not held for `longest_wait_s`.
        """
        if not (self.holds or self._publisher.doubted):
            try:
                await self._publisher.publish(records)
                return
            except UnavailableError as unavailable:
                if not self.holds:
                    log.warning("events go to the local spool", why=unavailable.detail)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[BaseException | None] = loop.create_future()
        self._writer.submit(records, lambda error: tell(loop, waiter, error))
        error = await waiter
        if error is not None:
            raise error
        self._kill_points.reached("gateway.after_spool")

    def health(self, failing: dict[str, str], check: str) -> dict[str, str]:
        """Return what is worth a note though events are taken; move it out of `failing`, and put in it what keeps them out.

        `check` names the broker's check.
        """
        why = self._spool.trouble or self._writer.full()
        needed = check in failing or self.holds
        if needed and why:
            failing["spool"] = why
            return {}
        notes = {"spool": why} if why else {}
        if needed:
            notes["spool"] = f"{self._spool.records} records wait on the local disk"
        if check in failing and self._publisher.tried:
            notes[check] = failing.pop(check)
        return notes

    def measure(self) -> None:
        """Set the gauges."""
        oldest = self._spool.oldest_at
        self._telemetry.set("spool_records", self._spool.records)
        self._telemetry.set("spool_bytes", self._spool.bytes)
        self._telemetry.set("spool_max_bytes", self._max_bytes)
        age_s = 0.0 if oldest is None else max(0.0, (self._clock() - oldest) / 1000)
        self._telemetry.set("spool_oldest_age_seconds", age_s)
        self._telemetry.set("spool_unreadable_entries", self._spool.unreadable)


def open_spooling(
    settings: Settings,
    publisher: Publisher,
    *,
    clock: Clock,
    telemetry: Telemetry,
    failed: Callable[[BaseException], None],
    keys: DayKeys | None = None,
) -> Spooling | None:
    """Return the spool of the data folder before this publisher; None where the settings want none and nothing waits in it.

    Its keys are its own (`keys`: for tests), so that nobody else destroys one whose records still wait.
    """
    folder = Path(settings.data_dir) / "spool"
    if not settings.spool_max_bytes and not folder.exists():
        return None
    make_folder(folder)
    spool = Spool(folder, keys=keys or Keyring(folder / "keys.sqlite", clock=clock), clock=clock)
    return Spooling(publisher, spool, settings, clock=clock, telemetry=telemetry, failed=failed)
