"""The gate: history -> admitted, each event once, and never one that came live before.

Rule: a history record is admitted if neither ClickHouse nor the gate's own admissions that are not yet stored have its id. That
answer is final only when every live event that arrived before it is stored; so the gate waits until the feedback_events sink
has passed the record's arrived time in every live partition. Outputs and positions are one transaction. What may still come live
goes back to its live topic (sinks.returning).
"""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from clickhouse_driver import Client

from schemas.arrival import arrived, is_tick, sent_header, sent_of
from schemas.bulk import decode_events
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, decode_as
from schemas.errors import ContractError, UndecodableError
from schemas.event import from_record
from schemas.killpoint import KillPoints
from schemas.outputs import digest
from schemas.readiness import Readiness
from schemas.settings import Settings, identifying
from schemas.telemetry import Telemetry
from schemas.topics import ADMITTED, GROUP_GATE, HISTORY, LEDGER, LIVE, REJECTED, Topic
from sinks.admissions import EVENTS_GROUP, Admitted, admissible, event_ids, read_admissions
from sinks.clickhouse import connect
from sinks.correcting import Rejection, corrected, correcting, rejection
from sinks.corrections import rounds
from sinks.gate_lines import GateLines, Moved
from sinks.insert import Inserter
from sinks.live_marks import LiveMarks
from sinks.positions import Fetched, Positions, describe, fetch, open_reader
from sinks.returning import Returning, still_live
from sinks.rows import Place, undecodable_record
from sinks.seals import seals_of
from sinks.transactions import Record, Transactions

BATCH_RECORDS = 5_000
"""Ids of one look-up, and records of one transaction."""
WAIT_S = 0.1
CHECK = "gate"
KNOWN = "SELECT DISTINCT event_id FROM feedback_events WHERE event_id IN %(ids)s"


class Gate:
    """One gate; its transactional id fences an older one."""

    def __init__(
        self, settings: Settings, telemetry: Telemetry, readiness: Readiness, clock: Clock = system_clock
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._readiness = readiness
        self._clock = clock
        self._kill = KillPoints(settings.kill_point)
        self._prefix = settings.topic_prefix
        self._store = Inserter(lambda: connect(settings), telemetry, readiness, lambda: None)
        self._seals = seals_of(settings, clock)
        self._identifying = identifying(settings)

    async def run(self, stop: asyncio.Event) -> None:
        """Admit until `stop`. Any exception means: this process must end; nothing was admitted past it."""
        self._readiness.fail(CHECK, "starts")
        bootstrap = self._settings.kafka_bootstrap
        wanted = [self._prefix + one.name for one in (*LIVE.values(), HISTORY, ADMITTED)]
        found = await asyncio.to_thread(describe, bootstrap, wanted)
        self._topic_id = found[self._prefix + HISTORY.name].topic_id
        partitions = {name: [TopicPartition(name, i) for i in range(one.partitions)] for name, one in found.items()}
        self._history = partitions[self._prefix + HISTORY.name]
        self._admitted = partitions[self._prefix + ADMITTED.name]
        live = [tp for one in LIVE.values() for tp in partitions[self._prefix + one.name]]
        self._marks = LiveMarks(live, self._prefix, CHECK, self._telemetry, self._readiness)
        # fences an older gate and ends what it left open, before anything is read
        producer = await Transactions.open(bootstrap, self._prefix + GROUP_GATE, who="gate")
        self._returning = Returning(bootstrap, self._prefix + GROUP_GATE + "-live")
        positions = await Positions.open(bootstrap)
        consumer = await open_reader(bootstrap)
        try:
            # a gate before may have sent events back that are not yet stored
            self._marks.until = dict(await consumer.end_offsets(live))
            self._admissions = await read_admissions(bootstrap, self._prefix, self._admitted, positions)
            await self._begin(consumer, positions)
            self._readiness.ok(CHECK)
            while not stop.is_set():
                await self._step(consumer, producer, positions, stop)
        finally:
            await consumer.stop()
            await positions.close()
            await self._returning.close()
            await producer.close()
            self._store.close()

    async def _begin(self, consumer: AIOKafkaConsumer, positions: Positions) -> None:
        """Set the reader to the gate's own positions; without one to the beginning."""
        stored = await positions.of(self._prefix + GROUP_GATE, self._history)
        begins = await consumer.beginning_offsets(self._history)
        consumer.assign(self._history)
        for tp in self._history:
            if tp in stored and stored[tp].offset < begins[tp]:
                raise ContractError(
                    "offset_out_of_range",
                    f"{tp.topic}-{tp.partition}: the log begins at {begins[tp]}, the gate had come to {stored[tp].offset}",
                    "retention was shorter than the outage: import the files of that time again",
                )
            consumer.seek(tp, stored[tp].offset if tp in stored else begins[tp])
        self._lines = GateLines(self._topic_id, begins, stored)

    async def _step(
        self, consumer: AIOKafkaConsumer, producer: Transactions, positions: Positions, stop: asyncio.Event
    ) -> None:
        """Take a batch, wait until its answer is final, and write it."""
        found = await fetch(consumer, max_records=BATCH_RECORDS)
        ends = {tp: await consumer.position(tp) for tp in found}
        for tp in self._history:
            end = consumer.last_stable_offset(tp)
            if end is not None:
                left = max(0, end - await consumer.position(tp))
                self._telemetry.set("lag_records", left, stage="gate", topic=HISTORY.name, partition=str(tp.partition))
        records = [(tp, one) for tp in sorted(found) for one in found[tp]]
        if not records:
            return
        wanted_ms = max(arrived(0, one.timestamp, sent_of(one.headers)) for _, one in records)
        reached_ms = await self._marks.passed(wanted_ms, positions, stop)
        if reached_ms is None:
            return
        self._admissions.forget(await positions.of(self._prefix + EVENTS_GROUP, self._admitted))
        await self._write(records, ends, reached_ms, producer, positions, stop)

    async def _write(
        self,
        records: Sequence[tuple[TopicPartition, Fetched]],
        ends: Mapping[TopicPartition, int],
        reached_ms: int,
        producer: Transactions,
        positions: Positions,
        stop: asyncio.Event,
    ) -> None:
        """Admit what is new, but send back what may still come live (`reached_ms`: how far the log has come).

        Corrections follow, in rounds, each when all before it is stored: only then is their version known.
        The positions go with the last transaction: after a kill between two, what stands is known by its id.
        """
        kept = [(tp, one) for tp, one in records if not is_tick(one.key, one.value)]
        decoded = decode_events([one.value for _, one in kept])
        ids = event_ids(decoded)
        known = await self._known(ids)
        new, live = admissible(ids, known, self._admissions.by_id), still_live(decoded, reached_ms)
        await self._send_back([(kept[decoded.good[i]][1], live[i]) for i in new if i in live])
        chosen = [(kept[decoded.good[i]], ids[i]) for i in new if i not in live]
        others = correcting(decoded)
        outputs = [
            Admitted(one.key, one.value, _passed_on(one), name) for (_, one), name in chosen if name not in others
        ]
        corrections = [at for at, name in chosen if name in others]
        rejects = [self._rejected(*kept[at], error) for at, error in decoded.bad]
        by_partition: dict[TopicPartition, list[Fetched]] = {tp: [] for tp in ends}
        for tp, one in records:
            by_partition[tp].append(one)
        moved = self._lines.moved(
            by_partition, {_where(kept[at]) for at, _ in decoded.bad}, {_where(at) for at, _ in chosen}
        )
        for some in rounds([from_record(decode_as(Kind.EVENT, one.value or b"")) for _, one in corrections]):
            await self._send(producer, outputs, [], {}, Moved([], {}))
            if not await self._all_stored(positions, stop):
                return
            outputs, refused = await corrected(self._store, some, self._seals, self._identifying)
            rejects += refused
        await self._send(producer, outputs, rejects, ends, moved)
        self._lines.keep(moved)
        self._count(len(chosen), len(ids) - len(chosen), len(rejects))

    async def _send_back(self, records: Sequence[tuple[Fetched, Topic]]) -> None:
        """Write events to their live topics; nothing is looked up again before the sink has stored them."""
        if not records:
            return
        sent = sent_header(self._clock())
        self._marks.until |= await self._returning.send([
            Record(self._prefix + live.name, one.key, one.value, (*_passed_on(one), sent)) for one, live in records
        ])  # fmt: skip
        self._telemetry.count("gate_returned_total", len(records))

    async def _send(
        self,
        producer: Transactions,
        outputs: Sequence[Admitted],
        rejects: Sequence[Rejection],
        ends: Mapping[TopicPartition, int],
        moved: Moved,
    ) -> None:
        """Write admissions, rejections, lines of the ledger and positions in one transaction; none of them: do nothing."""
        if not outputs and not ends:
            return
        sent = sent_header(self._clock())
        records = [
            *(Record(self._prefix + ADMITTED.name, one.key, one.value, (*one.headers, sent)) for one in outputs),
            *(Record(self._prefix + REJECTED.name, one.key, one.value, (sent,)) for one in rejects),
            *(Record(self._prefix + LEDGER.name, key, value, (sent,)) for key, value in moved.closed),
        ]
        beside = {tp: self._lines.beside(line) for tp, line in moved.under_way.items()}
        offsets = {self._prefix + GROUP_GATE: {tp: OffsetAndMetadata(end, beside[tp]) for tp, end in ends.items()}}
        written = await producer.write(
            records, offsets if ends else {}, lambda: self._kill.reached("gate.before_commit")
        )
        for one, stands in zip(outputs, written, strict=False):
            self._admissions.by_id[one.event_id] = stands

    async def _all_stored(self, positions: Positions, stop: asyncio.Event) -> bool:
        """Return True when the sink has stored every admission and all that was sent back; False if asked to stop before."""
        while not stop.is_set():
            self._admissions.forget(await positions.of(self._prefix + EVENTS_GROUP, self._admitted))
            if not self._admissions.by_id and await self._marks.all_stored(positions):
                return True
            await asyncio.sleep(WAIT_S)
        return False

    async def _known(self, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()

        def ask(client: Client) -> set[str]:
            return {one for (one,) in client.execute(KNOWN, {"ids": tuple(ids)}, settings={"max_query_size": 1 << 26})}

        answer: set[str] = await self._store.ask(ask)
        return answer

    def _rejected(self, tp: TopicPartition, one: Fetched, error: UndecodableError) -> Rejection:
        """Return the rejection of an undecodable history record."""
        stands = Place(
            HISTORY.name, self._topic_id, tp.partition, one.offset, arrived(0, one.timestamp, sent_of(one.headers))
        )
        record = undecodable_record(one.value, stands, "", error)
        record |= {"stage": "gate", "channel": None, "rejected_id": digest("gate", *stands[1:4])}
        return rejection(self._seals.rejected(record))

    def _count(self, admitted: int, repeats: int, rejected: int) -> None:
        if admitted:
            self._telemetry.count("gate_admitted_total", admitted)
        if repeats:
            self._telemetry.count("repeats_total", repeats, stage="gate", topic=HISTORY.name)
        if rejected:
            self._telemetry.count("undecodable_total", rejected, stage="gate", topic=HISTORY.name)


def _where(one: tuple[TopicPartition, Fetched]) -> tuple[int, int]:
    return one[0].partition, one[1].offset


def _passed_on(one: Fetched) -> list[tuple[str, bytes]]:
    """Return the headers that go on with an admitted event: all but the time of the first send."""
    return [(name, value) for name, value in one.headers if name != "sent"]


async def run_gate(
    settings: Settings,
    telemetry: Telemetry,
    readiness: Readiness,
    *,
    stop: asyncio.Event | None = None,
    clock: Clock = system_clock,
) -> None:
    """Run the gate until `stop` is set."""
    await Gate(settings, telemetry, readiness, clock).run(stop or asyncio.Event())
