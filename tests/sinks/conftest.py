"""Topics, tables and a sink process of their own for each test, on the session's real engines."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from deploy import topics
from deploy.engines.local import Endpoints
from schemas.arrival import TICK_KEY, sent_header
from schemas.clock import system_clock
from schemas.codec import Kind, encode
from schemas.event import Answer, Channel, FeedbackEvent, to_record
from schemas.settings import Settings, to_environ
from schemas.topics import LIVE, TOPICS, Topic, sink_group
from sinks.clickhouse import connect
from sinks.migrate import migrate

ROOT = Path(__file__).parents[2]
RUN = {
    "sink": "from sinks.sinking import run_sink as run",
    "gate": "from sinks.gate import run_gate as run",
}
PROCESS = """
import asyncio, os, sys
from schemas.readiness import Readiness
from schemas.settings import load
from schemas.telemetry import Telemetry
{what}
asyncio.run(run(load(os.environ), Telemetry(), Readiness(){tables}))
"""


@dataclass
class Stand:
    """One test's installation: `settings`, a producer, the tables, and processes that are killed at the end."""

    settings: Settings
    admin: KafkaAdminClient
    producer: KafkaProducer
    client: Client
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def name(self, topic: Topic) -> str:
        """Return the topic's name in this installation."""
        return self.settings.topic_prefix + topic.name

    def publish(self, topic: Topic, value: bytes | None, *, key: bytes = b"k", partition: int | None = None) -> None:
        """Hand a record to the producer; `settle` waits for all."""
        self.producer.send(
            self.name(topic), value=value, key=key, partition=partition, headers=[sent_header(system_clock())]
        )

    def settle(self) -> None:
        """Wait until everything published is acknowledged."""
        self.producer.flush()

    def tick(self, topic: Topic) -> None:
        """Append a tick to each partition."""
        for partition in range(topic.partitions):
            self.publish(topic, None, key=TICK_KEY, partition=partition)

    def start(self, what: str, *tables: str, **changes: str) -> subprocess.Popen[bytes]:
        """Start a sink or gate process."""
        environ = {**os.environ, **to_environ(self.settings)}
        environ |= {f"BAROMETER_{name.upper()}": value for name, value in changes.items()}
        environ.pop("BAROMETER_TEST_ENGINES", None)
        script = PROCESS.format(what=RUN[what], tables=f", {tables!r}" if tables else "")
        process = subprocess.Popen([sys.executable, "-c", script], env=environ, cwd=ROOT)
        self.running.append(process)
        return process

    def committed(self, table: str, topic: Topic) -> dict[int, tuple[int, str]]:
        """Return partition -> committed offset and metadata of a sink."""
        group = self.settings.topic_prefix + sink_group(table)
        found = self.admin.list_group_offsets(group).get(group, {})
        return {
            tp.partition: (one.offset, one.metadata)
            for tp, one in found.items()
            if tp.topic == self.name(topic) and one.offset >= 0
        }

    def ends(self, topic: Topic) -> dict[int, int]:
        """Return partition -> end offset."""
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap)
        try:
            found = consumer.end_offsets([TopicPartition(self.name(topic), p) for p in range(topic.partitions)])
        finally:
            consumer.close()
        return {tp.partition: end for tp, end in found.items()}

    def caught_up(self, table: str = "feedback_events", topic: Topic = LIVE[Channel.CARD]) -> bool:
        """Return whether a sink has committed the end of every partition that holds records, nothing pending."""
        done = self.committed(table, topic)
        return all(
            end == 0 or (p in done and done[p][0] == end and "pending" not in json.loads(done[p][1]))
            for p, end in self.ends(topic).items()
        )

    def count(self, what: str) -> Any:
        """Return the answer to SELECT `what`."""
        return self.client.execute(f"SELECT {what}")[0][0]


def wait_for(reached: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Return as soon as `reached` is true; fail after `timeout_s`."""
    limit = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < limit, "not reached in time"
        time.sleep(0.05)


@pytest.fixture
def stand(engines: Endpoints, topic_prefix: str, clickhouse_database: str, tmp_path: Path) -> Iterator[Stand]:
    """Migrated tables and all topics of the table, emptied away afterwards."""
    host, port = engines.clickhouse_native
    settings = Settings(
        kafka_bootstrap=engines.kafka_bootstrap,
        clickhouse_url=f"clickhouse://default@{host}:{port}",
        clickhouse_database=clickhouse_database,
        topic_prefix=topic_prefix,
        data_dir=str(tmp_path),
        sink_flush_s=0.2,
    )
    migrate(settings)
    admin = KafkaAdminClient(bootstrap_servers=engines.kafka_bootstrap)
    names = [topic_prefix + topic.name for topic in TOPICS]
    topics.apply(engines.kafka_bootstrap, topic_prefix)
    producer = KafkaProducer(bootstrap_servers=engines.kafka_bootstrap, acks="all", linger_ms=5)
    one = Stand(settings, admin, producer, connect(settings))
    try:
        yield one
    finally:
        for process in one.running:
            process.kill()
            process.wait()
        producer.close()
        one.client.disconnect()
        admin.delete_topics(names)
        admin.close()


def event(number: int, *, channel: Channel = Channel.CARD, event_id: str | None = None, **more: Any) -> FeedbackEvent:
    """Return a distinct event."""
    now = system_clock()
    fields: dict[str, Any] = {
        "event_id": event_id or str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number}")),
        "channel": channel, "kind": "rating", "source": "test/1", "touchpoint": ("paris", "lyon")[number % 2],
        "occurred_at": now - 1000, "received_at": now, "text": f"note {number}",
        "answers": [Answer(question="csat", score=float(1 + number % 5), scale_min=1.0, scale_max=5.0)],
    }  # fmt: skip
    return FeedbackEvent(**{**fields, **more})


def wire(one: FeedbackEvent) -> bytes:
    """Return the bytes of an event on a topic."""
    return encode(Kind.EVENT, to_record(one))


def publish_events(stand: Stand, topic: Topic, events: Sequence[FeedbackEvent]) -> None:
    """Publish events and wait for the acknowledgements."""
    for one in events:
        stand.publish(topic, wire(one), key=one.key)
    stand.settle()


def tick_all(stand: Stand) -> None:
    """Let time pass in every live partition."""
    for topic in LIVE.values():
        stand.tick(topic)
    stand.settle()
