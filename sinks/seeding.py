"""The seed: the past of the series that a change of the catalogue begins, counted from what is stored.

For every change that asks for it: once each source partition counts with the new catalogue and all that it counted before is
stored, the past is recounted by SQL and written to the tallies log, with the decision `seeded` behind it. Blocks, decision and
the position that says that this change is done are one transaction, so the past stands in the log exactly once.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from schemas.arrival import sent_header
from schemas.blocks import to_record
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, encode
from schemas.killpoint import KillPoints
from schemas.outputs import DecisionKind, decision_to_record
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import GROUP_JUDGE, GROUP_SEED, SOURCES, TALLIES, sink_group
from sinks.clickhouse import connect
from sinks.following import DeclaredLog, Following, partition_of
from sinks.insert import Inserter
from sinks.patience import behind, pause, until_done
from sinks.positions import Positions, describe
from sinks.seeds import Change, Made, change_of, counted_past, seeded
from sinks.switches import Counted, Source, Switches
from sinks.transactions import Record, Transactions

log = logging.getLogger(__name__)

CHECK = "seed"
STEP_S = 1.0
WAIT_S = 0.2
PATIENCE_MS = 30_000
"""How long after its pane a change may wait before readiness says for what."""
MARGIN_MS = 600_000
"""A block of a pane is published after the pane has begun by the broker's clock; where brokers disagree, so much less."""
TRANSACTION_TIMEOUT_MS = 60_000


class Seeding:
    """One seeder; its transactional id fences an older one."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        readiness: Readiness,
        clock: Clock = system_clock,
        *,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self._settings, self._readiness, self._clock = settings, readiness, clock
        self._patience_ms = patience_ms
        self._prefix = settings.topic_prefix
        self._kill = KillPoints(settings.kill_point)
        self._store = Inserter(lambda: connect(settings), telemetry, readiness, lambda: None)
        self._log = TopicPartition(self._prefix + TALLIES.name, 0)
        self._declared = partition_of(self._prefix)

    async def run(self, stop: asyncio.Event, *, once: bool = False) -> None:
        """Seed changes until `stop`, or, with `once`, those whose pane the judge has passed."""
        self._readiness.fail(CHECK, "starts")
        try:
            await until_done(lambda: self._session(stop, once=once), self._readiness, CHECK, stop)
        finally:
            self._store.close()

    async def _session(self, stop: asyncio.Event, *, once: bool) -> None:
        bootstrap, name = self._settings.kafka_bootstrap, self._prefix + GROUP_SEED
        topics = {self._prefix + one.name: one.name for one in SOURCES}
        found = await asyncio.to_thread(describe, bootstrap, [*topics, self._log.topic, self._declared.topic])
        sources = {
            (found[topic].topic_id, number): name
            for topic, name in topics.items()
            for number in range(found[topic].partitions)
        }
        async with AsyncExitStack() as stack:
            # first the id, then the position: an older seeder has written by then, or never will
            transactions = await Transactions.open(
                bootstrap,
                name,
                who="seeder",
                timeout_ms=TRANSACTION_TIMEOUT_MS,
                request_bytes=TALLIES.max_message_bytes,
            )
            stack.push_async_callback(transactions.close)
            positions = await Positions.open(bootstrap)
            stack.push_async_callback(positions.close)
            known = await DeclaredLog.open(bootstrap, self._prefix)
            stack.push_async_callback(known.close)
            own = (await positions.of(name, [self._declared])).get(self._declared)
            done = 0 if own is None else own.offset
            self._readiness.ok(CHECK)
            while not stop.is_set():
                await known.look()
                for offset, decision in list(known.decisions):
                    if offset < done:
                        continue
                    change = change_of(decision, known.catalogues, self._settings.pane_ms)
                    if once and change is not None and await self._judged(positions) < change.pane:
                        return
                    if not await self._seed(offset, change, sources, known, positions, transactions, stop):
                        return
                    done = offset + 1
                if once:
                    return
                await pause(stop, STEP_S)

    async def _judged(self, positions: Positions) -> int:
        """Return the last pane judged; -1 for none."""
        found = (await positions.of(self._prefix + GROUP_JUDGE, [self._log])).get(self._log)
        pane = None if found is None else json.loads(found.metadata or "{}").get("pane")
        return -1 if pane is None else int(pane)

    async def _seed(
        self, offset: int, change: Change | None, sources: Mapping[Source, str], known: DeclaredLog,
        positions: Positions, transactions: Transactions, stop: asyncio.Event,
    ) -> bool:  # fmt: skip
        """Write the past of a change, or only that there is none; return False if asked to stop before."""
        records: list[Record] = []
        if change is not None:
            switches = await self._switched(change, sources, known, stop)
            if switches is None or not await self._stored(change, switches, known, positions, stop):
                return False
            cuts = [cut for _, cut in sorted(switches.cuts.items())]
            made: Made = await self._store.ask(
                lambda client: counted_past(client, change, cuts, self._settings.pane_ms)
            )
            records = self._records(change, made)
            log.info(
                "catalogue %s from pane %d: %d stored events give %d blocks of its past",
                change.after.hash, change.pane, made.events, len(made.blocks),
            )  # fmt: skip
        position = {self._declared: OffsetAndMetadata(offset + 1, "{}")}
        await transactions.write(
            records, {self._prefix + GROUP_SEED: position}, lambda: self._kill.reached("seed.before_commit")
        )
        return True

    async def _switched(
        self, change: Change, sources: Mapping[Source, str], known: DeclaredLog, stop: asyncio.Event
    ) -> Switches | None:
        """Return where each source begins to count with the change, once all do; None if asked to stop before."""
        switches = Switches(sources, change.pane, self._settings.pane_ms)
        following = await Following.open(
            self._settings.kafka_bootstrap, self._log, since_ms=max(0, change.pane - MARGIN_MS)
        )
        try:
            while not stop.is_set():
                said = [block async for one in following.news() if (block := Counted.of(one.value)) is not None]
                # after the blocks: with what they count was declared before them
                await known.look()
                for block in said:
                    switches.take(block, known.catalogues)
                if not switches.missing:
                    return switches
                topic_id, partition = switches.missing[0]
                self._say(
                    change,
                    f"stage 1 counts {sources[topic_id, partition]}-{partition} without catalogue {change.after.hash}",
                )
                await pause(stop, WAIT_S)
        finally:
            await following.close()
        return None

    async def _stored(
        self, change: Change, switches: Switches, known: DeclaredLog, positions: Positions, stop: asyncio.Event
    ) -> bool:
        """Return True when all before the cuts, and every block that stands now, is stored; False if asked to stop."""
        ends = {
            TopicPartition(self._prefix + switches.cuts[source].topic, source[1]): end
            for source, end in switches.ends.items()
        }
        blocks = await known.following.ends([self._log])
        wanted = {sink_group("feedback_events"): ends, sink_group("tallies"): blocks}
        while not stop.is_set():
            why = await behind(positions, self._prefix, wanted)
            if not why:
                self._readiness.ok(CHECK)
                return True
            self._say(change, why)
            await pause(stop, WAIT_S)
        return False

    def _say(self, change: Change, why: str) -> None:
        """Let readiness say what a change waits for, once it is late."""
        if self._clock() >= change.pane + self._patience_ms:
            self._readiness.fail(CHECK, f"waits: {why}")

    def _records(self, change: Change, made: Made) -> list[Record]:
        """Return the records of the past of a change: its blocks, then the decision that they are all."""
        now, topic = self._clock(), self._log.topic
        sent = (sent_header(now),)
        out = [
            Record(topic, f"{one.topic_id}-{one.partition}".encode(), encode(Kind.BLOCK, to_record(one)), sent, 0)
            for one in made.blocks
        ]
        decision = encode(Kind.DECISION, decision_to_record(seeded(change, made.events, now)))
        return [*out, Record(topic, DecisionKind.SEEDED.encode(), decision, sent, 0)]
