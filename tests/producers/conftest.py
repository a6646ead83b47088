"""A real gateway on a real broker for the tests of the edge, and a reader of what it published."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from deploy import topics as topic_admin
from deploy.engines.local import Endpoints
from producers.gateway import Gateway, Server, build_app
from producers.pseudonyms import Pseudonyms, pseudonyms_of
from producers.publisher import TOPICS, Publisher
from schemas.catalogue import Catalogue, load
from schemas.clock import Clock, system_clock
from schemas.codec import decode
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry

KEY = "k-test-1"
SLOW_KEY = "k-test-2"
PSEUDONYM_KEY = "only for tests, 0123456789"


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The packaged catalogue."""
    return load()


@pytest.fixture(scope="session")
def pseudonyms() -> Pseudonyms:
    """Pseudonyms under the key of the tests."""
    return pseudonyms_of(PSEUDONYM_KEY, "FR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One record as a consumer sees it."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    record: dict[str, Any]
    headers: dict[str, bytes]


def _published(topic: str, partition: int, one: Any) -> Published:
    return Published(
        topic=topic,
        partition=partition,
        key=one.key,
        value=one.value,
        record=decode(one.value)[1],
        headers=dict(one.headers),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """The topics of one test module."""

    bootstrap: str
    prefix: str

    def settings(self, **changes: Any) -> Settings:
        """Return settings that reach these topics."""
        base = {
            "kafka_bootstrap": self.bootstrap, "topic_prefix": self.prefix, "write_keys": f"shop:{KEY},other:{SLOW_KEY}",
            "pseudonym_key": PSEUDONYM_KEY, "max_body_bytes": 1_000_000, "max_inflated_bytes": 3_000_000,
        }  # fmt: skip
        return Settings(**(base | changes))

    def published(self) -> list[Published]:
        """Return all records on the topics of the edge."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, check_crcs=True)
        try:
            places = [
                TopicPartition(self.prefix + name, partition)
                for name in TOPICS
                for partition in consumer.partitions_for_topic(self.prefix + name)
            ]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            missing = sum(consumer.end_offsets(places).values())
            out: list[Published] = []
            while len(out) < missing:
                for place, records in consumer.poll(timeout_ms=1000).items():
                    out.extend(
                        _published(place.topic.removeprefix(self.prefix), place.partition, one) for one in records
                    )
            return out
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def broker(engines: Endpoints) -> Iterator[Broker]:
    """Fresh topics on the real broker; deleted afterwards."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    states = topic_admin.apply(engines.kafka_bootstrap, prefix)
    yield Broker(bootstrap=engines.kafka_bootstrap, prefix=prefix)
    admin = KafkaAdminClient(bootstrap_servers=engines.kafka_bootstrap)
    admin.delete_topics([state.name if state.name.startswith(prefix) else prefix + state.name for state in states])
    admin.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A gateway that listens."""

    url: str
    telemetry: Telemetry
    readiness: Readiness


def serve(
    settings: Settings, catalogue: Catalogue, *, wait_ready: bool = True, clock: Clock = system_clock
) -> Iterator[Running]:
    """Run a gateway in a thread with its own event loop, as in production but for the signals and, if given, the clock."""
    telemetry, readiness = Telemetry(), Readiness()
    publisher = Publisher(settings, clock=system_clock, telemetry=telemetry, readiness=readiness)
    gateway = Gateway(
        settings, publisher=publisher, catalogue=catalogue, clock=clock, telemetry=telemetry, readiness=readiness
    )
    address: list[tuple[str, int]] = []
    listening = threading.Event()

    def announce(host: str, port: int) -> None:
        address.append((host, port))
        listening.set()

    server = Server(build_app(gateway), "127.0.0.1", 0, announce)
    publisher.start()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert listening.wait(20)
    if wait_ready:
        publisher.wait_ready(20)
    host, port = address[0]
    yield Running(url=f"http://{host}:{port}", telemetry=telemetry, readiness=readiness)
    server.should_exit = True
    thread.join(20)
    publisher.close()


@pytest.fixture(scope="module")
def gateway(broker: Broker, catalogue: Catalogue) -> Iterator[Running]:
    """A gateway on the module's topics."""
    yield from serve(broker.settings(), catalogue)
