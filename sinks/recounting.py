"""The recount: readings whose windows late counts changed beyond the judge's reach, revised from the stored tallies.

It follows the judge: up to the pane of the judge's committed position, once the sinks have stored all that the judge had
read. So a revision is a function of the log like every other reading. Revisions and position are one transaction.
Its rows carry sequence number 0: they are no outputs of the judge.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from schemas.arrival import sent_header
from schemas.catalogue import Catalogue
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, encode
from schemas.errors import ContractError, UnavailableError
from schemas.killpoint import KillPoints
from schemas.metrics import Metric
from schemas.outputs import Quality, Reading, Status, output_to_record
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import GROUP_JUDGE, GROUP_RECOUNT, READINGS, TALLIES, sink_group
from sinks.clickhouse import connect
from sinks.dirty import Counted, End, changed_ends, recounted
from sinks.insert import Inserter
from sinks.positions import Positions, describe, open_reader

STEP_S = 5.0
WAIT_S = 0.2
TRANSACTION_TIMEOUT_MS = 10_000
CHECK = "recount"


class Valued(Protocol):
    """What a metric makes of counts; streams/core/values.py has it."""

    @property
    def value(self) -> float | None:
        """Return the value; None: no data."""

    @property
    def lo(self) -> float | None:
        """Return its lower bound."""

    @property
    def hi(self) -> float | None:
        """Return its upper bound."""

    @property
    def n(self) -> int:
        """Return the number of answers."""

    @property
    def method(self) -> str:
        """Return how the interval was made."""

    @property
    def quality(self) -> Quality:
        """Return whether the value may be shown."""


ValueOf = Callable[[Metric, Mapping[int, int], int], Valued]
"""(metric, counts by bin, sum) -> value."""


def revisions(
    ends: list[End], counts: list[Counted], catalogue: Catalogue, value_of: ValueOf, as_of: int
) -> list[Reading]:
    """Return a revised reading for every end whose counts differ from its last row."""
    metrics = catalogue.by_identity()
    out = []
    for end, counted in zip(ends, counts, strict=True):
        bins = {str(bin_): count for bin_, count in sorted(counted.bins.items())}
        if bins == end.bins:
            continue
        metric = metrics[end.metric]
        found = value_of(metric, counted.bins, counted.total)
        out.append(
            Reading(
                metric=metric.name, metric_version=end.metric, dimension=end.dimension, key=end.key, window=end.window,
                window_end=end.window_end, as_of=as_of, revision=end.revision + 1, status=Status.REVISED,
                quality=found.quality, n=found.n, value=found.value, lo=found.lo, hi=found.hi, level=metric.level,
                method=found.method, bins=bins, catalogue_hash=catalogue.hash,
            )
        )  # fmt: skip
    return out


class Recount:
    """One recount; its transactional id fences an older one."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        value_of: ValueOf,
        telemetry: Telemetry,
        readiness: Readiness,
        clock: Clock = system_clock,
    ) -> None:
        self._settings, self._catalogue, self._value_of = settings, catalogue, value_of
        self._telemetry, self._readiness, self._clock = telemetry, readiness, clock
        self._prefix = settings.topic_prefix
        self._kill = KillPoints(settings.kill_point)
        self._store = Inserter(lambda: connect(settings), telemetry, readiness, lambda: None)
        self._log = TopicPartition(self._prefix + TALLIES.name, 0)

    async def run(self, stop: asyncio.Event, *, once: bool = False) -> None:
        """Recount until `stop`, or, with `once`, up to where the judge stands now."""
        self._readiness.fail(CHECK, "starts")
        bootstrap, name = self._settings.kafka_bootstrap, self._prefix + GROUP_RECOUNT
        readings = self._prefix + READINGS.name
        found = await asyncio.to_thread(describe, bootstrap, [self._log.topic, readings])
        self._readings = [TopicPartition(readings, i) for i in range(found[readings].partitions)]
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, client_id=name, transactional_id=name, acks="all",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS, compression_type="lz4",
        )  # fmt: skip
        try:
            await producer.start()
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{name}: {error!r}") from error
        positions = await Positions.open(bootstrap)
        try:
            self._readiness.ok(CHECK)
            while not stop.is_set():
                await self._step(producer, positions, stop)
                if once:
                    return
                try:
                    await asyncio.wait_for(stop.wait(), STEP_S)
                except TimeoutError:
                    continue
        finally:
            await positions.close()
            await producer.stop()
            self._store.close()

    async def _step(self, producer: AIOKafkaProducer, positions: Positions, stop: asyncio.Event) -> None:
        judged = (await positions.of(self._prefix + GROUP_JUDGE, [self._log])).get(self._log)
        pane = None if judged is None else json.loads(judged.metadata or "{}").get("pane")
        if judged is None or pane is None:
            return
        own = (await positions.of(self._prefix + GROUP_RECOUNT, [self._log])).get(self._log)
        after = 0 if own is None else int(json.loads(own.metadata)["pane"])
        if pane <= after or not await self._stored(positions, judged.offset, stop):
            return
        metrics = self._catalogue.by_identity()
        ends = await self._store.ask(lambda client: changed_ends(client, metrics, after, pane))
        counts = await self._store.ask(lambda client: recounted(client, ends, pane))
        said = revisions(ends, counts, self._catalogue, self._value_of, pane)
        await self._write(producer, said, judged.offset, pane)

    async def _stored(self, positions: Positions, offset: int, stop: asyncio.Event) -> bool:
        """Return True when blocks up to `offset` and every reading that stands now are stored; False if asked to stop."""
        ends = await self._ends()
        while not stop.is_set():
            blocks = (await positions.of(self._prefix + sink_group("tallies"), [self._log])).get(self._log)
            rows = await positions.of(self._prefix + sink_group("readings"), self._readings)
            caught_up = all(end == 0 or (tp in rows and rows[tp].offset >= end) for tp, end in ends.items())
            if blocks is not None and blocks.offset >= offset and caught_up:
                return True
            await asyncio.sleep(WAIT_S)
        return False

    async def _ends(self) -> dict[TopicPartition, int]:
        """Return the ends of the readings topic, as a committed reader sees them."""
        reader = await open_reader(self._settings.kafka_bootstrap)
        try:
            found: dict[TopicPartition, int] = await reader.end_offsets(self._readings)
            return found
        finally:
            await reader.stop()

    async def _write(self, producer: AIOKafkaProducer, said: list[Reading], offset: int, pane: int) -> None:
        sent = (sent_header(self._clock()),)
        position = OffsetAndMetadata(offset, json.dumps({"pane": pane}))
        try:
            async with producer.transaction():
                futures = [
                    await producer.send(
                        self._prefix + READINGS.name,
                        key=f"{one.metric}|{one.dimension}|{one.key}".encode(),
                        value=encode(Kind.READING, output_to_record(one)),
                        headers=list(sent),
                    )
                    for one in said
                ]
                await asyncio.gather(*futures)
                await producer.send_offsets_to_transaction({self._log: position}, self._prefix + GROUP_RECOUNT)
                self._kill.reached("recount.before_commit")
        except ProducerFenced as error:
            raise ContractError("fenced", "another recount has taken over", "run one recount only") from error
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"recount: {error!r}") from error
        if said:
            self._telemetry.count("revised_by_recount_total", len(said))


async def run_recount(
    settings: Settings,
    catalogue: Catalogue,
    value_of: ValueOf,
    telemetry: Telemetry,
    readiness: Readiness,
    *,
    stop: asyncio.Event | None = None,
    once: bool = False,
    clock: Clock = system_clock,
) -> None:
    """Run the recount until `stop` is set, or once."""
    await Recount(settings, catalogue, value_of, telemetry, readiness, clock).run(stop or asyncio.Event(), once=once)
