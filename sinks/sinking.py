"""Sinks as members of their consumer groups: one owns all partitions of its table and fills it, others stand by."""

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError, KafkaError
from clickhouse_driver import Client

from schemas.clock import Clock, system_clock
from schemas.errors import UnavailableError
from schemas.killpoint import KillPoints
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import sink_group
from sinks.clickhouse import connect
from sinks.insert import Inserter, check_token_window
from sinks.owner import Lease, NotOwnerError, Ownership, sole_owner
from sinks.positions import FETCH_WAIT_MS
from sinks.session import Session, Work
from sinks.tables import REJECTED_TABLE, TABLES, Table

SESSION_MS = 15_000
HEARTBEAT_MS = 1_000
LONGEST_POLL_MS = 24 * 3_600_000
"""A vector may wait for ClickHouse as long as it takes; heartbeats go on meanwhile."""
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
        consumer = await self._join()
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

    async def _join(self) -> AIOKafkaConsumer:
        """Join the group. A restart under the same name takes its place over at once and fences the one that had it."""
        work = self._work
        group = work.prefix + sink_group(work.table.name)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=work.settings.kafka_bootstrap,
            group_id=group,
            client_id=group,
            group_instance_id=self._lease.member,
            partition_assignment_strategy=[sole_owner(work.clock())],
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=LONGEST_POLL_MS,
            rebalance_timeout_ms=SESSION_MS,
        )
        consumer.subscribe(list(work.topics), listener=work.ownership)
        try:
            await consumer.start()
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{group}: {error!r}") from error
        return consumer


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
