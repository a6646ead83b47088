"""An installation of its own for each test on the session's real broker, and logs to judge."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from kafka import KafkaProducer
from kafka import TopicPartition as KafkaPartition
from kafka.admin import KafkaAdminClient

from deploy.engines.local import Endpoints
from deploy.positions import Positions
from deploy.topics import apply
from schemas import blocks
from schemas.blocks import EMPTY, Block, Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue, load
from schemas.codec import Kind, decode, encode
from schemas.outputs import Decision, DecisionKind, Output, decision_to_record
from schemas.rules import IMMEDIATE
from schemas.settings import Settings, to_environ
from schemas.topics import ADMITTED, ALARMS, GROUP_JUDGE, READINGS, SOURCES, TALLIES, TOPICS
from schemas.windows import DAY_MS, MINUTE_MS
from streams.core.judge import Judge
from streams.ranges import open_partition
from streams.tallies_log import entry_of, sources_body, sources_decision
from streams.topic_ids import find_topics

PANE_MS = 1000
START = 1_793_000_000_000
"""A pane end; 2026-10-26."""
SHOPS = ("paris", "lyon", "lille")
Entry = tuple[bytes, bytes]
CODE = """
import logging, os, sys
from schemas.readiness import Readiness
from schemas.settings import load
from schemas.telemetry import Telemetry
from streams.judging import run_judge
from streams.tallying import run_tally
logging.basicConfig(level=logging.INFO)
run = {"judge": run_judge, "tally": run_tally}[sys.argv[1]]
code = run(load(os.environ), Telemetry(), Readiness())
sys.stderr.flush()
os._exit(code)
"""


@pytest.fixture
def settings(engines: Endpoints, topic_prefix: str) -> Iterator[Settings]:
    """Settings of a fresh installation with all its topics; panes of 1 s, renewals only by command."""
    apply(engines.kafka_bootstrap, topic_prefix)
    yield Settings(
        kafka_bootstrap=engines.kafka_bootstrap, topic_prefix=topic_prefix, pane_ms=PANE_MS, provisional_step_ms=10_000,
        renew_every_s=0,
    )  # fmt: skip
    admin = KafkaAdminClient(bootstrap_servers=engines.kafka_bootstrap)
    admin.delete_topics([topic_prefix + topic.name for topic in TOPICS])
    admin.close()


def _answers(dice: random.Random, catalogue: Catalogue, channel: str, pane: int, bad: float) -> Iterator[Row]:
    metric = catalogue.named("csat").identity
    for shop in SHOPS:
        for _ in range(dice.randrange(16)):
            score = dice.choice((1, 2, 3)) if dice.random() < (bad if shop == "paris" else 0.1) else dice.choice((4, 5))
            minute = (pane - dice.randrange(1, 4 * MINUTE_MS)) // MINUTE_MS
            for dimension, key in (("*", "*"), ("channel", channel), ("touchpoint", shop)):
                yield Row(Series(metric, dimension, key, channel), minute, score, 1, 1, score)


def _past(dice: random.Random, catalogue: Catalogue) -> Iterator[Row]:
    metric = catalogue.named("csat").identity
    for shop in SHOPS:
        for _ in range(400):
            minute = (START - dice.randrange(9 * DAY_MS, 30 * DAY_MS)) // MINUTE_MS
            score = 2 if dice.random() < 0.1 else 5
            yield Row(Series(metric, "touchpoint", shop, "card"), minute, score, 0, 1, score)


def make_log(body: dict[str, Any], catalogue: Catalogue, *, panes: int, seed: int) -> list[Entry]:
    """Return a log of blocks and decisions: all sources interleaved, quiet runs, blocks published twice, a drop at one shop."""
    dice = random.Random(seed)
    out: list[Entry] = []

    def block(source: tuple[str, str, int], from_pane: int, to_pane: int, cells: Cells) -> Entry:
        topic, topic_id, partition = source
        one = Block(
            topic=topic, topic_id=topic_id, partition=partition, from_pane=from_pane, to_pane=to_pane, pane_ms=PANE_MS,
            arrived_ms=to_pane - 1, next_offset=to_pane // PANE_MS, catalogue_hash=catalogue.hash, cells=cells,
        )  # fmt: skip
        return f"{topic_id}-{partition}".encode(), encode(Kind.BLOCK, blocks.to_record(one))

    def decision(kind: DecisionKind, **fields: Any) -> None:
        one = Decision(decision_id=f"{kind}-{len(out)}", kind=kind, author="test", made_at=START, body=fields)
        out.append((kind.encode(), encode(Kind.DECISION, decision_to_record(one))))

    sources = [tuple(one) for one in body["sources"]]
    to: dict[Any, int] = {}
    for source in sources:
        to[source] = START + dice.randrange(3) * PANE_MS
        past = source[0] == ADMITTED.name and source[2] == 0
        out.append(block(source, 0, to[source], cells_of(_past(dice, catalogue)) if past else EMPTY))
    dice.shuffle(out)
    end = START + panes * PANE_MS
    while min(to.values()) < end:
        source = dice.choice([one for one in sources if to[one] <= min(to.values()) + 3 * PANE_MS])
        pane = to[source] + PANE_MS * dice.choice((1, 1, 1, 2, 4))
        if pane > to[source] + PANE_MS:
            out.append(block(source, to[source] + PANE_MS, pane - PANE_MS, EMPTY))
        bad = 0.7 if pane > START + panes * PANE_MS // 2 else 0.1
        live = source[0] != ADMITTED.name and dice.random() < 0.5
        channel = source[0].split(".")[1]
        cells = cells_of(_answers(dice, catalogue, channel, pane, bad)) if live and channel == "card" else EMPTY
        out.append(block(source, pane, pane, cells))
        if dice.random() < 0.05:
            out.append(out[-1])
        if min(to.values()) < START + 10 * PANE_MS <= min({**to, source: pane}.values()):
            for rule in catalogue.alarm:
                if rule.kind not in IMMEDIATE:
                    decision(DecisionKind.ARM, rule=rule.name, definition_hash=rule.definition_hash, backtest={})
        to[source] = pane
    decision(DecisionKind.RESOLVE, alarm_id="unknown")
    return out


@dataclass
class Installation:
    """One installation with its judge processes."""

    settings: Settings
    catalogue: Catalogue
    folder: Path
    body: dict[str, Any]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> TopicPartition:
        return TopicPartition(self.settings.topic_prefix + TALLIES.name, 0)

    def start(self, stage: str = "judge", **changes: Any) -> subprocess.Popen[bytes]:
        """Start a judge or a tally; `changes` to the settings."""
        settings = msgspec.structs.replace(self.settings, **changes)
        environ = {name: value for name, value in to_environ(settings).items() if value}
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", CODE, stage], env={**os.environ, **environ}, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """Return what a judge has logged."""
        return (self.folder / f"{self.processes.index(process)}.log").read_text()

    def append(self, entries: list[Entry], *, pause_s: float = 0.0, every: int = 50) -> int:
        """Append entries to the log, with a pause after some; return the offset behind the last."""
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka_bootstrap, acks="all", enable_idempotence=True)
        sent = []
        for number, (key, value) in enumerate(entries):
            sent.append(producer.send(self.log.topic, key=key, value=value))
            if pause_s and number % every == 0:
                producer.flush()
                time.sleep(pause_s)  # the load: so many records a second
        producer.flush()
        end = int(sent[-1].get(10).offset) + 1
        producer.close()
        return end

    def end(self) -> int:
        """Return the end of the tallies log."""
        with Positions(self.settings.kafka_bootstrap, self.settings.topic_prefix) as positions:
            return positions.ends([TALLIES])[TALLIES.name, 0]

    def position(self) -> tuple[int, dict[str, Any]]:
        """Return the judge's committed offset and what it says."""
        with Positions(self.settings.kafka_bootstrap, self.settings.topic_prefix) as positions:
            one = positions.of(GROUP_JUDGE)[0]
            return one.offset, one.metadata

    def wait(self, reached: Callable[[int], bool], process: subprocess.Popen[bytes], timeout_s: float = 150) -> None:
        """Wait until the judge's position has reached something, or its process has ended."""
        deadline = time.monotonic() + timeout_s
        with Positions(self.settings.kafka_bootstrap, self.settings.topic_prefix) as positions:
            while process.poll() is None and not reached(positions.of(GROUP_JUDGE)[0].offset):
                assert time.monotonic() < deadline, self.said(process)
                time.sleep(0.05)

    async def _read(self, name: str, partitions: int) -> list[bytes | None]:
        out: list[bytes | None] = []
        for number in range(partitions):
            partition = TopicPartition(self.settings.topic_prefix + name, number)
            async with open_partition(self.settings.kafka_bootstrap, partition) as reader:
                async for records in reader.read(reader.first, reader.end):
                    out += [record.value for record in records]
        return out

    def outputs(self) -> list[tuple[int, Kind, dict[str, Any]]]:
        """Return all committed outputs by sequence number."""
        values = asyncio.run(self._read(READINGS.name, READINGS.partitions)) + asyncio.run(self._read(ALARMS.name, 1))
        decoded = [decode(value) for value in values]
        return sorted(((record["seq"], kind, record) for kind, record in decoded), key=lambda one: one[0])

    def expected(self, entries: list[Entry] | None = None) -> list[Output]:
        """Return what a judge without a broker says to the log as it stands, or to the sources record and `entries`."""
        judge = Judge(self.catalogue, pane_ms=PANE_MS, provisional_step_ms=self.settings.provisional_step_ms)
        out: list[Output] = []
        if entries is None:
            log = [entry_of(value) for value in asyncio.run(self._read(TALLIES.name, 1))]
        else:
            log = [sources_decision(self.body, 0), *(entry_of(value) for _, value in entries)]
        for entry in log:
            out += judge.feed(entry)
        return out

    def stop(self, process: subprocess.Popen[bytes], *, saves: bool = True) -> None:
        """End a stage as an operator does, and wait until the state that a judge leaves behind shows in its position."""
        process.terminate()
        assert process.wait(20) == 0, self.said(process)
        deadline = time.monotonic() + 20
        while saves and not self.position()[1].get("snapshot"):
            assert time.monotonic() < deadline, self.said(process)
            time.sleep(0.05)

    def forget_log_before(self, offset: int) -> None:
        """Let the broker drop the begin of the log, as retention does."""
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap)
        admin.delete_records({KafkaPartition(*self.log): offset})
        admin.close()

    def recreate_log(self) -> None:
        """Delete the log and create it again under its name."""
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka_bootstrap)
        admin.delete_topics([self.log.topic])
        admin.close()
        apply(self.settings.kafka_bootstrap, self.settings.topic_prefix)


@pytest.fixture
def installation(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    """A fresh installation; its judges are killed at the end."""
    catalogue = load()
    found = find_topics(settings.kafka_bootstrap, [settings.topic_prefix + topic.name for topic in SOURCES])
    one = Installation(
        settings=settings, catalogue=catalogue, folder=tmp_path, body=sources_body(found, settings, catalogue.hash)
    )
    yield one
    for process in one.processes:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="session")
def log_maker() -> Callable[..., list[Entry]]:
    """`make_log`, for tests."""
    return make_log
