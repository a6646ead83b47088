"""The seeder on a real log: the past of new series stands in it once, and with what came since it is all that stage 1 would have counted."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from schemas.arrival import TICK_KEY
from schemas.blocks import Block, Cells, Row, Series, cells_of, from_record, to_record
from schemas.catalogue import Catalogue, load
from schemas.clock import system_clock
from schemas.codec import Kind, decode, encode
from schemas.declared import LESSON, SEED, Catalogues, Declared, declaration, new_metrics
from schemas.errors import ContractError
from schemas.event import Channel, FeedbackEvent
from schemas.outputs import Decision, DecisionKind, decision_from_record, decision_to_record
from schemas.readiness import Readiness
from schemas.repeats import RepeatFilter
from schemas.rules import Rule, RuleKind
from schemas.settings import to_environ
from schemas.telemetry import Telemetry
from schemas.topics import ADMITTED, CATALOGUES, GROUP_JUDGE, GROUP_SEED, LIVE, SOURCES, TALLIES, Topic
from schemas.windows import HOUR_MS
from sinks.making import Memory, Take
from sinks.making_tallies import make_tallies
from sinks.positions import Positions, describe
from sinks.seeding import Seeding
from sinks.seeds import change_of
from sinks.switches import Counted, Switches
from sinks.transactions import Transactions
from streams.core.judge import Judge
from streams.core.tally import PartitionTally, TallyState
from streams.runs import runs_of
from tests.sinks.compiled.conftest import EVERY_KIND
from tests.sinks.compiled.feedback import conversations
from tests.sinks.conftest import ROOT, Stand, wait_for, wire

EVERY_MS = 60_000
PANE_MS = 10_000
EVENTS = 48
CHANGE_AT = 30
WHOLE = load(str(EVERY_KIND))
CSAT = msgspec.structs.replace(WHOLE.named("csat"), question_version=None)
NEW = [WHOLE.named(name) for name in ("in_time", "waited", "repeated", "csat_once", "volume")]
FALL = Rule(name="fall", owner="ops", kind=RuleKind.DROP, severity="page", metric="csat", p0=0.1, p1=(0.4,))
BEFORE = Catalogue(metric=[CSAT])
AFTER = Catalogue(metric=[CSAT, *NEW], alarm=[FALL])
PROCESS = """
import asyncio, os
from schemas.readiness import Readiness
from schemas.settings import load
from schemas.telemetry import Telemetry
from sinks.seeding import Seeding
asyncio.run(Seeding(load(os.environ), Telemetry(), Readiness()).run(asyncio.Event(), once=True))
"""


class World:
    """Some hours of talk by mail and admitted, on the real topics, and what stage 1 would make of any partition."""

    def __init__(self, stand: Stand, events: int = EVENTS) -> None:
        stand.settings = msgspec.structs.replace(stand.settings, pane_ms=PANE_MS)
        self.stand = stand
        self.read: dict[tuple[str, int], list[Any]] = {}
        self.start = (system_clock() - 3 * HOUR_MS) // HOUR_MS * HOUR_MS
        self.pane = self.start + CHANGE_AT * EVERY_MS
        for topic, seed, partition in ((LIVE[Channel.EMAIL], 1, 0), (LIVE[Channel.EMAIL], 2, 3), (ADMITTED, 3, 1)):
            for number, one in enumerate(conversations(seed, events, since_ms=self.start, every_ms=EVERY_MS)):
                self.send(topic, partition, number * EVERY_MS, msgspec.structs.replace(one, channel=Channel.EMAIL))
        for topic in SOURCES:
            for partition in range(topic.partitions):
                for number in (0, CHANGE_AT, EVENTS, EVENTS + 1):
                    self.send(topic, partition, number * EVERY_MS, None)
        stand.settle()
        self.ids = {
            name: one.topic_id
            for name, one in describe(stand.settings.kafka_bootstrap, [stand.name(one) for one in SOURCES]).items()
        }

    def send(self, topic: Topic, partition: int, after_ms: int, event: FeedbackEvent | None) -> None:
        """Append a record that arrives so long after the start, if nothing before it in its partition arrived later."""
        sent = (
            self.start + after_ms - 60_000
        )  # what was sent more than a minute before is known to have come a minute after
        self.stand.producer.send(
            self.stand.name(topic), value=None if event is None else wire(event), partition=partition,
            key=TICK_KEY if event is None else b"k", headers=[("sent", str(sent).encode())],
        )  # fmt: skip

    def records(self, topic: Topic, partition: int) -> list[Any]:
        """Return the records of a partition; nothing is sent after the first look."""
        if not self.read:
            self.read = read(self.stand, SOURCES)
        return self.read[self.stand.name(topic), partition]

    def blocks(self, topic: Topic, partition: int, *parts: tuple[int, Catalogue]) -> list[Block]:
        """Return the blocks of a partition that is taken up anew with a catalogue at each of these panes."""
        records, state, out = self.records(topic, partition), TallyState(), []
        for at, (_, catalogue) in enumerate(parts):
            window = topic.repeat_window_ms
            tally = PartitionTally(
                topic.name, self.ids[self.stand.name(topic)], partition, catalogue, PANE_MS, topic is not ADMITTED,
                None if window is None else RepeatFilter(window), state,
            )  # fmt: skip
            tally.remember(runs_of({0: [one for one in records if one.offset < state.next_offset]})[0])
            made = tally.feed(runs_of({0: [one for one in records if one.offset >= state.next_offset]})[0])
            end = parts[at + 1][0] if at + 1 < len(parts) else 1 << 60
            kept = [one for one in made if one.to_pane < end]
            out += kept
            last = kept[-1]
            state = TallyState(to=last.to_pane, arrived=last.arrived_ms, next_offset=last.next_offset)
        return out

    def sources(self) -> list[tuple[Topic, int]]:
        return [(topic, partition) for topic in SOURCES for partition in range(topic.partitions)]

    def publish(self, topic: Topic, key: bytes, value: bytes) -> None:
        self.stand.publish(topic, value, key=key, partition=0)

    def declare(self, *decisions: Decision) -> None:
        """Put decisions into the log and the topic of catalogues, as the command does."""
        for one in decisions:
            value = encode(Kind.DECISION, decision_to_record(one))
            self.publish(CATALOGUES, one.decision_id.encode(), value)
            self.publish(TALLIES, one.kind.encode(), value)


def read(stand: Stand, topics: Sequence[Topic]) -> dict[tuple[str, int], list[Any]]:
    """Return (topic with prefix, partition) -> its committed records up to its end."""
    partitions = [TopicPartition(stand.name(topic), i) for topic in topics for i in range(topic.partitions)]
    out: dict[tuple[str, int], list[Any]] = {(tp.topic, tp.partition): [] for tp in partitions}
    consumer = KafkaConsumer(
        bootstrap_servers=stand.settings.kafka_bootstrap, enable_auto_commit=False, isolation_level="read_committed"
    )
    try:
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for tp, records in consumer.poll(timeout_ms=500).items():
                out[tp.topic, tp.partition] += records
    finally:
        consumer.close()
    return out


def entries(stand: Stand) -> list[Block | Decision]:
    out: list[Block | Decision] = []
    for one in read(stand, [TALLIES])[stand.name(TALLIES), 0]:
        kind, record = decode(one.value)
        out.append(from_record(record) if kind is Kind.BLOCK else decision_from_record(record))
    return out


def only(parts: Sequence[Cells], metrics: set[str]) -> Cells:
    return cells_of(row._replace(fresh=0) for one in parts for row in one.rows() if row.series.metric in metrics)


def change(world: World, *, seed: bool = True) -> tuple[Decision, Decision]:
    first = declaration(BEFORE, from_pane=0, replaces="", author="judge", made_at=0)
    return first, declaration(AFTER, from_pane=world.pane, replaces=BEFORE.hash, author="ann", made_at=0, seed=seed)


def judged(stand: Stand, pane: int) -> None:
    """Say that the judge has come to a pane."""
    log = TopicPartition(stand.name(TALLIES), 0)
    consumer = KafkaConsumer(
        bootstrap_servers=stand.settings.kafka_bootstrap, group_id=stand.settings.topic_prefix + GROUP_JUDGE,
        enable_auto_commit=False,
    )  # fmt: skip
    consumer.assign([log])
    consumer.commit({log: OffsetAndMetadata(1, json.dumps({"pane": pane}), -1)})
    consumer.close()


def test_a_seed_and_what_came_since_are_all_that_stage_1_would_have_counted_once_whatever_dies(
    stand: Stand,
) -> None:
    world = World(stand)
    stand.start("sink", "feedback_events", "tallies")
    world.declare(*change(world))
    late = {source: world.pane + number % 4 * 5 * EVERY_MS for number, source in enumerate(world.sources())}
    switched = {source: world.blocks(*source, (0, BEFORE), (late[source], AFTER)) for source in world.sources()}
    steady = {source: world.blocks(*source, (0, AFTER)) for source in world.sources()}
    body = {
        "sources": [[topic.name, world.ids[stand.name(topic)], partition] for topic, partition in world.sources()],
        "pane_ms": PANE_MS, "catalogue_hash": BEFORE.hash,
    }  # fmt: skip
    begin = Decision(decision_id="s", kind=DecisionKind.SOURCES, author="judge", made_at=0, body=body)
    world.publish(TALLIES, b"sources", encode(Kind.DECISION, decision_to_record(begin)))
    for block in chain.from_iterable(switched.values()):
        world.publish(TALLIES, b"block", encode(Kind.BLOCK, to_record(block)))
    stand.settle()
    judged(stand, world.pane)

    environ = {**os.environ, **to_environ(stand.settings), "BAROMETER_KILL_POINT": "seed.before_commit:2"}
    killed = subprocess.run([sys.executable, "-c", PROCESS], env=environ, cwd=ROOT, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL, "the first decision needs no seed, the second dies with all of it sent"
    assert not [one for one in entries(stand) if isinstance(one, Block) and one.topic in {SEED, LESSON}]
    for _ in range(2):
        asyncio.run(Seeding(stand.settings, Telemetry(), Readiness()).run(asyncio.Event(), once=True))

    log = entries(stand)
    (end,) = [at for at, one in enumerate(log) if isinstance(one, Decision) and one.kind is DecisionKind.SEEDED]
    blocks = [(at, one) for at, one in enumerate(log) if isinstance(one, Block)]
    seeds = [one for at, one in blocks if one.topic == SEED and at < end]
    lessons = [one for at, one in blocks if one.topic == LESSON and at < end]
    assert len(seeds) + len(lessons) == sum(one.topic in {SEED, LESSON} for _, one in blocks)
    new = {one.identity for one in NEW}
    since = [one.cells for one in chain.from_iterable(switched.values()) if one.catalogue_hash == AFTER.hash]
    assert only([*(one.cells for one in seeds), *since], new) == only(
        [one.cells for one in chain.from_iterable(steady.values())], new
    )
    assert {row.series.metric for one in seeds for row in one.cells.rows()} == new
    assert not any(row.fresh for one in [*seeds, *lessons] for row in one.cells.rows())
    taught = [one.cells for one in chain.from_iterable(switched.values()) if one.to_pane < world.pane]
    expected = [row for row in only(taught, {CSAT.identity}).rows() if row.series.dimension == FALL.reads]
    assert [row for one in lessons for row in one.cells.rows()] == expected != []
    assert {(one.topic_id, one.from_pane, one.to_pane, one.catalogue_hash) for one in seeds} == {
        (AFTER.hash, world.pane, world.pane, AFTER.hash)
    }
    decision = log[end]
    assert isinstance(decision, Decision) and decision.body["catalogue_hash"] == AFTER.hash
    assert 2 * CHANGE_AT < decision.body["events"] < 3 * EVENTS

    judge = Judge(BEFORE, pane_ms=PANE_MS, provisional_step_ms=60_000)
    last = {one.source: one for _, one in blocks if one.topic not in {SEED, LESSON}}
    after = [_next(one) for one in last.values()]
    said = [output for entry in [*log, *after] for output in judge.feed(entry)]
    assert {one.metric for one in said} >= {"csat", "in_time", "repeated", "csat_once", "volume"}
    wait_for(lambda: stand.caught_up("tallies", TALLIES))
    rows = stand.client.execute("SELECT DISTINCT toString(source_topic) FROM tallies WHERE to_pane = from_pane")
    assert (SEED,) in rows and (LESSON,) not in rows
    assert stand.count(f"count() FROM tallies WHERE source_topic = '{SEED}'") == sum(len(one.cells) for one in seeds)


def _next(block: Block) -> Block:
    """Return the empty block of the pane behind a block."""
    pane = block.to_pane + PANE_MS
    return msgspec.structs.replace(block, from_pane=pane, to_pane=pane, cells=cells_of([]))


def waiting(stand: Stand, words: str) -> None:
    """Run the seeder until its readiness says what it waits for."""

    async def run() -> None:
        stop, readiness = asyncio.Event(), Readiness()
        running = asyncio.create_task(Seeding(stand.settings, Telemetry(), readiness, patience_ms=0).run(stop))
        async with asyncio.timeout(30):
            while words not in readiness.failing().get("seed", ""):
                assert not running.done(), running.result()
                await asyncio.sleep(0.02)
        stop.set()
        await running

    asyncio.run(run())


def test_readiness_names_the_partition_that_a_change_waits_for(stand: Stand) -> None:
    world = World(stand, events=0)
    first, second = change(world)
    world.declare(first, second)
    stand.settle()
    waiting(stand, f"{ADMITTED.name}-0 without catalogue {AFTER.hash}")
    for topic, partition in world.sources():
        if (topic, partition) != (LIVE[Channel.WEB], 3):
            for block in world.blocks(topic, partition, (0, BEFORE), (world.pane, AFTER)):
                world.publish(TALLIES, b"block", encode(Kind.BLOCK, to_record(block)))
    stand.settle()
    waiting(stand, f"stage 1 counts {LIVE[Channel.WEB].name}-3 without")
    for block in world.blocks(LIVE[Channel.WEB], 3, (0, BEFORE), (world.pane, AFTER)):
        world.publish(TALLIES, b"block", encode(Kind.BLOCK, to_record(block)))
    stand.settle()
    waiting(stand, f"feedback_events has stored {stand.name(ADMITTED)}-0 up to 0, needs ")


def test_a_change_without_a_seed_is_done_at_once_and_a_second_seeder_fences_the_first(stand: Stand) -> None:
    stand.settings = msgspec.structs.replace(stand.settings, pane_ms=PANE_MS)
    decisions = [
        declaration(BEFORE, from_pane=0, replaces="", author="judge", made_at=0),
        declaration(AFTER, from_pane=10 * PANE_MS, replaces=BEFORE.hash, author="ann", made_at=0, seed=False),
        declaration(LATER, from_pane=20 * PANE_MS, replaces=AFTER.hash, author="ann", made_at=0, seed=False),
    ]

    def declare(*some: Decision) -> None:
        for one in some:
            value = encode(Kind.DECISION, decision_to_record(one))
            stand.publish(CATALOGUES, value, key=one.decision_id.encode(), partition=0)
        stand.settle()

    group, log = stand.settings.topic_prefix + GROUP_SEED, TopicPartition(stand.name(CATALOGUES), 0)

    async def done(offset: int) -> None:
        """Wait until a seeder has committed."""
        positions = await Positions.open(stand.settings.kafka_bootstrap)
        async with asyncio.timeout(60):
            while (found := (await positions.of(group, [log])).get(log)) is None or found.offset < offset:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await positions.close()
        assert found.offset == offset

    async def run() -> None:
        running = asyncio.create_task(Seeding(stand.settings, Telemetry(), Readiness()).run(asyncio.Event()))
        await done(2)
        second = await Transactions.open(stand.settings.kafka_bootstrap, group, who="seeder")
        await asyncio.to_thread(declare, decisions[2])
        with pytest.raises(ContractError, match="another seeder has taken over"):
            await running
        await second.close()

    declare(*decisions[:2])
    asyncio.run(run())
    asyncio.run(Seeding(stand.settings, Telemetry(), Readiness()).run(asyncio.Event(), once=True))
    asyncio.run(done(3))
    assert entries(stand) == []


def counted(
    to: int, catalogue: Catalogue, *, first: int | None = None, partition: int = 0, next_offset: int = 5
) -> Counted:
    return Counted(("T", partition), to if first is None else first, to, next_offset, catalogue.hash)


LATER = Catalogue(metric=[CSAT, NEW[0]])
CHANGES = Catalogues([Declared(0, BEFORE), Declared(1_000, AFTER), Declared(2_000, LATER)])


def cuts_of(blocks: Sequence[Counted], catalogues: Catalogues = CHANGES, pane: int = 1_000) -> dict[int, int]:
    """Return partition -> end of the last pane before its cut."""
    switches = Switches({("T", 0): "cards", ("T", 1): "cards"}, pane, 100)
    for block in blocks:
        switches.take(block, catalogues)
    assert [one[1] for one in switches.missing] == [one for one in (0, 1) if ("T", one) not in switches.cuts]
    return {partition: cut.pane for (_, partition), cut in switches.cuts.items()}


def test_a_source_is_cut_at_the_first_block_that_counts_with_the_change_or_a_later_one() -> None:
    assert cuts_of([counted(1_000, BEFORE), counted(1_100, AFTER), counted(1_200, AFTER)]) == {0: 1_000}
    assert cuts_of([counted(1_000, BEFORE), counted(2_500, LATER, first=1_100, partition=1)]) == {1: 1_000}
    assert cuts_of([counted(1_000, AFTER, first=0)]) == {0: 0}
    assert cuts_of([counted(1_900, LATER)]) == {}, "a catalogue that is not yet in force is no switch"


def test_a_block_published_again_is_no_switch_since_the_judge_skips_it() -> None:
    again = [counted(1_000, BEFORE), counted(1_100, BEFORE), counted(1_000, AFTER), counted(1_100, AFTER)]
    assert cuts_of([*again, counted(1_200, AFTER)]) == {0: 1_100}


def test_a_catalogue_that_comes_back_is_a_switch_from_its_second_pane_on() -> None:
    back = Catalogues([Declared(0, BEFORE), Declared(1_000, AFTER), Declared(2_000, BEFORE)])
    assert cuts_of([counted(1_000, BEFORE), counted(1_900, BEFORE), counted(2_000, BEFORE)], back) == {0: 1_900}


def test_only_a_change_that_asks_for_it_is_seeded_from_the_pane_that_holds_its_begin() -> None:
    first = declaration(BEFORE, from_pane=0, replaces="", author="judge", made_at=0)

    def named(pane: int, *, seed: bool = True) -> Decision:
        return declaration(AFTER, from_pane=pane, replaces=BEFORE.hash, author="ann", made_at=0, seed=seed)

    known = Catalogues.of([first, named(950)])
    assert change_of(first, known, 100) is None
    assert change_of(named(950, seed=False), known, 100) is None
    for pane in (901, 950, 1_000):
        found = change_of(named(pane), known, 100)
        assert found is not None and found.pane == 1_000
        assert new_metrics(found.before, found.after) == NEW
    with pytest.raises(ContractError, match="never declared"):
        change_of(named(950), Catalogues.of([named(950)]), 100)


def test_lessons_make_no_rows_and_seeds_of_one_pane_are_no_repeats() -> None:
    blocks = [
        Block(
            topic=topic, topic_id=AFTER.hash, partition=number, from_pane=1_000, to_pane=1_000, pane_ms=100,
            arrived_ms=1_000, next_offset=0, catalogue_hash=AFTER.hash, cells=_one_cell(number),
        )
        for topic in (LESSON, SEED) for number in (1, 2, 2)
    ]  # fmt: skip
    records = [
        SimpleNamespace(offset=at, key=b"k", value=encode(Kind.BLOCK, to_record(one))) for at, one in enumerate(blocks)
    ]
    made = make_tallies([Take(TALLIES, "log", 0, records, [0] * len(records))], Memory())
    assert made.rows is not None
    assert made.rows.columns["source_topic"] == [SEED, SEED]
    assert made.rows.columns["source_partition"] == [1, 2]
    assert made.repeats == {TALLIES.name: 1}


def _one_cell(number: int) -> Cells:
    return cells_of([Row(Series(CSAT.identity, "*", "*", "card"), number, 5, 0, 1, 5)])
