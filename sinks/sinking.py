"""Sinks as members of their consumer groups: one owns all partitions of its table and fills it, others stand by."""

import asyncio
import gc
from collections.abc import Sequence
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
from sinks.insert import Inserter, check_token_window
from sinks.owner import Lease, NotOwnerError, Ownership, join_group
from sinks.session import Session, Work
from sinks.tables import REJECTED_TABLE, TABLES, Table

PARTITION_FETCH_BYTES = 16 << 20
STANDBY_S = 0.1
GC_OBJECTS = 500_000


class Sink:
    """One table's sink: a member of its consumer group, idle until it owns all partitions."""

    def __init__(
        self, settings: Settings, telemetry: Telemetry, readiness: Readiness, table: Table, clock: Clock = system_clock
    ) -> None:
        ownership = Ownership()
        self._work = Work(
            settings=settings,
            telemetry=telemetry,
            readiness=readiness,
            clock=clock,
            table=table,
            topics={settings.topic_prefix + topic.name: topic for topic in table.topics},
            ownership=ownership,
            inserter=Inserter(lambda: connect(settings), telemetry, readiness, ownership.check),
            kill=KillPoints(settings.kill_point),
        )
        self._check = f"sink {table.name}"
        self._lease = Lease(Path(settings.data_dir), f"{settings.topic_prefix}{table.name}")

    async def run(self, stop: asyncio.Event) -> None:
        """Fill the table until `stop`. Any exception means: this process must end; nothing was committed past it."""
        work = self._work
        work.readiness.fail(self._check, "starts")
        while not self._lease.take():
            work.readiness.fail(self._check, "stands by: another process of this data folder fills the table")
            await asyncio.sleep(STANDBY_S)
            if stop.is_set():
                return
        try:
            await self._fill(stop)
        finally:
            work.inserter.close()
            self._lease.release()

    async def _fill(self, stop: asyncio.Event) -> None:
        work = self._work
        store = Inserter(lambda: connect(work.settings), work.telemetry, work.readiness, lambda: None)
        try:
            await store.ask(self._check_windows)
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

    def _check_windows(self, client: Client) -> None:
        for name in sorted({self._work.table.name, REJECTED_TABLE}):
            check_token_window(client, name, self._work.settings.sink_flush_s)


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
