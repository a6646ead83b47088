"""The gate: history -> admitted, each event once, and never one that came live before.

Rule: a history record is admitted if neither ClickHouse nor the gate's own admissions that are not yet stored have its id. That
answer is final only when every live event that arrived before it is stored; so the gate waits until the feedback_events sink
has passed the record's arrived time in every live partition. Outputs and positions are one transaction.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata
from clickhouse_driver import Client

from schemas.arrival import arrived, is_tick, sent_header, sent_of
from schemas.bulk import Decoded, decode_events
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, decode_as, encode
from schemas.errors import ContractError, InvalidEventError, UnavailableError, UndecodableError
from schemas.event import FeedbackEvent, from_record, to_record
from schemas.killpoint import KillPoints
from schemas.outputs import digest
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import ADMITTED, GROUP_GATE, HISTORY, LIVE, REJECTED, sink_group
from sinks.clickhouse import connect
from sinks.corrections import applied, rounds
from sinks.insert import Inserter
from sinks.positions import Committed, Fetched, Positions, describe, fetch, open_reader, read_ranges
from sinks.ranges import Mark, decode_mark
from sinks.rows import Place, refused_record, undecodable_record
from sinks.stored import versions

log = logging.getLogger(__name__)

EVENTS_GROUP = sink_group("feedback_events")
BATCH_RECORDS = 5_000
"""Ids of one look-up, and records of one transaction."""
WAIT_S = 0.1
PATIENCE_S = 30.0
"""How long a live partition may hold the gate back before readiness says so; one without any position says so at once."""
TRANSACTION_TIMEOUT_MS = 10_000
MAX_BATCH_BYTES = 1 << 20
CHECK = "gate"
KNOWN = "SELECT DISTINCT event_id FROM feedback_events WHERE event_id IN %(ids)s"


class Waiting(NamedTuple):
    """The live partition that holds the gate back; `reached` is None where the sink has no position yet."""

    partition: TopicPartition
    reached: int | None


def holding_back(wanted_ms: int, marks: Mapping[TopicPartition, Mark | None]) -> Waiting | None:
    """Return the live partition that is furthest from having passed `wanted_ms`, or None if all have.

    A record that arrives in the same millisecond may still come, so the sink must be beyond it.
    """
    behind = [
        Waiting(tp, None if mark is None else mark.arrived)
        for tp, mark in marks.items()
        if mark is None or mark.arrived <= wanted_ms
    ]
    return min(behind, key=lambda one: (-1 if one.reached is None else one.reached, one.partition), default=None)


class Admitted(NamedTuple):
    """A record for the admitted topic."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    event_id: str


@dataclass(slots=True)
class Admissions:
    """The gate's own admissions that are not yet stored: id -> where it stands in the admitted topic."""

    by_id: dict[str, tuple[TopicPartition, int]] = field(default_factory=dict)

    def forget(self, stored: Mapping[TopicPartition, Committed]) -> None:
        """Drop those that the sink has stored."""
        ends = {tp: one.offset for tp, one in stored.items()}
        if any(offset < ends.get(tp, 0) for tp, offset in self.by_id.values()):
            self.by_id = {name: at for name, at in self.by_id.items() if at[1] >= ends.get(at[0], 0)}


def admissible(ids: Sequence[str], known: set[str], pending: Mapping[str, object]) -> list[int]:
    """Return the positions of ids that are neither known, nor pending, nor earlier in `ids`."""
    out, seen = [], set()
    for at, one in enumerate(ids):
        if one not in known and one not in pending and one not in seen:
            seen.add(one)
            out.append(at)
    return out


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
        self._admissions = Admissions()
        self._store = Inserter(lambda: connect(settings), telemetry, readiness, lambda: None)
        self._waits_for: TopicPartition | None = None

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
        self._live = [tp for one in LIVE.values() for tp in partitions[self._prefix + one.name]]
        producer = await self._open_producer()
        positions = await Positions.open(bootstrap)
        consumer = await open_reader(bootstrap)
        try:
            await self._rebuild(positions)
            await self._begin(consumer, positions)
            self._readiness.ok(CHECK)
            while not stop.is_set():
                await self._step(consumer, producer, positions, stop)
        finally:
            await consumer.stop()
            await positions.close()
            await producer.stop()
            self._store.close()

    async def _open_producer(self) -> AIOKafkaProducer:
        """Fence older gates and end what they left open."""
        name = self._prefix + GROUP_GATE
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_bootstrap, client_id=name, transactional_id=name, acks="all",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS, compression_type="lz4", max_batch_size=MAX_BATCH_BYTES,
            max_request_size=2 * MAX_BATCH_BYTES,
        )  # fmt: skip
        try:
            await producer.start()
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{name}: {error!r}") from error
        return producer

    async def _rebuild(self, positions: Positions) -> None:
        """Read the admissions that the sink has not yet stored."""
        stored = await positions.of(self._prefix + EVENTS_GROUP, self._admitted)
        reader = await open_reader(self._settings.kafka_bootstrap)
        try:
            begins = await reader.beginning_offsets(self._admitted)
            ends = await reader.end_offsets(self._admitted)
            ranges = {tp: (stored[tp].offset if tp in stored else begins[tp], ends[tp]) for tp in self._admitted}
            async for tp, records in read_ranges(reader, ranges):
                kept = [one for one in records if not is_tick(one.key, one.value)]
                decoded = decode_events([one.value for one in kept])
                for at, name in zip(decoded.good, _ids(decoded), strict=True):
                    self._admissions.by_id[name] = (tp, kept[at].offset)
        finally:
            await reader.stop()

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

    async def _step(
        self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, positions: Positions, stop: asyncio.Event
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
        if not await self._wait(wanted_ms, positions, stop):
            return
        self._admissions.forget(await positions.of(self._prefix + EVENTS_GROUP, self._admitted))
        await self._write(records, ends, producer, positions, stop)

    async def _wait(self, wanted_ms: int, positions: Positions, stop: asyncio.Event) -> bool:
        """Return True when the sink has passed `wanted_ms` everywhere; False if asked to stop before."""
        waited_s = 0.0
        while not stop.is_set():
            stored = await positions.of(self._prefix + EVENTS_GROUP, self._live)
            marks = {tp: decode_mark(stored[tp].metadata) if tp in stored else None for tp in self._live}
            waiting = holding_back(wanted_ms, marks)
            self._say(waiting, wanted_ms, waited_s)
            if waiting is None:
                return True
            await asyncio.sleep(WAIT_S)
            waited_s += WAIT_S
        return False

    def _say(self, waiting: Waiting | None, wanted_ms: int, waited_s: float) -> None:
        held = None if waiting is None else waiting.partition
        if self._waits_for not in {None, held}:
            assert self._waits_for is not None
            self._telemetry.forget("gate_waiting_for_partition", **self._label(self._waits_for))
        if held is not None:
            self._telemetry.set("gate_waiting_for_partition", 1, **self._label(held))
        self._waits_for = held
        if waiting is None:
            self._readiness.ok(CHECK)
        elif waiting.reached is None:
            self._readiness.fail(CHECK, f"waits: the sink has no position in {_name(waiting.partition)} yet")
        elif waited_s >= PATIENCE_S:
            self._readiness.fail(
                CHECK, f"waits: the sink has reached {waiting.reached} in {_name(waiting.partition)}, needs {wanted_ms}"
            )

    def _label(self, tp: TopicPartition) -> dict[str, str]:
        return {"topic": tp.topic.removeprefix(self._prefix), "partition": str(tp.partition)}

    async def _write(
        self,
        records: Sequence[tuple[TopicPartition, Fetched]],
        ends: Mapping[TopicPartition, int],
        producer: AIOKafkaProducer,
        positions: Positions,
        stop: asyncio.Event,
    ) -> None:
        """Admit what is new. Corrections follow, in rounds, each when all before it is stored: only then is their version known.

        The positions go with the last transaction: after a kill between two, what stands is known by its id.
        """
        kept = [(tp, one) for tp, one in records if not is_tick(one.key, one.value)]
        decoded = decode_events([one.value for _, one in kept])
        ids = _ids(decoded)
        known = await self._known(ids)
        chosen = [(kept[decoded.good[i]], ids[i]) for i in admissible(ids, known, self._admissions.by_id)]
        corrected = _corrected(decoded)
        plain = [
            Admitted(one.key, one.value, _passed_on(one), name) for (_, one), name in chosen if name not in corrected
        ]
        corrections = [at for at, name in chosen if name in corrected]
        rejects = [self._rejected(*kept[at], error) for at, error in decoded.bad]
        if corrections:
            await self._send(producer, plain, [], {})
            for some in rounds([from_record(decode_as(Kind.EVENT, one.value or b"")) for _, one in corrections]):
                if not await self._all_stored(positions, stop):
                    return
                if plain:
                    await self._send(producer, plain, [], {})
                    if not await self._all_stored(positions, stop):
                        return
                plain, refused = await self._applied(some)
                rejects += refused
        await self._send(producer, plain, rejects, ends)
        self._count(len(chosen), len(ids) - len(chosen), len(rejects))

    async def _send(
        self,
        producer: AIOKafkaProducer,
        outputs: Sequence[Admitted],
        rejects: Sequence[tuple[bytes, bytes]],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        """Write admissions, rejections and positions in one transaction; none of them: do nothing."""
        if not outputs and not ends:
            return
        sent = (sent_header(self._clock()),)
        try:
            async with producer.transaction():
                futures = [
                    await producer.send(
                        self._prefix + ADMITTED.name, key=one.key, value=one.value, headers=[*one.headers, *sent]
                    )
                    for one in outputs
                ]
                for key, value in rejects:
                    futures.append(
                        await producer.send(self._prefix + REJECTED.name, key=key, value=value, headers=list(sent))
                    )
                written = await asyncio.gather(*futures)
                if ends:
                    await producer.send_offsets_to_transaction(
                        {tp: OffsetAndMetadata(end, "{}") for tp, end in ends.items()}, self._prefix + GROUP_GATE
                    )
                self._kill.reached("gate.before_commit")
        except ProducerFenced as error:
            raise ContractError(
                "fenced",
                "another gate has taken over",
                "this one ends and has written nothing since; run one gate only",
            ) from error
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"gate: {error!r}") from error
        for one, stands in zip(outputs, written, strict=False):
            self._admissions.by_id[one.event_id] = (TopicPartition(stands.topic, stands.partition), stands.offset)

    async def _all_stored(self, positions: Positions, stop: asyncio.Event) -> bool:
        """Return True when the sink has stored every admission; False if asked to stop before."""
        while not stop.is_set():
            self._admissions.forget(await positions.of(self._prefix + EVENTS_GROUP, self._admitted))
            if not self._admissions.by_id:
                return True
            await asyncio.sleep(WAIT_S)
        return False

    async def _applied(self, corrections: Sequence[FeedbackEvent]) -> tuple[list[Admitted], list[tuple[bytes, bytes]]]:
        """Return the records that corrections of different events stand for, and the rejections of those that fit none."""
        targets = [one.corrects for one in corrections if one.corrects is not None]
        found = await self._store.ask(lambda client: versions(client, targets))
        out: list[Admitted] = []
        refused = []
        for one in corrections:
            assert one.corrects is not None
            try:
                events = applied(one, found[one.corrects])
            except InvalidEventError as error:
                record = refused_record(one, error)
                refused.append((record["rejected_id"].encode(), encode(Kind.REJECTED, record)))
                continue
            # one key for all versions of an event: its partition keeps their order
            key = found[one.corrects][0].key
            out += [Admitted(key, encode(Kind.EVENT, to_record(event)), (), event.event_id) for event in events]
        return out, refused

    async def _known(self, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()

        def ask(client: Client) -> set[str]:
            return {one for (one,) in client.execute(KNOWN, {"ids": tuple(ids)}, settings={"max_query_size": 1 << 26})}

        answer: set[str] = await self._store.ask(ask)
        return answer

    def _rejected(self, tp: TopicPartition, one: Fetched, error: UndecodableError) -> tuple[bytes, bytes]:
        """Return key and value of the rejection of an undecodable history record."""
        stands = Place(
            HISTORY.name, self._topic_id, tp.partition, one.offset, arrived(0, one.timestamp, sent_of(one.headers))
        )
        record = undecodable_record(one.value, stands, "", error)
        record |= {"stage": "gate", "channel": None, "rejected_id": digest("gate", *stands[1:4])}
        return record["rejected_id"].encode(), encode(Kind.REJECTED, record)

    def _count(self, admitted: int, repeats: int, rejected: int) -> None:
        if admitted:
            self._telemetry.count("gate_admitted_total", admitted)
        if repeats:
            self._telemetry.count("repeats_total", repeats, stage="gate", topic=HISTORY.name)
        if rejected:
            self._telemetry.count("undecodable_total", rejected, stage="gate", topic=HISTORY.name)


def _ids(decoded: Decoded) -> list[str]:
    ids: list[str] = decoded.events.column("event_id").to_pylist()
    return ids


def _corrected(decoded: Decoded) -> set[str]:
    """Return the ids of the events that correct others."""
    corrects: list[Any] = decoded.events.column("corrects").to_pylist()
    return {name for name, one in zip(_ids(decoded), corrects, strict=True) if one is not None}


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}-{tp.partition}"


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
