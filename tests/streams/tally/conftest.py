"""An installation with stage 1 as a process of its own, on the session's real broker."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from deploy.engines.local import Endpoints
from deploy.positions import Positions
from deploy.topics import apply
from schemas.arrival import sent_header
from schemas.blocks import Block
from schemas.catalogue import Catalogue, load
from schemas.clock import system_clock
from schemas.codec import Kind, encode
from schemas.outputs import Decision, decision_to_record
from schemas.repeats import RepeatFilter
from schemas.settings import Settings, to_environ
from schemas.topics import ADMITTED, CATALOGUES, GROUP_TALLY, LIVE, SOURCES, TALLIES, TOPICS, Topic
from streams.core.tally import PartitionTally, TallyState
from streams.ranges import open_partition
from streams.runs import runs_of
from streams.tallies_log import entry_of
from streams.topic_ids import find_topics
from streams.transactions import Record, Transactions

PANE_MS = 1_000
CODE = """
import logging, os, sys
from schemas.readiness import Readiness
from schemas.settings import load
from schemas.telemetry import Telemetry
from streams.tallying import run_tally
logging.basicConfig(level=logging.INFO)
code = run_tally(load(os.environ), Telemetry(), Readiness())
sys.stderr.flush()
os._exit(code)
"""


@dataclass
class Installation:
    """One installation with its tally processes."""

    settings: Settings
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *, code: str = CODE, **changes: Any) -> subprocess.Popen[bytes]:
        """Start a tally; `changes` to the settings."""
        settings = msgspec.structs.replace(self.settings, **changes)
        environ = {name: value for name, value in to_environ(settings).items() if value}
        with (self.folder / f"tally{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code], env={**os.environ, **environ}, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """Return what a tally has logged."""
        return (self.folder / f"tally{self.processes.index(process)}.log").read_text()

    def wait(self, reached: Callable[[], bool], what: str, timeout_s: float = 150) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + timeout_s
        while not reached():
            assert time.monotonic() < deadline, f"{what}: " + "".join(self.said(one)[-3000:] for one in self.processes)
            time.sleep(0.1)

    def assigned(self, process: subprocess.Popen[bytes]) -> bool:
        """Return whether a tally has said that it owns partitions; fails if it has ended."""
        assert process.poll() is None, self.said(process)
        return "assigned partitions" in self.said(process)

    def producer(self) -> KafkaProducer:
        """Return a producer as the gateway has it."""
        return KafkaProducer(bootstrap_servers=self.settings.kafka_bootstrap, acks="all", enable_idempotence=True)

    def send(
        self, producer: KafkaProducer, event: dict[str, Any] | bytes, topic: str = "", partition: int | None = None
    ) -> Any:
        """Send an event to the topic of its channel, or anything to a topic."""
        name = topic or LIVE[event["channel"]].name  # type: ignore[index,call-overload]
        value = event if isinstance(event, bytes) else encode(Kind.EVENT, event)
        key = b"k" if isinstance(event, bytes) else (event["subject"] or event["event_id"]).encode()
        return producer.send(
            self.settings.topic_prefix + name,
            key=key,
            value=value,
            partition=partition,
            headers=[sent_header(system_clock())],
        )

    def declare(self, decision: Decision) -> None:
        """Declare a catalogue as a command does; the first one as the first judge does."""
        asyncio.run(self._declare(decision))

    async def _declare(self, decision: Decision) -> None:
        prefix, value = self.settings.topic_prefix, encode(Kind.DECISION, decision_to_record(decision))
        records = [Record(prefix + CATALOGUES.name, decision.decision_id.encode(), value)]
        if decision.from_pane:
            records.append(Record(prefix + TALLIES.name, decision.kind.encode(), value))
        transactions = await Transactions.open(self.settings.kafka_bootstrap, prefix + "declaring")
        await transactions.commit(records)
        await transactions.close()

    def records(self, name: str, partition: int = 0) -> list[ConsumerRecord[bytes, bytes]]:
        """Return all committed records of a partition as they stand now, read by a plain consumer."""
        return asyncio.run(self._read(TopicPartition(self.settings.topic_prefix + name, partition)))

    def _all(self, wanted: Sequence[tuple[Topic, int]]) -> list[list[ConsumerRecord[bytes, bytes]]]:
        async def read() -> list[list[ConsumerRecord[bytes, bytes]]]:
            prefix = self.settings.topic_prefix
            return await asyncio.gather(*(self._read(TopicPartition(prefix + topic.name, n)) for topic, n in wanted))

        return asyncio.run(read())

    async def _read(self, partition: TopicPartition) -> list[ConsumerRecord[bytes, bytes]]:
        out: list[ConsumerRecord[bytes, bytes]] = []
        async with open_partition(self.settings.kafka_bootstrap, partition) as reader:
            async for records in reader.read(reader.first, reader.end):
                out += records
        return out

    def entries(self) -> list[Any]:
        """Return blocks and decisions of the tallies log, in order."""
        return [entry_of(record.value) for record in self.records(TALLIES.name)]

    def taken(self) -> list[Block]:
        """Return the blocks that the judge's vector rule lets through; a gap fails."""
        to: dict[Any, int] = {}
        out = []
        for block in self.entries():
            if not isinstance(block, Block) or block.to_pane <= to.get(block.source, -1):
                continue
            assert block.from_pane == (to[block.source] + PANE_MS if block.source in to else 0), block
            to[block.source] = block.to_pane
            out.append(block)
        return out

    def expected(self, catalogue: Catalogue | None = None) -> dict[tuple[str, int], list[Block]]:
        """Return what a clean pass over the topics gives, by source; without a catalogue with the packaged one."""
        catalogue = catalogue or load()
        found = find_topics(
            self.settings.kafka_bootstrap, [self.settings.topic_prefix + topic.name for topic in SOURCES]
        )
        wanted = [(topic, number) for topic in SOURCES for number in range(topic.partitions)]
        out = {}
        for (topic, number), records in zip(wanted, self._all(wanted), strict=True):
            if records:
                window = topic.repeat_window_ms
                topic_id = found[self.settings.topic_prefix + topic.name].topic_id
                tally = PartitionTally(
                    topic.name, topic_id, number, catalogue, PANE_MS, topic is not ADMITTED,
                    None if window is None else RepeatFilter(window), TallyState(),
                )  # fmt: skip
                out[topic_id, number] = tally.feed(runs_of({0: records})[0])
        return out

    def positions(self) -> dict[tuple[str, int], tuple[int, dict[str, Any]]]:
        """Return committed offset and its meaning by topic and partition."""
        with Positions(self.settings.kafka_bootstrap, self.settings.topic_prefix) as positions:
            found = positions.committed(self.settings.topic_prefix + GROUP_TALLY)
        cut = len(self.settings.topic_prefix)
        return {
            (tp.topic[cut:], tp.partition): (one.offset, msgspec.json.decode(one.metadata)) for tp, one in found.items()
        }


@pytest.fixture
def installation(engines: Endpoints, topic_prefix: str, tmp_path: Path) -> Iterator[Installation]:
    """A fresh installation with all its topics and panes of 1 s; its tallies are killed at the end."""
    apply(engines.kafka_bootstrap, topic_prefix)
    one = Installation(
        settings=Settings(kafka_bootstrap=engines.kafka_bootstrap, topic_prefix=topic_prefix, pane_ms=PANE_MS),
        folder=tmp_path,
    )
    yield one
    for process in one.processes:
        if process.poll() is None:
            process.kill()
        process.wait()
    admin = KafkaAdminClient(bootstrap_servers=engines.kafka_bootstrap)
    admin.delete_topics([topic_prefix + topic.name for topic in TOPICS])
    admin.close()
