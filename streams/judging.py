"""Stage 2, the judge's shell: the tallies log in; readings, alarms, state and position out, in one transaction.

At start it fences its predecessor, reads the newest snapshot, replays the log silently up to the committed position, and only then
speaks. The position is written with the outputs, so that every output stands once in the committed log, whatever dies when.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition

from schemas.arrival import sent_header
from schemas.catalogue import Catalogue, load
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, encode
from schemas.declared import Catalogues, Declared, as_settings_say, declaration
from schemas.errors import ContractError
from schemas.killpoint import KillPoints
from schemas.outputs import Decision, DecisionKind, Output, decision_to_record
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import CATALOGUES, GROUP_JUDGE, SOURCES, STATE, TALLIES
from streams import snapshots
from streams.catalogues import read_catalogues
from streams.exclusions import Exclusions
from streams.gauges import Gauges
from streams.host import Host, RevokedError, run_stage
from streams.intake import Committed, Records
from streams.judged import Judged, record_of
from streams.ranges import open_partition
from streams.renewals import AUTHOR, Renewals, renewal
from streams.snapshots import Shelf
from streams.tallies_log import is_sources, sources_body, sources_decision
from streams.topic_ids import find_topics
from streams.transactions import Position, Record, Transactions, position_of

log = logging.getLogger(__name__)

NAME = "judge"
MAX_OUTPUTS = 50_000
"""Outputs after which a transaction is closed while catching up; it has to end well within its timeout."""
POSITION_EVERY_MS = 1_000
LOOK_EVERY_MS = 1_000
"""How often the judge looks for sources that stand still."""
KILL_POINT, AFTER, BEFORE_EXCLUSION = "judge.before_commit", "judge.after_commit", "judge.before_exclusion"
REPLAY = "replay"


class _Seat:
    """What this process holds while it owns the tallies log: the judge, the producer, and what is not yet written."""

    def __init__(
        self, judged: Judged, transactions: Transactions, partition: TopicPartition, slot: int, now_ms: int
    ) -> None:
        self.judged = judged
        self.transactions = transactions
        self.partition = partition
        self.slot = slot
        self.outputs: list[Output] = []
        self.committed = judged.next_offset
        self.committed_at = now_ms
        self.saved = judged.next_offset
        self.saved_at = now_ms
        self.whole = True
        """Whether `judged` may be written: false while records are fed or written, and for ever after a failure of either.

        A commit that failed may have succeeded all the same: only the committed position tells.
        """


class JudgeStage:
    """The stage of streams/host.py that judges."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, telemetry: Telemetry, readiness: Readiness, clock: Clock
    ) -> None:
        self._settings, self._catalogue, self._readiness, self._clock = settings, catalogue, readiness, clock
        self._telemetry = telemetry
        self._gauges = Gauges(telemetry, readiness, clock)
        self._renewals = Renewals(settings.renew_every_s * 1000, settings.pane_ms)
        self._exclusions = Exclusions(settings.exclude_after_s * 1000, settings.pane_ms)
        self._looked_at = 0
        self._kill = KillPoints(settings.kill_point)
        self._prefix = settings.topic_prefix
        self._host: Host | None = None
        self._seat: _Seat | None = None
        self._declared = False

    async def on_started(self, host: Host) -> None:
        """Remember the host."""
        self._host = host

    async def on_assigned(
        self,
        partitions: Sequence[TopicPartition],
        committed: Committed,
    ) -> Mapping[TopicPartition, int]:
        """Take the log over: fence the predecessor, restore, replay silently; return where to read on."""
        assert self._host is not None
        await self._release()
        (partition,) = partitions
        self._readiness.fail(REPLAY, "taking over")
        transactions = await Transactions.open(
            self._settings.kafka_bootstrap, f"{self._prefix}{GROUP_JUDGE}-{partition.partition}"
        )
        try:
            # not `committed`: it may be older than the predecessor's last transaction
            stored = (await self._host.committed([partition])).get(partition)
            position = None if stored is None else position_of(*stored)
            judged, slot = await self._restore()
            await self._replay(judged, partition, position)
            await self._begin_log(judged, partition, transactions)
        except BaseException:
            await transactions.close()
            raise
        self._seat = _Seat(judged, transactions, partition, slot, self._clock())
        self._exclusions = Exclusions(self._settings.exclude_after_s * 1000, self._settings.pane_ms)
        self._gauges.show(judged, judged.newest.values())
        self._readiness.ok(REPLAY)
        log.info("the judge goes on at offset %d, pane %s", judged.next_offset, judged.judge.pane)
        return {partition: judged.next_offset}

    async def on_records(self, batch: Mapping[TopicPartition, Records]) -> None:
        """Feed the records; write what the judge says of all of them."""
        seat = self._seat
        if seat is None:
            raise RevokedError
        judged = seat.judged
        seat.whole = False
        for record in batch[seat.partition]:
            seat.outputs += judged.apply(record.offset, record.value)
            if len(seat.outputs) >= MAX_OUTPUTS:
                await self._commit(seat)
        seat.whole = True
        if seat.outputs or self._position_due(seat):
            await self._commit(seat, snapshot=self._snapshot_due(seat))
        await self._decide(seat)
        self._gauges.watch(judged)

    async def on_timer(self) -> None:
        """Commit the position of a log that moves without outputs; write the snapshot that is due."""
        seat = self._seat
        if seat is not None:
            due = self._snapshot_due(seat)
            if due or self._position_due(seat):
                await self._commit(seat, snapshot=due)
            await self._decide(seat)
            self._gauges.watch(seat.judged)

    async def on_revoked(self) -> None:
        """Save the state and let the log go."""
        await self._release()

    async def on_stopped(self) -> None:
        """Save the state and disconnect."""
        await self._release()

    # --- taking over -----------------------------------------------------------------------------------------------

    async def _restore(self) -> tuple[Judged, int]:
        """Return the judge of the newest snapshot, or an empty one, and the slot for the next snapshot."""
        names = [self._prefix + topic.name for topic in (TALLIES, *SOURCES)]
        found = await asyncio.to_thread(find_topics, self._settings.kafka_bootstrap, names)
        catalogues = await read_catalogues(self._settings.kafka_bootstrap, self._prefix)
        as_settings_say(catalogues, self._catalogue)
        self._declared = len(catalogues) > 0
        first = catalogues.first or Declared(0, self._catalogue)
        ours = sources_body(found, self._settings, first.catalogue.hash)
        log_id = found[self._prefix + TALLIES.name].topic_id
        shelf = Shelf()
        async with open_partition(
            self._settings.kafka_bootstrap, TopicPartition(self._prefix + STATE.name, 0)
        ) as reader:
            async for records in reader.read(reader.first, reader.end):
                self._go_on()
                for record in records:
                    shelf.put(record.key, record.value)
        newest = shelf.newest()
        if newest is None:
            return Judged(self._settings, first.catalogue, ours, log_id), 0
        snapshot, slot = newest
        known = Catalogues([first, *catalogues])
        return Judged.restored(snapshot, self._settings, known, ours, log_id), (slot + 1) % snapshots.SLOTS

    async def _replay(self, judged: Judged, partition: TopicPartition, position: Position | None) -> None:
        """Feed what an earlier judge has already answered, without a word. Raises ContractError where the log does not fit."""
        async with open_partition(self._settings.kafka_bootstrap, partition) as reader:
            start, end = judged.next_offset, 0 if position is None else position.offset
            where = f"{partition.topic}-{partition.partition}"
            if position is not None and position.log != judged.log_id:
                raise _lost(
                    f"the committed position belongs to log {position.log}, the log that stands is {judged.log_id}"
                )
            if end > reader.end:
                raise _lost(f"{where} ends at {reader.end}, before the committed position {end}")
            if start < reader.first:
                raise _lost(f"{where} begins at {reader.first}, the state reaches only up to {start}")
            if start > end:
                raise _lost(f"the state reaches up to {start}, beyond the committed position {end}")
            if start < end:
                async for records in reader.read(start, end):
                    self._go_on()
                    self._readiness.fail(REPLAY, f"at offset {judged.next_offset} of {end}")
                    for record in records:
                        judged.apply(record.offset, record.value)
        if position is None:
            return
        judged.next_offset = end
        if (judged.judge.pane, judged.judge.seq) != (position.pane, position.seq):
            raise ContractError(
                "state_differs",
                f"replay arrives at pane {judged.judge.pane}, sequence {judged.judge.seq}; the judge that wrote the outputs "
                f"was at pane {position.pane}, sequence {position.seq}",
                "go back to the version that wrote them (`barometer replay` shows the difference)",
            )

    async def _begin_log(self, judged: Judged, partition: TopicPartition, transactions: Transactions) -> None:
        """Write what the log lacks: the decision `sources`, if it does not stand further on, and the first catalogue."""
        now_ms, said = self._clock(), list[tuple[str, bytes, Decision]]()
        if judged.sources is None and not await self._names_sources(partition, judged.next_offset):
            sources = sources_decision(dict(judged.ours), now_ms)
            said.append((partition.topic, DecisionKind.SOURCES.encode(), sources))
        if not self._declared:
            first = declaration(judged.judge.engine.catalogue, from_pane=0, replaces="", author=NAME, made_at=now_ms)
            said.append((self._prefix + CATALOGUES.name, first.decision_id.encode(), first))
        if said:
            await transactions.commit([
                Record(topic, key, encode(Kind.DECISION, decision_to_record(decision)), (sent_header(now_ms),))
                for topic, key, decision in said
            ])  # fmt: skip
            log.info("first judge of this log: its sources and its catalogue are written")

    async def _names_sources(self, partition: TopicPartition, start: int) -> bool:
        async with open_partition(self._settings.kafka_bootstrap, partition) as reader:
            if start < reader.end:
                async for records in reader.read(start, reader.end):
                    if any(is_sources(record.value) for record in records):
                        return True
        return False

    def _go_on(self) -> None:
        assert self._host is not None
        if self._host.revoked:
            raise RevokedError

    # --- writing ---------------------------------------------------------------------------------------------------

    def _position_due(self, seat: _Seat) -> bool:
        return seat.judged.next_offset > seat.committed and self._clock() - seat.committed_at >= POSITION_EVERY_MS

    def _snapshot_due(self, seat: _Seat) -> bool:
        every_ms = self._settings.snapshot_every_s * 1000
        return seat.judged.next_offset > seat.saved and self._clock() - seat.saved_at >= every_ms

    async def _commit(self, seat: _Seat, *, snapshot: bool = False) -> None:
        """Write outputs and position, and the state if `snapshot`, in one transaction."""
        judged = seat.judged
        whole, seat.whole = seat.whole, False
        headers = (sent_header(self._clock()),)
        records = [record_of(output, self._prefix, headers) for output in seat.outputs]
        began, state_bytes, snapshot_id = time.perf_counter(), 0, ""
        if snapshot:
            state = judged.snapshot()
            snapshot_id, state_bytes = state.snapshot_id, len(state.state)
            name = self._prefix + STATE.name
            records += [Record(name, key, value, headers) for key, value in snapshots.to_records(state, seat.slot)]
        await seat.transactions.commit(
            records,
            group=self._prefix + GROUP_JUDGE,
            partition=seat.partition,
            position=judged.position(snapshot_id),
            before=lambda: self._kill.reached(KILL_POINT),
        )
        taken_s = time.perf_counter() - began
        self._telemetry.observe("judge_transaction_seconds", taken_s)
        self._kill.reached(AFTER)
        seat.committed, seat.committed_at = judged.next_offset, self._clock()
        if snapshot:
            seat.slot = (seat.slot + 1) % snapshots.SLOTS
            seat.saved, seat.saved_at = judged.next_offset, self._clock()
            self._telemetry.observe("snapshot_seconds", taken_s)
            self._telemetry.set("snapshot_bytes", state_bytes)
        outputs, seat.outputs, seat.whole = seat.outputs, [], whole
        self._gauges.said(judged, outputs)

    async def _decide(self, seat: _Seat) -> None:
        """Write what the judge decides by itself, in a transaction of its own; it is judged when it comes back from the log."""
        assert self._host is not None
        now_ms, backlog = self._clock(), self._host.backlog(seat.partition)
        boundary = self._renewals.due(seat.judged.judge.pane, backlog)
        said = [] if boundary is None else [renewal(boundary, author=AUTHOR, made_at=now_ms)]
        about = list[Decision]()
        if abs(now_ms - self._looked_at) >= LOOK_EVERY_MS:
            self._looked_at = now_ms
            about = self._exclusions.due(seat.judged.judge, backlog, now_ms)
        if not (said or about):
            return
        if about:
            self._kill.reached(BEFORE_EXCLUSION)
        whole, seat.whole = seat.whole, False
        headers = (sent_header(now_ms),)
        await seat.transactions.commit([
            Record(seat.partition.topic, one.kind.encode(), encode(Kind.DECISION, decision_to_record(one)), headers)
            for one in (*said, *about)
        ])  # fmt: skip
        seat.whole = whole
        if boundary is not None:
            self._renewals.written(boundary)
        self._exclusions.written(about)
        for one in about:
            log.warning("%s %s-%s from pane %s", one.kind, one.body["topic"], one.body["partition"], one.from_pane)

    async def _release(self) -> None:
        """Write what is settled, forget the log, drop its series."""
        seat, self._seat = self._seat, None
        if seat is None:
            return
        self._gauges.drop()
        try:
            if seat.whole and seat.judged.next_offset > seat.saved:
                await self._commit(seat, snapshot=True)
        except ContractError as error:
            log.warning("not saved: %s", error)
        finally:
            await seat.transactions.close()


def _lost(detail: str) -> ContractError:
    return ContractError(
        "log_lost",
        detail,
        "the tallies log was truncated or created anew: restore it, or start a new installation with another topic_prefix",
    )


def run_judge(settings: Settings, telemetry: Telemetry, readiness: Readiness, clock: Clock = system_clock) -> int:
    """Run stage 2 until it is asked to end or fails; return the exit code."""
    stage = JudgeStage(settings, load(settings.catalogue, pane_ms=settings.pane_ms), telemetry, readiness, clock)
    return run_stage(settings, telemetry, readiness, NAME, [settings.topic_prefix + TALLIES.name], stage, clock)
