"""Sinks as members of their consumer groups: one owns all partitions of its table and fills it, others stand by."""

import asyncio
import gc
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aiokafka.errors import IllegalStateError
from clickhouse_driver import Client

from schemas.clock import Clock, system_clock
from schemas.killpoint import KillPoints
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import sink_group
from sinks.clickhouse import connect
from sinks.insert import Inserter
from sinks.ledger_lines import LEDGER_TABLE
from sinks.owner import Lease, NotOwnerError, Ownership, check_group, join_group
from sinks.patience import pause
from sinks.quota import TooManyRejectedError
from sinks.seals import Seals, seals_of
from sinks.session import Session
from sinks.store_checks import check_store
from sinks.storing import SETTINGS
from sinks.tables import REJECTED_TABLE, TABLES, Table
from sinks.work import Work

PARTITION_FETCH_BYTES = 16 << 20
STANDBY_S = 0.1
GC_OBJECTS = 500_000
KEYS_EVERY_S = 3_600.0
SHOWN_S = 60.0
"""How long a sink that has stopped stays up to be asked why: longer than Prometheus waits between two questions."""

log = logging.getLogger(__name__)


class Sink:
    """One table's sink: a member of its consumer group, idle until it owns all partitions."""

    def __init__(
        self, settings: Settings, telemetry: Telemetry, readiness: Readiness, table: Table, clock: Clock = system_clock
    ) -> None:
        ownership = Ownership()
        self._store_check = f"clickhouse for {table.name}"
        self._work = Work(
            settings=settings,
            telemetry=telemetry,
            readiness=readiness,
            clock=clock,
            table=table,
            topics={settings.topic_prefix + topic.name: topic for topic in table.topics},
            ownership=ownership,
            inserter=Inserter(lambda: connect(settings), telemetry, readiness, ownership.check, self._store_check),
            seals=seals_of(settings, clock),
            kill=KillPoints(settings.kill_point),
        )
        self._check = f"sink {table.name}"
        self._lease = Lease(Path(settings.data_dir), f"{settings.topic_prefix}{table.name}")

    async def run(self, stop: asyncio.Event) -> None:
        """Fill the table until `stop`. Any exception means: this process must end; nothing was committed past it."""
        work = self._work
        work.readiness.fail(self._check, "starts")
        work.telemetry.set("sink_stopped", 0, table=work.table.name)
        while not self._lease.take():
            work.readiness.fail(self._check, "stands by: another process of this data folder fills the table")
            await asyncio.sleep(STANDBY_S)
            if stop.is_set():
                return
        try:
            await self._fill(stop)
        except TooManyRejectedError as error:
            await self._stopped(error, stop)
            raise
        finally:
            work.inserter.close()
            self._lease.release()

    async def _fill(self, stop: asyncio.Event) -> None:
        work = self._work
        store = Inserter(
            lambda: connect(work.settings), work.telemetry, work.readiness, lambda: None, self._store_check
        )
        try:
            await store.ask(self._check_store)
        finally:
            store.close()
        consumer = await join_group(
            work.settings.kafka_bootstrap, work.prefix + sink_group(work.table.name), work.topics, self._lease,
            work.ownership, since_ms=work.clock(), partition_fetch_bytes=PARTITION_FETCH_BYTES,
        )  # fmt: skip
        try:
            while not stop.is_set():
                if not work.ownership.begin():
                    work.readiness.fail(self._check, "stands by: another member of the group fills the table")
                    check_group(consumer)
                    await asyncio.sleep(STANDBY_S)
                    continue
                try:
                    session = await Session.begin(work, consumer)
                    work.readiness.ok(self._check)
                    while not stop.is_set():
                        await session.step()
                    await session.flush()
                except (NotOwnerError, IllegalStateError):  # aiokafka's word for a partition that has just been revoked
                    work.readiness.fail(self._check, "lost its partitions to another member")
                    await asyncio.sleep(STANDBY_S)
        finally:
            await consumer.stop()

    def _check_store(self, client: Client) -> None:
        """Raise ContractError unless the tables can be filled exactly once."""
        table, flush_s = self._work.table, self._work.settings.sink_flush_s
        for name in sorted({table.name, REJECTED_TABLE, LEDGER_TABLE}):
            check_store(client, name, table.topics if name == table.name else (), flush_s, SETTINGS)

    async def _stopped(self, error: TooManyRejectedError, stop: asyncio.Event) -> None:
        """Say why this sink stops, for long enough that Prometheus hears of it; the process ends afterwards."""
        work = self._work
        work.readiness.fail(self._check, str(error))
        work.telemetry.set("sink_stopped", 1, table=work.table.name)
        log.critical("the sink of %s stops: %s", work.table.name, error)
        await pause(stop, SHOWN_S)


async def destroy_old_days(seals: Seals, clock: Clock, stop: asyncio.Event) -> None:
    """Destroy, at once and every hour until `stop`, the keys of days whose raw bytes nobody may open any more."""
    while not stop.is_set():
        ids = await asyncio.to_thread(seals.destroy_old_days, clock())
        if ids:
            log.info("%d keys of days are destroyed: what was rejected under them is unreadable", len(ids))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), KEYS_EVERY_S)


async def run_sink(
    settings: Settings,
    telemetry: Telemetry,
    readiness: Readiness,
    tables: Sequence[str] = tuple(TABLES),
    *,
    stop: asyncio.Event | None = None,
    clock: Clock = system_clock,
) -> None:
    """Fill tables until `stop` is set. Raises whatever ends one of them; then all end, and the process should."""
    ended = stop or asyncio.Event()
    # a batch makes some hundred thousand lists and tuples, none in a cycle: looking for cycles took half of the time
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 50, 100)
    sinks = [Sink(settings, telemetry, readiness, TABLES[name], clock) for name in tables]
    async with asyncio.TaskGroup() as group:
        for sink in sinks:
            group.create_task(sink.run(ended))
        if REJECTED_TABLE in tables:
            group.create_task(destroy_old_days(seals_of(settings, clock), clock, ended))
