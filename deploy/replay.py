"""`barometer replay`: everything counted and judged again, from the raw topics alone, and compared with what is stored.

The raw records with their stored times of arrival give the blocks, each counted with the catalogue that the stored one names;
the log gives their order, the decisions, and the past of series that a change of the catalogue began; a fresh judge gives the
outputs. All of it is pure, so any difference is a fault.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Literal, NamedTuple

import msgspec
from aiokafka import TopicPartition

from deploy import said
from deploy.certificate import Offsets
from deploy.declarations import declared_in
from deploy.positions import Position, Positions
from deploy.recount import Recount
from deploy.said import Said
from schemas.blocks import Block, to_record
from schemas.catalogue import load
from schemas.declared import LESSON, SEEDS, Catalogues, Declared
from schemas.errors import ContractError, UndecodableError, UsageError
from schemas.outputs import Decision, output_to_record
from schemas.repeats import RepeatFilter
from schemas.settings import Settings
from schemas.topics import ADMITTED, ALARMS, GROUP_JUDGE, READINGS, SOURCES, TALLIES, Topic
from sinks.rows import Place
from sinks.shadow import TALLY_ROWS, Compared, Shadow, rows_of
from streams.core.judge import Judge
from streams.core.tally import PartitionTally, TallyState
from streams.ranges import PartitionReader, open_partition
from streams.runs import runs_of
from streams.tallies_log import entry_of, is_sources
from streams.topic_ids import Found, find_topics

SHOWN = 20
TELL_EVERY_S = 5.0
Against = Literal["clickhouse", "kafka"]
Tell = Callable[[str], None]


class Range(NamedTuple):
    """The arrived times that are compared, (from_ms, to_ms]; what stood before is counted again all the same."""

    from_ms: int = 0
    to_ms: int | None = None


WHOLE = Range()


class Report(msgspec.Struct, kw_only=True):
    """What was compared, and in what it differs."""

    pane: int | None = None
    from_ms: int = 0
    to_ms: int = 0
    tables: list[Compared] = []
    """The live tables beside what the clean pass gave, in the range."""
    log: Offsets | None = None
    sources: list[Offsets] = []
    """What was read of the log and of each source."""
    events: int = 0
    blocks: int = 0
    decisions: int = 0
    planted: int = 0
    """Blocks with the past of new series, taken as they stand in the log: the store was recounted for them."""
    outputs: int = 0
    readings: int = 0
    transitions: int = 0
    difference_count: int = 0
    differences: list[str] = []
    """The first of them."""

    def differs(self, what: str) -> None:
        """Note a difference."""
        self.difference_count += 1
        if len(self.differences) < SHOWN:
            self.differences.append(what)

    @property
    def equal(self) -> bool:
        """Return whether there is none."""
        return self.difference_count == 0


def replay(
    settings: Settings, *, within: Range = WHOLE, keep: bool = False, against: Against = "clickhouse",
    tell: Tell = lambda _: None,
) -> Report:  # fmt: skip
    """Return how what is stored compares with a clean pass up to the judge's position.

    Against ClickHouse the pass goes into shadow tables, and every row of the range is compared; `keep` leaves them there.

    Raises UsageError before anything was judged, ContractError where the topics no longer hold their beginnings.
    """
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        position = positions.of(GROUP_JUDGE)[0]
    if not position.offset:
        raise UsageError("nothing_judged", "the judge has no position yet", "start `barometer up` and send something")
    pane = int(position.metadata["pane"])
    to_ms = pane if within.to_ms is None else within.to_ms
    if not within.from_ms < to_ms <= pane:
        raise UsageError(
            "bad_range", f"from {within.from_ms} to {to_ms} is no range that is judged: the judge stands at {pane}",
            "end it earlier, or wait with `barometer doctor --settled`",
        )  # fmt: skip
    shadow = None if against == "kafka" else Shadow(settings, within.from_ms, to_ms)
    try:
        report, clean = asyncio.run(_clean_pass(settings, position, catalogues_of(settings), shadow, tell))
        report.from_ms, report.to_ms = within.from_ms, to_ms
        tell(f"comparing {len(clean.seqs)} outputs with {against}")
        if shadow is not None:
            report.tables = shadow.compared(table_topics(settings))
    finally:
        if shadow is not None:
            shadow.close(keep=keep)
    last_seq = int(position.metadata["seq"])
    if against == "kafka":
        stored = asyncio.run(said.in_kafka(settings, last_seq))
    elif within == WHOLE:
        stored = said.in_clickhouse(settings, last_seq)
    else:
        stored = clean
    unequal = [table for table in report.tables if not table.equal]
    for table in unequal:
        report.differs(f"{table.table}: {table.live_rows} rows, {table.shadow_rows} by a clean pass, not the same")
    for one in said.differences(clean, stored, against):
        report.differs(one)
    for table in unequal:
        for row in table.differing:
            report.differs(f"{table.table}: {row}")
    report.outputs, report.readings, report.transitions = len(clean.seqs), len(clean.readings), len(clean.transitions)
    return report


def catalogues_of(settings: Settings) -> Catalogues:
    """Return what is declared; before anything is, the catalogue of the settings."""
    known = declared_in(settings)
    return known if len(known) else Catalogues([Declared(0, load(settings.catalogue, pane_ms=settings.pane_ms))])


async def _clean_pass(
    settings: Settings, position: Position, catalogues: Catalogues, shadow: Shadow | None, tell: Tell
) -> tuple[Report, Said]:
    report, clean = Report(), Said()
    assert catalogues.first is not None
    found = find_topics(settings.kafka_bootstrap, [settings.topic_prefix + one.name for one in (TALLIES, *SOURCES)])
    log = TopicPartition(settings.topic_prefix + TALLIES.name, 0)
    settings = await _as_judged(settings, log, position)
    judge = Judge(
        catalogues.first.catalogue, pane_ms=settings.pane_ms, provisional_step_ms=settings.provisional_step_ms
    )
    told = time.monotonic()
    stored: dict[tuple[str, int], int] = {}
    log_id = found[log.topic].topic_id
    report.log = Offsets(topic=TALLIES.name, topic_id=log_id, partition=0, first=0, end=position.offset)
    async with AsyncExitStack() as stack:
        sources = await _recounts(stack, settings, found, catalogues)
        reader = await stack.enter_async_context(open_partition(settings.kafka_bootstrap, log))
        _whole(reader, log)
        async for records in reader.read(0, position.offset):
            for record in records:
                try:
                    entry = entry_of(record.value)
                except UndecodableError:
                    continue
                if isinstance(entry, Decision):
                    report.decisions += 1
                elif entry.topic in SEEDS:
                    report.planted += 1
                else:
                    entry = await _recounted(entry, sources, report)
                if shadow is not None and isinstance(entry, Block) and _makes_rows(entry, stored):
                    shadow.add(TALLY_ROWS, to_record(entry), Place(TALLIES.name, log_id, 0, record.offset, 0))
                try:
                    for output in judge.feed(entry):
                        clean.add_output(output)
                        if shadow is not None:
                            shadow.add(rows_of(output), output_to_record(output))
                except ContractError as error:
                    report.differs(f"tallies log, offset {record.offset}: {error}")
                    return report, clean
            if time.monotonic() - told > TELL_EVERY_S:
                tell(f"{report.blocks} blocks, {report.events} events, pane {judge.pane}")
                told = time.monotonic()
    report.pane = judge.pane
    names = {found[settings.topic_prefix + topic.name].topic_id: topic.name for topic in SOURCES}
    report.sources = [
        Offsets(topic=names[topic_id], topic_id=topic_id, partition=number, first=0, end=one.next_offset)
        for (topic_id, number), one in sorted(sources.items())
    ]
    if judge.pane != position.metadata["pane"]:
        report.differs(f"a clean pass ends at pane {judge.pane}, the judge stands at {position.metadata['pane']}")
    return report, clean


def _makes_rows(block: Block, stored: dict[tuple[str, int], int]) -> bool:
    """Return whether the sink makes rows of a block: lessons and what was published again are left out."""
    if block.topic == LESSON or block.to_pane <= stored.get(block.source, -1):
        return False
    stored[block.source] = block.to_pane
    return True


async def _as_judged(settings: Settings, log: TopicPartition, position: Position) -> Settings:
    """Return the settings with the pane length and steps by which the log was judged."""
    async with open_partition(settings.kafka_bootstrap, log) as reader:
        _whole(reader, log)
        async for records in reader.read(0, position.offset):
            for record in records:
                if is_sources(record.value):
                    entry = entry_of(record.value)
                    assert isinstance(entry, Decision)
                    steps = {name: entry.body[name] for name in ("pane_ms", "provisional_step_ms")}
                    return msgspec.structs.replace(settings, **steps)
    raise ContractError(
        "no_sources", f"{log.topic} names no sources before the judge's position", "the log is not whole"
    )


async def _recounted(stored: Block, sources: dict[tuple[str, int], Recount], report: Report) -> Block:
    """Return the block with the cells of the recount; note in what they differ."""
    report.blocks += 1
    where = f"{stored.topic}-{stored.partition} pane {stored.to_pane}"
    source = sources.get(stored.source)
    if source is None:
        report.differs(f"{where}: topic id {stored.topic_id} is not that of a source")
        return stored
    again = source.seen(stored)
    found, why = await source.of(stored)
    if why:
        report.differs(f"{where}: {why}")
    if found is None:
        return stored
    report.events += 0 if again else found.events
    return msgspec.structs.replace(stored, cells=found.cells)


async def _recounts(
    stack: AsyncExitStack, settings: Settings, found: dict[str, Found], catalogues: Catalogues
) -> dict[tuple[str, int], Recount]:
    """Open every source partition at its beginning."""
    out = {}
    for topic in SOURCES:
        topic_id = found[settings.topic_prefix + topic.name].topic_id
        for number in range(topic.partitions):
            partition = TopicPartition(settings.topic_prefix + topic.name, number)
            reader = await stack.enter_async_context(open_partition(settings.kafka_bootstrap, partition))
            _whole(reader, partition)
            batches = _batches(reader, partition, topic, topic_id, catalogues, settings.pane_ms)
            blocks = await stack.enter_async_context(aclosing(batches))
            out[topic_id, number] = Recount(blocks, [one.catalogue.hash for one in catalogues])
    return out


async def _batches(
    reader: PartitionReader,
    partition: TopicPartition,
    topic: Topic,
    topic_id: str,
    catalogues: Catalogues,
    pane_ms: int,
) -> AsyncGenerator[list[Block], None]:
    """Yield what each read closes, counted from the begin with every catalogue: where one was followed by another, the log says."""
    window = topic.repeat_window_ms
    tallies = [
        PartitionTally(
            topic.name, topic_id, partition.partition, one, pane_ms, topic is not ADMITTED,
            None if window is None else RepeatFilter(window), TallyState(),
        )
        for one in {one.catalogue.hash: one.catalogue for one in catalogues}.values()
    ]  # fmt: skip
    async for records in reader.read(0, reader.end):
        run = runs_of({partition: records})[partition]
        yield [block for tally in tallies for block in tally.feed(run)]
        for tally in tallies:
            tally.disputes.clear()


def _whole(reader: PartitionReader, partition: TopicPartition) -> None:
    if reader.first:
        raise ContractError(
            "beginning_gone",
            f"{partition.topic}-{partition.partition} begins at offset {reader.first}",
            "retention has removed the beginning: what stands in ClickHouse can no longer be replayed from Kafka",
        )


def table_topics(settings: Settings) -> dict[str, str]:
    """Return table -> id of the topic that fills it."""
    topics = {"tallies": TALLIES, "readings": READINGS, "alarm_transitions": ALARMS}
    found = find_topics(settings.kafka_bootstrap, [settings.topic_prefix + topic.name for topic in topics.values()])
    return {table: found[settings.topic_prefix + topic.name].topic_id for table, topic in topics.items()}
