"""The protocol of a sink: journal -> insert -> commit, so that each record of the log makes its row once.

A batch is a vector of offset ranges, each from a partition's committed offset to the consumer's position. Its ranges are
journalled beside the unchanged committed offsets; the rows are inserted under the token of the vector; then the new offsets
are committed. Who finds a journalled vector at start replays exactly it, then compares the stored offsets.
The commit carries the arrived time that the partition has reached: the gate waits for it.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, NoOffsetForPartitionError

from schemas.arrival import LOG_APPEND_TIME
from schemas.errors import ContractError, UnavailableError
from schemas.topics import TALLIES
from sinks.aside import undecodable_places
from sinks.batches import Batch, store_batch, tell_batch
from sinks.journal import Offsets, commit_of, journal_of, vector_of
from sinks.ledger_blocks import counted_ends
from sinks.ledger_lines import ledger_rows
from sinks.making import Memory
from sinks.owner import NotOwnerError
from sinks.positions import committed_of, describe, fetch, open_reader, read_ranges
from sinks.progress import Progress, check_position, check_topic_ids, recreated, stored_beyond, was_reset
from sinks.quota import Quota
from sinks.ranges import NONE_YET, Mark, Range, decode_mark, pending_vector
from sinks.storing import Doubt
from sinks.warming import stored_blocks, warm_filters
from sinks.work import Work

log = logging.getLogger(__name__)

IDLE_COMMIT_S = 1.0
"""A batch without rows only commits, at most this often."""
TOPIC_CHECK_S = 5.0
LONGEST_FETCH_MS = 200


class Session:
    """One time of ownership: what was read since the last commit, and what must be remembered of all before."""

    def __init__(self, work: Work, consumer: AIOKafkaConsumer, progress: dict[TopicPartition, Progress]) -> None:
        self._work = work
        self._consumer = consumer
        self._progress = progress
        self._memory = Memory(seals=work.seals)
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
            if tp in committed and not was_reset(committed[tp], begins[tp]):
                mark = decode_mark(committed[tp].metadata)
                check_position(tp, committed[tp].offset, begins[tp], mark, topic_id)
            marks[topic_id, tp.partition] = mark
            start = max(committed[tp].offset, begins[tp]) if tp in committed else begins[tp]
            progress[tp] = Progress(
                work.topics[tp.topic], topic_id, tp.partition, start, mark.arrived, mark.line, mark.counts or NONE_YET
            )
            consumer.seek(tp, start)
        session = cls(work, consumer, progress)
        await session._remember()
        await session._finish(pending_vector(marks), recut=any(one.recut for one in marks.values()))
        await session._learn_known()
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
            self._memory.ends = await work.inserter.ask(lambda client: counted_ends(client, offsets))

    async def _finish(self, vector: Sequence[Range], *, recut: bool) -> None:
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
        batch = await asyncio.to_thread(self._make)
        batch.quota.add(undecodable_places(batch.made))
        await store_batch(self._work, batch, vector, doubt=Doubt.RECUT if recut else Doubt.REPLAYED)
        await self._done(batch, vector)

    async def _learn_known(self) -> None:
        """Learn which records after the positions have rows already: then a position was lost, and the log is read again."""
        table, places = self._work.table, list(self._progress.values())
        known = await self._work.inserter.ask(lambda client: stored_beyond(client, table, places))
        for one in places:
            one.known = known.get(one.place, -1)
            if one.known >= 0:
                log.warning(
                    "%s-%d: the position %d was lost or set back, rows are stored up to offset %d: nothing is stored twice",
                    one.topic.name, one.partition, one.committed, one.known,
                )  # fmt: skip

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
        vector = vector_of(self._progress.values())
        if not vector:
            return
        recut = any(one.known >= one.committed for one in self._progress.values())
        batch = await asyncio.to_thread(self._make)  # heartbeats go on meanwhile
        self._oldest_s = None
        made = batch.made
        if made.rows is None and made.rejected is None and made.ledger is None:
            self._advance(batch)
            tell_batch(self._work, self._consumer, self._progress, batch)
            if time.monotonic() - self._last_commit_s >= IDLE_COMMIT_S:
                await self._commit(vector)
            return
        batch.quota.add(undecodable_places(made))
        await self._send(journal_of(self._progress, vector, recut=recut))
        self._work.kill.reached("sink.before_insert")
        await store_batch(self._work, batch, vector, doubt=Doubt.RECUT if recut else Doubt.NONE)
        self._work.kill.reached("sink.after_insert")
        await self._done(batch, vector)

    async def _done(self, batch: Batch, vector: Sequence[Range]) -> None:
        self._advance(batch)
        await self._commit(vector)
        self._work.kill.reached("sink.after_commit")
        tell_batch(self._work, self._consumer, self._progress, batch)

    def _advance(self, batch: Batch) -> None:
        for one in self._progress.values():
            one.counted = batch.quota.after(one.place)

    def _make(self) -> Batch:
        settings, table = self._work.settings, self._work.table
        before = {one.place: one.counted for one in self._progress.values()}
        takes = [one.take() for _, one in sorted(self._progress.items()) if one.records]
        self._held = self._held_bytes = 0
        made = table.make(takes, self._memory)
        places = {one.place: one for one in self._progress.values()}
        for one in made.counts if table.counts else ():
            made.closed += places[one.begins.topic_id, one.begins.partition].count([one])
        made.ledger = ledger_rows(made.closed)
        ratio, run = settings.sink_max_rejected_ratio, settings.sink_max_rejected_run
        return Batch(made, takes, Quota(table.name, takes, before, ratio=ratio, run=run), [])

    async def _commit(self, vector: Sequence[Range]) -> None:
        lines = self._work.table.counts
        await self._send(commit_of(self._progress, vector, lines=lines))
        for one in self._progress.values():
            end = next((part.last + 1 for part in vector if (part.topic_id, part.partition) == one.place), None)
            if end is not None:
                one.committed, one.arrived, one.counts = end, one.reached, one.counted
                one.said = one.line if lines else None
        self._last_commit_s = time.monotonic()

    async def _send(self, offsets: Offsets) -> None:
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
