"""The Faust host of both stages: group membership, whole record lists in, positions with their meaning out.

Rules: calls of a stage never overlap; nothing is committed but by the stage; on revocation unfinished work is dropped;
any exception ends the process with a non-zero code. A restart begins at the committed offsets.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from faust.types import TP

from schemas.arrival import LOG_APPEND_TIME
from schemas.clock import Clock, system_clock
from schemas.errors import ContractError
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from streams.faust_app import build_app
from streams.intake import BulkConsumer, BulkThread, Committed, Records
from streams.stuck import Progress, watched

log = logging.getLogger(__name__)

TICK_S = 0.05
MEASURE_EVERY = 20
STOP_S = 3.0
ASSIGNED = "assigned"
"""Readiness check: the group has given this process its partitions, and the stage has taken them."""


class RevokedError(Exception):
    """The partitions belong to another member now: drop the batch."""


class Stage(Protocol):
    """One of the two stages. The host calls one method at a time."""

    async def on_started(self, host: "Host") -> None:
        """Connect what the stage needs; called once, before any assignment."""

    async def on_assigned(
        self, partitions: Sequence[TopicPartition], committed: Committed
    ) -> Mapping[TopicPartition, int]:
        """Take the partitions over (all that this process owns now); return where to read on.

        `committed`: offset and metadata of those that have any. A partition that is not in the answer is read from its
        committed offset, or from its beginning. Long work asks `host.revoked` between its steps.
        """

    async def on_records(self, batch: Mapping[TopicPartition, Records]) -> None:
        """Process consecutive records of each partition."""

    async def on_revoked(self) -> None:
        """Forget all partitions and unfinished work."""

    async def on_timer(self) -> None:
        """Do what is due; called about every 50 ms while partitions are assigned."""

    async def on_stopped(self) -> None:
        """Disconnect; called once, also after a failure."""


class Host:
    """What a stage may ask of its host; also what Faust's consumer calls (see intake.Taker)."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        readiness: Readiness,
        name: str,
        topics: Iterable[str],
        stage: Stage,
        clock: Clock,
    ) -> None:
        self._telemetry, self._readiness, self._name, self._stage = telemetry, readiness, name, stage
        self._clock = clock
        self._topics = list(topics)
        self.group = settings.topic_prefix + f"barometer-{name}"
        self.bootstrap = settings.kafka_bootstrap
        self._turn = asyncio.Lock()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._epoch = 0
        self._taken = -1
        self._owned: list[TopicPartition] = []
        self._ticks = 0
        self._last_append: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._progress = Progress[TopicPartition](settings.stuck_after_s)
        self._app = build_app(self.group, self.bootstrap, self._topics, self)
        self._app.on_partitions_revoked.connect(self._on_revoked)
        self._app.on_partitions_assigned.connect(self._on_assigned)

    # --- for the stage ---------------------------------------------------------------------------------------------

    @property
    def revoked(self) -> bool:
        """Return whether the group is taking the partitions away: what is under way is in vain."""
        return self._taken != self._epoch

    async def commit(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Commit offsets with metadata. Raises RevokedError if another member owns the partitions."""
        if offsets and not await self._thread.commit_with_metadata(offsets):
            raise RevokedError

    async def committed(self, partitions: Iterable[TopicPartition]) -> Committed:
        """Return the committed offsets as they are now; for a stage that fences its predecessor first."""
        return await self._thread.committed(partitions)

    async def beginnings(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the first offsets that the broker still holds."""
        return await self._thread.beginnings(partitions)

    async def offsets_at(self, times: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int | None]:
        """Return the offset of the first record appended at or after a time in ms, None where there is none."""
        return await self._thread.offsets_at(times)

    def backlog(self, partition: TopicPartition) -> int | None:
        """Return how many offsets of a partition wait to be read; None before its first fetch."""
        return self._thread.backlog(partition)

    async def pause(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read no more of these partitions; when they are resumed, from these offsets on. A new assignment ends it."""
        self._paused |= offsets.keys()
        self._consumer.pause_partitions([TP(*tp) for tp in offsets])
        await self._thread.pause(offsets)

    async def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these partitions again."""
        found = self._paused & set(partitions)
        await self._thread.resume(found)
        self._consumer.resume_partitions([TP(*tp) for tp in found])
        self._paused -= found

    def moved(self) -> None:
        """Say that the stage goes ahead with something that has to come before its records."""
        self._progress.forget()

    # --- for the consumer ------------------------------------------------------------------------------------------

    async def reassigned(self) -> bool:
        """Let the stage take a new assignment, if there is one."""
        if self._taken == self._epoch:
            return True
        async with self._turn:
            epoch = self._epoch
            assigned = sorted(self._consumer.assignment())
            owned = [TopicPartition(*tp) for tp in assigned]
            if self._app.rebalancing and not self._consumer.flow_active:
                return False
            self._taken = epoch
            try:
                committed = await self._thread.committed(owned)
                starts = dict(await self._stage.on_assigned(owned, committed)) if owned else {}
                rest = [tp for tp in owned if tp not in starts]
                starts |= {tp: committed[tp][0] for tp in rest if tp in committed}
                starts |= await self._thread.beginnings([tp for tp in rest if tp not in committed])
                if not self.revoked:
                    await self._thread.seek_all(starts)
            except RevokedError:
                log.info("assignment dropped: the group rebalances again")
            if self.revoked:
                return False
            self._owned = owned
            self._readiness.ok(ASSIGNED)
            log.info("assigned partitions: %d", len(owned))
        return True

    async def take(self, records: Mapping[TopicPartition, Records]) -> None:
        """Hand fetched records to the stage."""
        epoch = self._epoch
        async with self._turn:
            if epoch != self._epoch or self.revoked or not self._consumer.flow_active:
                return
            batch = {TopicPartition(*tp): run for tp, run in records.items() if run}
            for tp, run in batch.items():
                check_append_time(tp, run)
                self._last_append[tp] = run[-1].timestamp
            began = time.perf_counter()
            try:
                await self._stage.on_records(batch)
            except RevokedError:
                log.info("batch dropped: its partitions belong to another member")
                self._epoch += 1
                return
            self._telemetry.observe("stage_seconds", time.perf_counter() - began, stage=self._name)
            self._telemetry.observe("batch_records", sum(map(len, batch.values())), stage=self._name)

    def failed(self, error: BaseException) -> None:
        """End the process because of `error`."""
        if isinstance(error, OffsetOutOfRangeError):
            error = ContractError(
                "offset_out_of_range",
                f"the log does not hold the offset to read on from: {error}",
                "records are lost or the topic was truncated: read deploy/docs/operations.md before resetting the group",
            )
        if not self._ended.done():
            log.critical("%s stage ends: %s", self._name, error, exc_info=error)
            self._ended.set_result(1)

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Run until SIGTERM, SIGINT or a failure; return the exit code."""
        loop = asyncio.get_running_loop()
        watch = asyncio.create_task(watched(self.bootstrap, self._progress, self._positions, self.failed))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_end)
        try:
            await self._stage.on_started(self)
            await self._app.start()
            while not self._ended.done():
                await asyncio.wait([self._ended], timeout=TICK_S)
                if self._app.crashed:
                    self.failed(self._app.crash_reason or RuntimeError("Faust stopped"))
                else:
                    await self._timer()
        except Exception as error:
            self.failed(error)
        watch.cancel()
        await asyncio.wait([watch])
        for what in (self._app.stop(), self._stage.on_stopped()):
            try:
                await asyncio.wait_for(what, STOP_S / 2)
            except Exception as error:
                log.warning("while stopping: %r", error)
        return self._ended.result()

    def _asked_to_end(self) -> None:
        if not self._ended.done():
            log.info("%s stage ends as asked", self._name)
            self._ended.set_result(0)

    def _positions(self) -> dict[TopicPartition, int | None]:
        """Return how far the partitions are read that are to be read now."""
        if self.revoked:
            return {}
        return {tp: self._thread.read_to(tp) for tp in self._owned if tp not in self._paused}

    async def _timer(self) -> None:
        if self._turn.locked() or self.revoked or not self._owned:
            return
        async with self._turn:
            try:
                await self._stage.on_timer()
            except RevokedError:
                self._epoch += 1
        self._ticks += 1
        if self._ticks % MEASURE_EVERY == 0:
            self._measure()

    def _measure(self) -> None:
        now_ms = self._clock()
        for tp in self._owned:
            backlog = self.backlog(tp)
            if backlog is None:
                continue
            labels = {"stage": self._name, "topic": tp.topic, "partition": str(tp.partition)}
            self._telemetry.set("lag_records", backlog, **labels)
            last = self._last_append.get(tp)
            self._telemetry.set("lag_seconds", max(0, now_ms - last) / 1000 if backlog and last else 0, **labels)

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        self._epoch += 1
        self._readiness.fail(ASSIGNED, "the group rebalances")
        async with self._turn:
            for tp in self._owned:
                for name in ("lag_records", "lag_seconds"):
                    self._forget(name, tp)
            self._owned = []
            self._paused.clear()
            self._last_append.clear()
            await self._stage.on_revoked()

    def _forget(self, name: Any, tp: TopicPartition) -> None:
        with contextlib.suppress(KeyError):  # never measured
            self._telemetry.forget(name, stage=self._name, topic=tp.topic, partition=str(tp.partition))

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        self._epoch += 1

    # --- Faust -----------------------------------------------------------------------------------------------------

    @property
    def _consumer(self) -> BulkConsumer:
        consumer = self._app.consumer
        assert isinstance(consumer, BulkConsumer)
        return consumer

    @property
    def _thread(self) -> BulkThread:
        return self._consumer.thread


def check_append_time(tp: TopicPartition, run: Records) -> None:
    """Refuse records whose time was set by a producer. Raises ContractError."""
    if {record.timestamp_type for record in run} != {LOG_APPEND_TIME}:
        offset = next(record.offset for record in run if record.timestamp_type != LOG_APPEND_TIME)
        raise ContractError(
            "no_append_time",
            f"{tp.topic}-{tp.partition} offset {offset} has no log-append time",
            "set message.timestamp.type=LogAppendTime on the topic (`barometer topics apply`) and create it anew",
        )


def run_stage(
    settings: Settings,
    telemetry: Telemetry,
    readiness: Readiness,
    name: str,
    topics: Sequence[str],
    stage: Stage,
    clock: Clock = system_clock,
) -> int:
    """Run a stage (`name`: tally or judge) in this process until it is asked to end or fails; return the exit code.

    `topics` are full names, prefix included. The caller should leave the process with the code at once.
    """
    # Batches make millions of short-lived objects that hold no cycles; the collector's visits double the cost of a record.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)

    async def run() -> int:
        return await Host(settings, telemetry, readiness, name, topics, stage, clock).run()

    return asyncio.run(run())
