"""The protocol of a sink: journal -> insert -> commit, so that each record of the log makes its row once.

A batch is a vector of offset ranges, each from a partition's committed offset to the consumer's position. Its ranges are
journalled beside the unchanged committed offsets; the rows are inserted under the token of the vector; then the new offsets
are committed. Who finds a journalled vector at start replays exactly it, then compares the stored offsets.
The commit carries the arrived time that the partition has reached: the gate waits for it.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, NoOffsetForPartitionError
from aiokafka.structs import OffsetAndMetadata

from schemas.arrival import LOG_APPEND_TIME
from schemas.clock import Clock
from schemas.errors import ContractError, UnavailableError
from schemas.killpoint import KillPoints
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import TALLIES, Topic
from sinks.insert import Inserter
from sinks.owner import NotOwnerError, Ownership
from sinks.positions import committed_of, describe, fetch, open_reader, read_ranges
from sinks.progress import Progress, check_position, check_topic_ids, recreated
from sinks.ranges import VECTOR_DIGITS, Mark, Range, decode_mark, encode_mark, pending_vector, token, vector_hash
from sinks.rows import Rows
from sinks.tables import REJECTED_TABLE, Made, Memory, Table
from sinks.warming import stored_blocks, warm_filters

IDLE_COMMIT_S = 1.0
"""A batch without rows only commits, at most this often."""
TOPIC_CHECK_S = 5.0
LONGEST_FETCH_MS = 200
LATENCY_SAMPLES = 500
EVENTS = "feedback_events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the sink of one table works with; `topics`: name on the broker -> topic."""

    settings: Settings
    telemetry: Telemetry
    readiness: Readiness
    clock: Clock
    table: Table
    topics: Mapping[str, Topic]
    ownership: Ownership
    inserter: Inserter
    kill: KillPoints

    @property
    def prefix(self) -> str:
        """Return what stands before every topic and group."""
        return self.settings.topic_prefix


class Session:
    """One time of ownership: what was read since the last commit, and what must be remembered of all before."""

    def __init__(self, work: Work, consumer: AIOKafkaConsumer, progress: dict[TopicPartition, Progress]) -> None:
        self._work = work
        self._consumer = consumer
        self._progress = progress
        self._memory = Memory()
        self._topic_ids = {tp.topic: one.topic_id for tp, one in progress.items()}
        self._held = self._held_bytes = 0
        self._oldest_s: float | None = None
        self._last_commit_s = self._last_check_s = time.monotonic()

    @classmethod
    async def begin(cls, work: Work, consumer: AIOKafkaConsumer) -> "Session":
        """Read the positions, remember what stands before them, and finish the vector that was under way."""
        settings = work.settings
        found = await asyncio.to_thread(describe, settings.kafka_bootstrap, work.topics)
        everything = {TopicPartition(name, i) for name, one in found.items() for i in range(one.partitions)}
        if work.ownership.assigned != everything:
            raise ContractError(
                "foreign_assignor",
                f"owns {len(work.ownership.assigned)} of {len(everything)} partitions",
                "another program is a member of this consumer group: stop it",
            )
        committed = await committed_of(consumer, sorted(everything))
        await work.inserter.ask(lambda client: check_topic_ids(client, work.table, work.topics, found))
        begins: Mapping[TopicPartition, int] = await consumer.beginning_offsets(sorted(everything))
        progress, marks = {}, {}
        for tp in sorted(everything):
            topic_id = found[tp.topic].topic_id
            mark = Mark(arrived=0)
            if tp in committed:
                mark = decode_mark(committed[tp].metadata)
                check_position(tp, committed[tp].offset, begins[tp], mark, topic_id)
            marks[topic_id, tp.partition] = mark
            start = committed[tp].offset if tp in committed else begins[tp]
            progress[tp] = Progress(work.topics[tp.topic], topic_id, tp.partition, start, mark.arrived)
            consumer.seek(tp, start)
        session = cls(work, consumer, progress)
        await session._remember()
        await session._finish(pending_vector(marks))
        return session

    async def _remember(self) -> None:
        work, progress = self._work, self._progress
        if work.table.windows:
            reader = await open_reader(work.settings.kafka_bootstrap)
            try:
                starts = {tp: (one.committed, one.arrived) for tp, one in progress.items()}
                self._memory.filters = await warm_filters(reader, work.table, work.prefix, starts)
            finally:
                await reader.stop()
        if TALLIES in work.table.topics:
            offsets = {(one.topic_id, one.partition): one.committed for one in progress.values()}
            self._memory.blocks = await work.inserter.ask(lambda client: stored_blocks(client, offsets))

    async def _finish(self, vector: Sequence[Range]) -> None:
        """Replay exactly the vector that a predecessor had journalled."""
        if not vector:
            return
        by_place = {(one.topic_id, one.partition): tp for tp, one in self._progress.items()}
        ranges = {by_place[one.topic_id, one.partition]: (one.first, one.last + 1) for one in vector}
        reader = await open_reader(self._work.settings.kafka_bootstrap)
        try:
            async for tp, records in read_ranges(reader, ranges):
                self._progress[tp].records.extend(records)
        finally:
            await reader.stop()
        for tp, (first, end) in ranges.items():
            if self._progress[tp].committed != first:
                raise ContractError(
                    "broken_journal", f"{tp}: the journal begins at {first}, the commit stands elsewhere"
                )
            self._progress[tp].next = end
            self._consumer.seek(tp, end)
        made = await asyncio.to_thread(self._make)
        await self._store(made, vector, doubt=True)
        await self._commit(vector)
        self._count(made)

    async def step(self) -> None:
        """Take what is there, and store it when a batch is due."""
        work, settings = self._work, self._work.settings
        work.ownership.check()
        now_s = time.monotonic()
        if now_s - self._last_check_s >= TOPIC_CHECK_S:
            await self._check_ids()
            self._last_check_s = now_s
        due_s = settings.sink_flush_s if self._oldest_s is None else self._oldest_s + settings.sink_flush_s - now_s
        wanted = max(1, settings.sink_batch_rows - self._held)
        try:
            found = await fetch(self._consumer, max(1, min(int(1000 * due_s), LONGEST_FETCH_MS)), wanted)
        except NoOffsetForPartitionError:
            found = {}
            for tp, one in self._progress.items():
                self._consumer.seek(tp, one.next)
        work.ownership.check()
        for tp, records in found.items():
            if any(one.timestamp_type != LOG_APPEND_TIME for one in records):
                raise ContractError(
                    "not_log_append_time", f"{tp.topic} does not stamp records itself", "run `barometer topics apply`"
                )
            self._progress[tp].records.extend(records)
            self._held += len(records)
            self._held_bytes += sum(len(one.value) for one in records if one.value is not None)
        for tp, one in self._progress.items():
            one.next = max(one.next, await self._consumer.position(tp))
        if any(one.next > one.committed for one in self._progress.values()) and self._oldest_s is None:
            self._oldest_s = time.monotonic()
        full = self._held >= settings.sink_batch_rows or self._held_bytes >= work.table.batch_bytes
        if full or (self._oldest_s is not None and time.monotonic() - self._oldest_s >= settings.sink_flush_s):
            await self.flush()

    async def flush(self) -> None:
        """Store what was taken. A batch without rows only commits, and not often."""
        vector = self._vector()
        if not vector:
            return
        made = await asyncio.to_thread(self._make)  # heartbeats go on meanwhile
        self._oldest_s = None
        if made.rows is None and made.rejected is None:
            self._count(made)
            if time.monotonic() - self._last_commit_s >= IDLE_COMMIT_S:
                await self._commit(vector)
            return
        await self._journal(vector)
        self._work.kill.reached("sink.before_insert")
        await self._store(made, vector, doubt=False)
        self._work.kill.reached("sink.after_insert")
        await self._commit(vector)
        self._count(made)

    def _vector(self) -> list[Range]:
        return sorted(
            Range(one.topic_id, one.partition, one.committed, one.next - 1)
            for one in self._progress.values()
            if one.next > one.committed
        )

    def _make(self) -> Made:
        takes = [one.take() for _, one in sorted(self._progress.items()) if one.records]
        self._held = self._held_bytes = 0
        return self._work.table.make(takes, self._memory)

    async def _store(self, made: Made, vector: Sequence[Range], *, doubt: bool) -> None:
        """Insert the rows, and beside them, under the same vector, what could not be decoded."""
        inserter = self._work.inserter
        for name, rows in ((self._work.table.name, made.rows), (REJECTED_TABLE, made.rejected)):
            if rows is not None:
                await inserter.store(name, rows, vector, token(name, vector), doubt=doubt)

    async def _journal(self, vector: Sequence[Range]) -> None:
        name = vector_hash(vector)[:VECTOR_DIGITS]
        pending = {(one.topic_id, one.partition): (one.first, one.last) for one in vector}
        marks = {
            tp: OffsetAndMetadata(
                one.committed,
                encode_mark(
                    Mark(
                        arrived=one.arrived, topic_id=one.topic_id, vector=name,
                        pending=pending[one.topic_id, one.partition],
                    )
                ),
            )
            for tp, one in self._progress.items()
            if (one.topic_id, one.partition) in pending
        }  # fmt: skip
        await self._send(marks)

    async def _commit(self, vector: Sequence[Range]) -> None:
        ends = {(one.topic_id, one.partition): one.last + 1 for one in vector}
        done = {tp: one for tp, one in self._progress.items() if (one.topic_id, one.partition) in ends}
        await self._send({
            tp: OffsetAndMetadata(
                ends[one.topic_id, one.partition], encode_mark(Mark(arrived=one.reached, topic_id=one.topic_id))
            )
            for tp, one in done.items()
        })  # fmt: skip
        for one in done.values():
            one.committed, one.arrived = ends[one.topic_id, one.partition], one.reached
        self._last_commit_s = time.monotonic()

    async def _send(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self._work.ownership.check()
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            self._work.ownership.lose()
            raise NotOwnerError from error

    async def _check_ids(self) -> None:
        try:
            found = await asyncio.to_thread(describe, self._work.settings.kafka_bootstrap, self._work.topics)
        except UnavailableError as error:
            self._work.readiness.fail("kafka", str(error))
            return
        self._work.readiness.ok("kafka")
        for name, one in found.items():
            if one.topic_id != self._topic_ids[name]:
                raise recreated(name, self._topic_ids[name], one.topic_id)

    def _count(self, made: Made) -> None:
        telemetry, name, now_ms = self._work.telemetry, self._work.table.name, self._work.clock()
        for topic, repeats in made.repeats.items():
            telemetry.count("repeats_total", repeats, stage="sink", topic=topic)
        for topic, bad in made.undecodable.items():
            telemetry.count("undecodable_total", bad, stage="sink", topic=topic)
        for table, rows in ((name, made.rows), (REJECTED_TABLE, made.rejected)):
            if rows is not None:
                telemetry.count("inserted_rows_total", len(rows), table=table)
        if made.rows is not None and name == EVENTS:
            self._latencies(made.rows, now_ms)
        self._work.ownership.check()
        for tp, one in self._progress.items():
            label = {"topic": one.topic.name, "partition": str(one.partition)}
            end = self._consumer.last_stable_offset(tp)
            if end is not None:
                telemetry.set("lag_records", max(0, end - one.committed), stage="sink", **label)
            if one.arrived:
                telemetry.set("lag_seconds", (now_ms - one.arrived) / 1000, stage="sink", **label)

    def _latencies(self, rows: Rows, now_ms: int) -> None:
        """Observe live rows from reception to storage; of a large insert evenly spaced ones."""
        every = max(1, len(rows) // LATENCY_SAMPLES)
        for lane, received in zip(rows.columns["lane"][::every], rows.columns["received_at"][::every], strict=True):
            if lane == "live":
                self._work.telemetry.observe("capture_to_row_seconds", max(0, now_ms - received) / 1000)
