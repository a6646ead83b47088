"""The recount: readings whose windows late counts changed beyond the judge's reach, revised from the stored tallies.

It follows the judge: up to the pane of the judge's committed position, once the sinks have stored all that the judge had
read. So a revision is a function of the log like every other reading. Revisions and position are one transaction.
Its rows carry sequence number 0: they are no outputs of the judge. Beside it runs the seeder (sinks/seeding.py).
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from schemas.arrival import sent_header
from schemas.catalogue import Catalogue
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, encode
from schemas.declared import Catalogues, Declared, as_settings_say
from schemas.killpoint import KillPoints
from schemas.metrics import Metric
from schemas.outputs import Quality, Reading, Status, output_to_record
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import GROUP_JUDGE, GROUP_RECOUNT, READINGS, TALLIES, sink_group
from sinks.clickhouse import connect
from sinks.dirty import Counted, End, changed_ends, recounted
from sinks.following import DeclaredLog, partition_of
from sinks.insert import Inserter
from sinks.ledger_watch import watch_ledger
from sinks.patience import behind, pause, until_done
from sinks.positions import Positions, describe
from sinks.seeding import Seeding
from sinks.transactions import Record, Transactions

STEP_S = 5.0
WAIT_S = 0.2
PATIENCE_S = 30.0
"""How long what the judge has read may be on its way to the store before readiness says so."""
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
    ends: list[End], counts: list[Counted], metrics: Mapping[str, Metric], value_of: ValueOf, as_of: int, catalogue: str
) -> list[Reading]:
    """Return a revised reading for every end whose counts differ from its last row.

    `metrics`: identity -> metric; `as_of`: pane in ms; `catalogue`: hash of the one in force then.
    """
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
                method=found.method, bins=bins, catalogue_hash=catalogue,
            )
        )  # fmt: skip
    return out


def known_at(catalogues: Catalogues, pane: int) -> tuple[dict[str, Metric], str]:
    """Return identity -> metric of all series that began by `pane`, ended ones too, and the hash of the catalogue in force."""
    metrics: dict[str, Metric] = {}
    name = ""
    for one in catalogues:
        if one.from_pane <= pane:
            metrics |= one.catalogue.by_identity()
            name = one.catalogue.hash
    return metrics, name


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
        """`catalogue`: that of the settings; it counts until the log has one of its own."""
        self._settings, self._catalogue, self._value_of = settings, catalogue, value_of
        self._telemetry, self._readiness, self._clock = telemetry, readiness, clock
        self._prefix = settings.topic_prefix
        self._kill = KillPoints(settings.kill_point)
        self._store = Inserter(lambda: connect(settings), telemetry, readiness, lambda: None)
        self._log = TopicPartition(self._prefix + TALLIES.name, 0)
        self._readings: list[TopicPartition] = []

    async def run(self, stop: asyncio.Event, *, once: bool = False) -> None:
        """Recount until `stop`, or, with `once`, up to where the judge stands now."""
        self._readiness.fail(CHECK, "starts")
        try:
            await until_done(lambda: self._session(stop, once=once), self._readiness, CHECK, stop)
        finally:
            self._store.close()

    async def _session(self, stop: asyncio.Event, *, once: bool) -> None:
        bootstrap, name = self._settings.kafka_bootstrap, self._prefix + GROUP_RECOUNT
        readings = self._prefix + READINGS.name
        found = await asyncio.to_thread(
            describe, bootstrap, [self._log.topic, readings, partition_of(self._prefix).topic]
        )
        self._readings = [TopicPartition(readings, i) for i in range(found[readings].partitions)]
        async with AsyncExitStack() as stack:
            transactions = await Transactions.open(bootstrap, name, who="recount")
            stack.push_async_callback(transactions.close)
            positions = await Positions.open(bootstrap)
            stack.push_async_callback(positions.close)
            known = await DeclaredLog.open(bootstrap, self._prefix)
            stack.push_async_callback(known.close)
            as_settings_say(known.catalogues, self._catalogue)
            self._readiness.ok(CHECK)
            while not stop.is_set():
                await self._step(transactions, positions, known, stop)
                if once:
                    return
                await pause(stop, STEP_S)

    async def _step(
        self, transactions: Transactions, positions: Positions, known: DeclaredLog, stop: asyncio.Event
    ) -> None:
        judged = (await positions.of(self._prefix + GROUP_JUDGE, [self._log])).get(self._log)
        pane = None if judged is None else json.loads(judged.metadata or "{}").get("pane")
        if judged is None or pane is None:
            return
        own = (await positions.of(self._prefix + GROUP_RECOUNT, [self._log])).get(self._log)
        after = 0 if own is None else int(json.loads(own.metadata)["pane"])
        if pane <= after or not await self._stored(positions, known, judged.offset, stop):
            return
        await known.look()
        catalogues = known.catalogues if len(known.catalogues) else Catalogues([Declared(0, self._catalogue)])
        metrics, catalogue = known_at(catalogues, pane)
        ends = await self._store.ask(lambda client: changed_ends(client, metrics, after, pane))
        counts = await self._store.ask(lambda client: recounted(client, ends, pane))
        said = revisions(ends, counts, metrics, self._value_of, pane, catalogue)
        await self._write(transactions, said, judged.offset, pane)

    async def _stored(self, positions: Positions, known: DeclaredLog, offset: int, stop: asyncio.Event) -> bool:
        """Return True when blocks up to `offset` and every reading that stands now are stored; False if asked to stop."""
        wanted = {
            sink_group("tallies"): {self._log: offset},
            sink_group("readings"): await known.following.ends(self._readings),
        }
        waited_s = 0.0
        while not stop.is_set():
            why = await behind(positions, self._prefix, wanted)
            if not why:
                self._readiness.ok(CHECK)
                return True
            if waited_s >= PATIENCE_S:
                self._readiness.fail(CHECK, f"waits: {why}")
            await pause(stop, WAIT_S)
            waited_s += WAIT_S
        return False

    async def _write(self, transactions: Transactions, said: list[Reading], offset: int, pane: int) -> None:
        sent = (sent_header(self._clock()),)
        position = OffsetAndMetadata(offset, json.dumps({"pane": pane}))
        records = [
            Record(
                self._prefix + READINGS.name, f"{one.metric}|{one.dimension}|{one.key}".encode(),
                encode(Kind.READING, output_to_record(one)), sent,
            )
            for one in said
        ]  # fmt: skip
        await transactions.write(
            records, {self._prefix + GROUP_RECOUNT: {self._log: position}},
            lambda: self._kill.reached("recount.before_commit"),
        )  # fmt: skip
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
    """Run the recount and the seeder until `stop` is set, or once. Raises whatever ends one of them; then both end."""
    ended = stop or asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(Recount(settings, catalogue, value_of, telemetry, readiness, clock).run(ended, once=once))
        group.create_task(Seeding(settings, telemetry, readiness, clock).run(ended, once=once))
        if not once:
            group.create_task(watch_ledger(settings, telemetry, ended, clock))
