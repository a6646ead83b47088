"""Stage 1, the tally: event records in, one closed block per source partition and pane out.

Order of things: disputes and blocks are acknowledged, then the offset behind the last block is committed with its meaning.
A restart therefore begins with the first record of a pane, and publishes at most blocks that the judge has already seen.
Each pane is counted with the catalogue that is declared for it, as far as that is known when its first record is counted.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from schemas import blocks
from schemas.arrival import TICK_KEY, sent_header
from schemas.blocks import Block
from schemas.broker import reaching
from schemas.catalogue import Catalogue, load
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, encode
from schemas.declared import Catalogues
from schemas.killpoint import KillPoints
from schemas.outputs import AlarmState, Decision, DecisionKind, decision_to_record, output_to_record
from schemas.readiness import Readiness
from schemas.repeats import RepeatFilter
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import ADMITTED, CATALOGUES, IMMEDIATE, SOURCES, TALLIES, Topic
from streams.catalogues import CatalogueLog, InForce
from streams.core.disputes import adoption, immediate_rules, raised_by
from streams.core.tally import NO_SENT, Dispute, PartitionTally, Run, TallyState, arrived_of, disputes_of, panes_of
from streams.counted_log import check_log
from streams.host import Host, RevokedError, run_stage
from streams.intake import Committed, Records
from streams.pausing import Pauses
from streams.runs import runs_of
from streams.tally_position import committed_of, state_of
from streams.ticking import Ticker
from streams.topic_ids import find_topics
from streams.warming import Stretch, WarmUp

log = logging.getLogger(__name__)

NAME = "tally"
BEFORE, KILL_POINT = "tally.before_block", "tally.after_block"
WARM = "repeat_filter"
HELD_RECORDS = 500_000
WAIT_S = 0.1
LOOK_S = 1.0
"""How often a process looks for a change of the catalogue."""
PAUSE_S = 5.0
BATCH_BYTES = 1 << 20


class TallyStage:
    """The stage of streams/host.py that counts."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, telemetry: Telemetry, readiness: Readiness, clock: Clock
    ) -> None:
        self._settings, self._catalogue, self._readiness, self._clock = settings, catalogue, readiness, clock
        self._telemetry = telemetry
        self._in_force = InForce(catalogue, settings.pane_ms)
        self._catalogues: CatalogueLog | None = None
        self._looked_at = 0.0
        self._kill = KillPoints(settings.kill_point)
        self._prefix = settings.topic_prefix
        self._sources: dict[str, Topic] = {self._prefix + one.name: one for one in SOURCES}
        self._ids: dict[str, str] = {}
        self._ticker = Ticker(settings.pane_ms)
        self._ticks: set[asyncio.Future[object]] = set()
        names = {name: topic.name for name, topic in self._sources.items()}
        self._pauses = Pauses(settings, telemetry, readiness, clock, names)
        self._producer: AIOKafkaProducer | None = None
        self._host: Host | None = None
        self._forget()

    def _forget(self) -> None:
        self._tallies: dict[TopicPartition, PartitionTally] = {}
        self._warm_up: WarmUp | None = None
        self._held: dict[TopicPartition, list[Run]] = {}
        self._held_arrived: dict[TopicPartition, int] = {}

    # --- assignment ------------------------------------------------------------------------------------------------

    async def on_started(self, host: Host) -> None:
        """Check that the log and the catalogue are ours, and connect the producer."""
        self._host = host
        others = [self._prefix + one.name for one in (TALLIES, IMMEDIATE, CATALOGUES)]
        found = await asyncio.to_thread(find_topics, self._settings.kafka_bootstrap, [*self._sources, *others])
        self._catalogues = await CatalogueLog.open(self._settings.kafka_bootstrap, self._prefix)
        declared = await self._catalogues.look(to_end=True) or Catalogues()
        self._in_force.learn(declared)
        for rule in immediate_rules(self._in_force.at(self._clock())).values():
            # shown before its first step, which Prometheus would not see else
            self._telemetry.count("alarm_transitions_total", 0, rule=rule.name, state=AlarmState.OPEN)
        await check_log(self._settings, found, self._catalogue, declared)
        self._ids = {name: one.topic_id for name, one in found.items()}
        self._producer = AIOKafkaProducer(
            **reaching(self._settings.kafka_bootstrap),
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=BATCH_BYTES,
            max_request_size=TALLIES.max_message_bytes,
        )
        await self._producer.start()

    async def on_assigned(
        self, partitions: Sequence[TopicPartition], committed: Committed
    ) -> Mapping[TopicPartition, int]:
        """Take up each partition where its last committed block ends; its memory warms up meanwhile."""
        assert self._host is not None
        await self.on_revoked()
        await self._look(to_end=True)  # what another member may have known when it published
        beginnings = await self._host.beginnings([tp for tp in partitions if tp not in committed])
        for tp in partitions:
            topic, state = self._sources[tp.topic], TallyState(next_offset=beginnings.get(tp, 0))
            if tp in committed:
                state = state_of(tp, *committed[tp], self._ids[tp.topic])
            window = topic.repeat_window_ms
            self._tallies[tp] = PartitionTally(
                topic.name,
                self._ids[tp.topic],
                tp.partition,
                self._in_force.at(state.to + self._settings.pane_ms),
                self._settings.pane_ms,
                topic is not ADMITTED,
                None if window is None else RepeatFilter(window),
                state,
            )
        self._warm_up = WarmUp(self._settings.kafka_bootstrap, self._tallies)
        self._warm_up.begin(await self._stretches([tp for tp in partitions if tp in committed]))
        self._say_warm()
        return {tp: tally.state.next_offset for tp, tally in self._tallies.items()}

    async def _stretches(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Stretch]:
        """Return what each partition has to know again: from the offset for (arrived - reach) up to the committed one."""
        assert self._host is not None
        times = {
            tp: max(0, self._tallies[tp].state.arrived - reach)
            for tp in partitions
            if (reach := self._tallies[tp].reach_ms)
        }
        starts = await self._host.offsets_at(times) if times else {}
        return {
            tp: Stretch(start, self._tallies[tp].state.next_offset) for tp, start in starts.items() if start is not None
        }

    async def on_revoked(self) -> None:
        """Forget all partitions and what is not yet a block."""
        warm_up = self._warm_up
        self._forget()
        await self._pauses.forget()
        if warm_up is not None:
            await warm_up.cancel()

    async def on_stopped(self) -> None:
        """Disconnect."""
        await self.on_revoked()
        if self._producer is not None:
            await self._producer.stop()
        if self._catalogues is not None:
            await self._catalogues.close()

    async def _look(self, *, to_end: bool = False) -> None:
        """Learn what is declared if the last look was `LOOK_S` ago; with `to_end`, or after a pause, all that is declared by now."""
        ago_s = time.monotonic() - self._looked_at
        if self._catalogues is None or not (to_end or ago_s >= LOOK_S):
            return
        # Who has stood still may have been replaced by one who knows more; to publish less than that would go back.
        found = await self._catalogues.look(to_end=to_end or ago_s >= PAUSE_S)
        self._looked_at = time.monotonic()
        if found is not None:
            self._in_force.learn(found)
            log.info("catalogues: %s", ", ".join(f"{one.catalogue.hash} from {one.from_pane}" for one in found))

    # --- records ---------------------------------------------------------------------------------------------------

    async def on_records(self, batch: Mapping[TopicPartition, Records]) -> None:
        """Count records; publish and commit the blocks that they close. Records of cold partitions wait, their disputes do not."""
        assert self._host is not None
        runs: Mapping[TopicPartition, Run] = runs_of({tp: one for tp, one in batch.items() if tp not in self._pauses})
        for tp, run in runs.items():
            self._show_sent(tp, run)
        await self._feed(await self._pauses.sifted(runs, self._ids, self._host, self._say))
        await self._feed_held()
        while sum(len(run) for held in self._held.values() for run in held) > HELD_RECORDS:
            assert self._warm_up is not None
            before = self._warm_up.read
            await self._warm_up.wait(WAIT_S)
            if self._warm_up.read > before:
                self._host.moved()
            if self._host.revoked:
                raise RevokedError
            await self._feed_held()

    def _cold(self) -> set[TopicPartition]:
        return set() if self._warm_up is None else self._warm_up.cold | self._held.keys()

    def _hold(self, tp: TopicPartition, run: Run) -> list[Dispute]:
        """Keep a run until its partition is warm; return its disputes, which may repeat: their ids tell."""
        arrived = arrived_of(run, self._held_arrived.get(tp, self._tallies[tp].arrived))
        self._held_arrived[tp] = int(arrived[-1])
        self._held.setdefault(tp, []).append(run)
        live = self._sources[tp.topic] is not ADMITTED
        return disputes_of(run, panes_of(arrived, self._settings.pane_ms), threats=True) if live else []

    async def _feed_held(self) -> None:
        assert self._warm_up is not None
        self._warm_up.check()
        warm = [tp for tp in self._held if tp not in self._warm_up.cold]
        for tp in warm:
            del self._held_arrived[tp]
            for run in self._held.pop(tp):
                await self._feed({tp: run})
        self._say_warm()

    def _say_warm(self) -> None:
        cold = self._cold()
        if cold:
            self._readiness.fail(WARM, f"{len(cold)} partitions are read again")
        else:
            self._readiness.ok(WARM)

    async def _feed(self, runs: Mapping[TopicPartition, Run]) -> None:
        await self._look()
        disputes: list[Dispute] = []
        closed: list[tuple[TopicPartition, Block]] = []
        for tp in sorted(runs):
            rest: Run | None = runs[tp]
            while rest is not None and tp not in self._cold():
                blocks, rest = await self._count(tp, rest)
                closed += [(tp, block) for block in blocks]
                disputes += self._tallies[tp].disputes
                self._tallies[tp].disputes.clear()
            if rest is not None:
                disputes += self._hold(tp, rest)
            await asyncio.sleep(0)
        if closed:
            self._kill.reached(BEFORE)
        if disputes or closed:
            await self._publish(disputes, [block for _, block in closed])
        if closed:
            self._kill.reached(KILL_POINT)
            await self._commit({tp for tp, _ in closed})
            for tp, block in closed:
                self._say_closed(tp, block)

    async def _count(self, tp: TopicPartition, run: Run) -> tuple[list[Block], Run | None]:
        """Count records up to the next change of the catalogue; return the blocks, and the records after the change.

        Where there are any another tally has taken over, to be fed when it is warm.
        """
        tally = self._tallies[tp]
        before = tally.left_out
        change = self._in_force.change(tally.catalogue, tally.next_pane)
        blocks, rest = (tally.feed(run), None) if change is None else tally.feed_before(run, change.from_pane)
        if tally.left_out > before:
            self._telemetry.count("answers_left_out_total", tally.left_out - before, topic=tp.topic)
        if change is not None and rest is not None:
            assert self._warm_up is not None
            following = self._tallies[tp] = tally.successor(change.catalogue)
            following.disputes, tally.disputes = tally.disputes, []
            self._warm_up.begin(await self._stretches([tp]))
            log.info("%s-%d changes to catalogue %s", tp.topic, tp.partition, change.catalogue.hash)
        return blocks, rest

    async def _publish(self, disputes: Sequence[Dispute], closed: Sequence[Block]) -> None:
        """Publish in order and wait until all is acknowledged."""
        sent = []
        rules = ((one, immediate_rules(self._in_force.at(one.pane))) for one in disputes)
        for alarm in (alarm for one, its in rules for alarm in raised_by([one], its)):
            value = encode(Kind.TRANSITION, output_to_record(alarm))
            sent.append(await self._send(IMMEDIATE, alarm.alarm_id.encode(), value))
            value = encode(Kind.DECISION, decision_to_record(adoption(alarm)))
            sent.append(await self._send(TALLIES, DecisionKind.ADOPT.encode(), value))
            self._telemetry.count("alarm_transitions_total", rule=alarm.rule, state=alarm.state)
        for block in closed:
            key = f"{block.topic_id}-{block.partition}".encode()
            sent.append(await self._send(TALLIES, key, encode(Kind.BLOCK, blocks.to_record(block))))
        for one in sent:
            await one

    async def _send(self, topic: Topic, key: bytes, value: bytes) -> "asyncio.Future[Any]":
        assert self._producer is not None
        future: asyncio.Future[Any] = await self._producer.send(
            self._prefix + topic.name, value, key=key, partition=0, headers=[sent_header(self._clock())]
        )
        return future

    async def _say(self, decision: Decision) -> int:
        """Write a decision into the tallies log; return its offset when it is acknowledged."""
        sent = await self._send(TALLIES, decision.kind.encode(), encode(Kind.DECISION, decision_to_record(decision)))
        return int((await sent).offset)

    async def _commit(self, partitions: set[TopicPartition]) -> None:
        assert self._host is not None
        await self._host.commit({tp: committed_of(self._tallies[tp].state, self._ids[tp.topic]) for tp in partitions})

    def _say_closed(self, tp: TopicPartition, block: Block) -> None:
        self._telemetry.count("blocks_total", stage=NAME, topic=tp.topic)
        if block.repeats:
            self._telemetry.count("repeats_total", block.repeats, stage=NAME, topic=tp.topic)
        if block.undecodable:
            self._telemetry.count("undecodable_total", block.undecodable, stage=NAME, topic=tp.topic)

    def _show_sent(self, tp: TopicPartition, run: Run) -> None:
        append_ms, sent_ms = int(run.append_ms[-1]), int(run.sent_ms[-1])
        if sent_ms != NO_SENT:
            labels = {"topic": tp.topic, "partition": str(tp.partition)}
            self._telemetry.set("sent_clock_difference_seconds", (append_ms - sent_ms) / 1000, **labels)

    # --- ticks -----------------------------------------------------------------------------------------------------

    async def on_timer(self) -> None:
        """Append the ticks that quiet partitions want; go on with what waited for its memory."""
        assert self._host is not None and self._producer is not None
        await self._look()
        await self._feed_held()
        await self._pauses.resume(self._ids, self._host)
        for done in [one for one in self._ticks if one.done()]:
            self._ticks.discard(done)
            done.result()
        now_ms = self._clock()
        for tp, tally in self._tallies.items():
            # Where records wait to be read, time comes with them.
            waits = tp in self._held or tp in self._pauses or self._host.backlog(tp) != 0
            if waits or not self._ticker.due(tp, tally.arrived, now_ms):
                continue
            tick = await self._producer.send(
                tp.topic, None, key=TICK_KEY, partition=tp.partition, headers=[sent_header(now_ms)]
            )
            self._ticks.add(tick)
            self._telemetry.count("ticks_total", topic=tp.topic)


def run_tally(settings: Settings, telemetry: Telemetry, readiness: Readiness, clock: Clock = system_clock) -> int:
    """Run stage 1 until it is asked to end or fails; return the exit code."""
    stage = TallyStage(settings, load(settings.catalogue, pane_ms=settings.pane_ms), telemetry, readiness, clock)
    topics = [settings.topic_prefix + topic.name for topic in SOURCES]
    return run_stage(settings, telemetry, readiness, NAME, topics, stage, clock)
