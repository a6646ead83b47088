"""The protocol of a receiver: journal -> tell -> commit, one notice after the other, oldest first.

Before the first attempt the end of the notice is journalled beside the unchanged committed offsets; after the receiver has
answered, the offsets are committed. Who finds a journalled notice at start tells exactly it again, under the same id. What
stands before the committed offsets was told: the log itself is the record of it.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, NoOffsetForPartitionError
from aiokafka.structs import OffsetAndMetadata

from schemas.arrival import is_tick
from schemas.errors import ContractError, UndecodableError
from sinks.notifying.deliveries import Cut, Entry, Notice, Told, Withdrawals, cut_at, next_cut
from sinks.notifying.marks import Mark, decode_mark, encode_mark, late_names
from sinks.notifying.outcomes import Accepted, Failed, Refused, retry_delay_s
from sinks.notifying.receiver import Work
from sinks.notifying.transition import decode_transition
from sinks.owner import NotOwnerError
from sinks.positions import Fetched, committed_of, describe, fetch, open_reader, read_ranges

log = logging.getLogger(__name__)

IDLE_MS = 500
QUEUED_MOST = 10_000
PATIENCE_S = 120.0
"""How long a receiver may fail before readiness says so; longer than a start may take."""


class Telling:
    """One time of ownership: what is untold, what is being told, and what was."""

    def __init__(self, work: Work, consumer: AIOKafkaConsumer, topic_ids: Mapping[str, str]) -> None:
        self._work = work
        self._consumer = consumer
        self._topic_ids = topic_ids
        self._committed: dict[TopicPartition, int] = {}
        self._backlog: dict[TopicPartition, int] = {}
        self._queues: dict[TopicPartition, deque[Entry]] = {}
        self._told = Told()
        self._withdrawals = Withdrawals()
        self._trying: Cut | None = None
        self._fixed = False
        """Whether the notice under way may have been taken: then it is told as it was cut, else it is cut anew."""
        self._failures = 0
        self._failing_since_s = self._due_s = self._keep_due_s = 0.0

    @classmethod
    async def begin(cls, work: Work, consumer: AIOKafkaConsumer) -> "Telling":
        """Read the positions, recall what was told, and take up the notice that was under way."""
        found = await asyncio.to_thread(describe, work.settings.kafka_bootstrap, work.topics)
        everything = sorted(TopicPartition(name, i) for name, one in found.items() for i in range(one.partitions))
        if work.ownership.assigned != set(everything):
            raise ContractError(
                "foreign_assignor",
                f"owns {len(work.ownership.assigned)} of {len(everything)} partitions",
                "another program is a member of this consumer group: stop it",
            )
        telling = cls(work, consumer, {name: one.topic_id for name, one in found.items()})
        await telling._take_up(everything)
        return telling

    async def _take_up(self, everything: Sequence[TopicPartition]) -> None:
        stored = await committed_of(self._consumer, everything)
        begins: dict[TopicPartition, int] = await self._consumer.beginning_offsets(everything)
        self._backlog = await self._consumer.end_offsets(everything)
        marks = {tp: decode_mark(one.metadata) for tp, one in stored.items()}
        for tp in everything:
            if tp in marks and marks[tp].topic_id != self._topic_ids[tp.topic]:
                raise ContractError(
                    "topic_recreated",
                    f"topic {tp.topic} is not the one that was read before",
                    "delete the consumer group of the notifier: it then begins with one digest of everything",
                )
            at = stored[tp].offset if tp in stored else begins[tp]
            if at < begins[tp]:
                log.error("%s: alarms of %s are gone before they were told: %d offsets", self._work.check, tp.topic,
                          begins[tp] - at)  # fmt: skip
            self._committed[tp] = max(at, begins[tp])
            self._queues[tp] = deque()
            self._consumer.seek(tp, self._committed[tp])
        ends = {tp: mark.trying for tp, mark in marks.items() if mark.trying is not None}
        await self._recall({tp: (begins[tp], ends.get(tp, self._committed[tp])) for tp in everything})
        self._told.mark_late({name for mark in marks.values() for name in mark.late})
        for tp, end in ends.items():
            self._consumer.seek(tp, max(end, self._committed[tp]))
        if ends:
            digest = any(mark.digest for mark in marks.values())
            self._trying = cut_at(self._queues, ends, self._told, digest=digest)
            self._fixed = True

    async def _recall(self, ranges: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Read what was told, before the committed offsets, and what was being told, behind them."""
        steps = []
        reader = await open_reader(self._work.settings.kafka_bootstrap)
        try:
            async for tp, records in read_ranges(reader, ranges):
                for entry in self._entries(tp, records):
                    if entry.offset >= self._committed[tp]:
                        self._queues[tp].append(entry)
                    elif entry.transition is not None:
                        steps.append(entry.transition)
        finally:
            await reader.stop()
        for one in sorted(steps, key=lambda one: (one.pane, one.alarm_id, one.sequence)):
            self._told.recall(one)

    def _queue(self, tp: TopicPartition, records: Sequence[Fetched]) -> None:
        self._queues[tp].extend(self._entries(tp, records))

    def _entries(self, tp: TopicPartition, records: Sequence[Fetched]) -> list[Entry]:
        out = []
        for one in records:
            transition = None
            if not is_tick(one.key, one.value):
                try:
                    transition = self._withdrawals.worth(decode_transition(one.value))
                except UndecodableError as error:
                    topic = self._work.topics[tp.topic].name
                    self._work.telemetry.count("undecodable_total", stage="notify", topic=topic)
                    log.error(
                        "%s: %s-%d at %d is no transition: %s", self._work.check, topic, tp.partition, one.offset, error
                    )
            out.append(Entry(one.offset, transition))
        return out

    async def step(self) -> None:
        """Take what has come, and tell one thing if one is due."""
        self._work.ownership.check()
        await self._fetch()
        if not await self._caught_up():
            return
        self._gauge()
        if self._due_s > time.monotonic():
            return
        if not self._fixed:
            self._trying = next_cut(self._queues, self._told, self._work.clock())
        if self._trying is None:
            await self._keep()
        elif self._trying.notice is None:
            await self._done(self._trying)
        else:
            await self._attempt(self._trying, self._trying.notice)

    async def _fetch(self) -> None:
        room = QUEUED_MOST - sum(map(len, self._queues.values()))
        waiting = any(self._queues.values()) and (not self._backlog or room <= 0)
        due_ms = int(1000 * (self._due_s - time.monotonic())) + 1 if waiting else IDLE_MS
        timeout_ms = max(1, min(due_ms, IDLE_MS))  # 0 would not let the loop fetch at all
        if room <= 0:
            await asyncio.sleep(timeout_ms / 1000)
            return
        try:
            found = await fetch(self._consumer, timeout_ms, room)
        except NoOffsetForPartitionError:
            for tp, queue in self._queues.items():
                self._consumer.seek(tp, queue[-1].offset + 1 if queue else self._committed[tp])
            return
        for tp, records in found.items():
            self._queue(tp, records)

    async def _caught_up(self) -> bool:
        """Return whether all is at hand that stood in the log at the begin: one outage makes one digest."""
        for tp, end in list(self._backlog.items()):
            if await self._consumer.position(tp) >= end:
                del self._backlog[tp]
        return not self._backlog or sum(map(len, self._queues.values())) >= QUEUED_MOST

    async def _attempt(self, cut: Cut, notice: Notice) -> None:
        work = self._work
        if not self._fixed:
            await self._commit(cut)
        began_s = time.monotonic()
        self._fixed = True
        outcome = await work.receiver.tell(notice)
        work.telemetry.observe("notify_seconds", time.monotonic() - began_s, receiver=work.receiver.name)
        if isinstance(outcome, Failed):
            self._fixed = outcome.doubt
            work.count("failed")
            self._later(outcome)
            return
        if isinstance(outcome, Refused):
            work.count("refused")
            log.error("%s refused %s: %s -> %s", work.check, notice.id, outcome.detail, outcome.remedy)
            work.readiness.fail(work.check, f"refused {notice.id}: {outcome.detail} -> {outcome.remedy}")
        else:
            work.count("digest" if notice.digest else "told")
            log.info("%s has %s (%s, %d transitions)", work.check, notice.id, notice.level, len(notice.transitions))
        self._told.tell(notice)
        self._answered(outcome)
        await self._done(cut)

    async def _keep(self) -> None:
        receiver = self._work.receiver
        if receiver.keep_every_s is None or time.monotonic() < self._keep_due_s:
            return
        outcome = await receiver.keep(self._told.standing())
        if isinstance(outcome, Failed):
            self._work.count("failed")
            self._later(outcome)
            return
        if isinstance(outcome, Refused):
            self._work.count("refused")
            self._work.readiness.fail(
                self._work.check, f"refused what stands open: {outcome.detail} -> {outcome.remedy}"
            )
        self._keep_due_s = time.monotonic() + receiver.keep_every_s
        self._answered(outcome)

    def _answered(self, outcome: Accepted | Refused) -> None:
        self._failures = 0
        self._due_s = 0.0
        if isinstance(outcome, Accepted):
            self._work.readiness.ok(self._work.check)

    def _later(self, outcome: Failed) -> None:
        work, now_s = self._work, time.monotonic()
        if self._failures == 0:
            self._failing_since_s = now_s
        self._failures += 1
        delay_s = retry_delay_s(self._failures, outcome.after_s, work.chance())
        self._due_s = now_s + delay_s
        log.warning("%s failed %d times, again in %.1f s: %s", work.check, self._failures, delay_s, outcome.detail)
        failing_s = now_s - self._failing_since_s
        if failing_s >= PATIENCE_S:
            work.readiness.fail(work.check, f"fails for {failing_s:.0f} s: {outcome.detail}")

    async def _done(self, cut: Cut) -> None:
        """Commit what a cut reaches, and forget it."""
        for tp, end in cut.ends.items():
            while self._queues[tp] and self._queues[tp][0].offset < end:
                self._queues[tp].popleft()
            self._committed[tp] = end
        self._trying, self._fixed = None, False
        await self._commit(None)

    async def _commit(self, trying: Cut | None) -> None:
        """Commit all positions with their marks; with the ends of the notice that is about to be told."""
        self._work.ownership.check()
        late = late_names([one.last.alarm_id for one in self._told.standing() if one.late])
        ends = {} if trying is None else trying.ends
        digest = trying is not None and trying.notice is not None and trying.notice.digest
        marks = {
            tp: Mark(topic_id=self._topic_ids[tp.topic], trying=ends.get(tp), digest=digest and tp in ends, late=late)
            for tp in self._committed
        }
        try:
            await self._consumer.commit(
                {tp: OffsetAndMetadata(at, encode_mark(marks[tp])) for tp, at in self._committed.items()}
            )
        except (CommitFailedError, IllegalStateError) as error:
            self._work.ownership.lose()
            raise NotOwnerError from error

    def _gauge(self) -> None:
        panes = [entry.transition.pane for queue in self._queues.values() for entry in queue if entry.transition]
        lag_s = (self._work.clock() - min(panes)) / 1000 if panes else 0.0
        self._work.telemetry.set("notify_lag_seconds", max(0.0, lag_s), receiver=self._work.receiver.name)
