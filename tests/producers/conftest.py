"""A real gateway on a real broker for the tests of the edge, and a reader of what it published."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from deploy import topics as topic_admin
from deploy.engines.local import Endpoints
from producers.gateway import Gateway, Server, build_app
from producers.pseudonyms import Pseudonyms, pseudonyms_of
from producers.publisher import TOPICS, Publisher
from producers.sealer import sealer_of
from producers.spooling import open_spooling
from schemas.catalogue import Catalogue, load
from schemas.clock import Clock, system_clock
from schemas.codec import decode
from schemas.keyring import Keyring
from schemas.readiness import Readiness
from schemas.sealing import open_content, open_raw, raw_key_id
from schemas.settings import Settings, keyring_path
from schemas.telemetry import Telemetry
from schemas.topics import LEDGER

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


def _opened(record: dict[str, Any], keyring: Keyring) -> dict[str, Any]:
    """Return a record with what the edge sealed in it opened, as the sink and `rejected show` do."""
    key_id = record.get("data_key_id") or (raw_key_id(record["raw"]) if "raw" in record else None)
    if key_id is None:
        return record
    key = keyring.key(key_id)
    assert key is not None
    if "raw" in record:
        return record | {"raw": open_raw(key, record["raw"], record["rejected_id"])}
    content = open_content(key, record["text_ciphertext"], record["event_id"])
    return record | {"text": content.text, "attributes": record["attributes"] | content.attributes}


def _published(topic: str, partition: int, one: Any, keyring: Keyring) -> Published:
    return Published(
        topic=topic,
        partition=partition,
        key=one.key,
        value=one.value,
        record=_opened(decode(one.value)[1], keyring),
        headers=dict(one.headers),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """The topics of one test module."""

    bootstrap: str
    prefix: str
    folder: Path

    def settings(self, **changes: Any) -> Settings:
        """Return settings that reach these topics."""
        base = {
            "kafka_bootstrap": self.bootstrap, "topic_prefix": self.prefix, "write_keys": f"shop:{KEY},other:{SLOW_KEY}",
            "pseudonym_key": PSEUDONYM_KEY, "data_dir": str(self.folder), "max_body_bytes": 1_000_000, "max_inflated_bytes": 3_000_000,
        }  # fmt: skip
        return Settings(**(base | changes))

    def published(self) -> list[Published]:
        """Return all events and rejections on the topics of the edge, opened; `value` as it stands there."""
        keyring = Keyring(keyring_path(self.settings()), clock=system_clock)
        return [
            _published(place.topic.removeprefix(self.prefix), place.partition, one, keyring)
            for place, one in self._records([name for name in TOPICS if name != LEDGER.name])
        ]

    def values(self, topic: str) -> list[bytes]:
        """Return the values of all records of a topic as they stand there."""
        return [one.value for _, one in self._records([topic])]

    def _records(self, topics: Sequence[str]) -> Iterator[tuple[TopicPartition, Any]]:
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, check_crcs=True)
        try:
            places = [
                TopicPartition(self.prefix + name, partition)
                for name in topics
                for partition in consumer.partitions_for_topic(self.prefix + name)
            ]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            missing = sum(consumer.end_offsets(places).values())
            while missing:
                for place, records in consumer.poll(timeout_ms=1000).items():
                    missing -= len(records)
                    for one in records:
                        yield place, one
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def broker(engines: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Fresh topics on the real broker; deleted afterwards."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    states = topic_admin.apply(engines.kafka_bootstrap, prefix)
    folder = tmp_path_factory.mktemp("edge")
    yield Broker(bootstrap=engines.kafka_bootstrap, prefix=prefix, folder=folder)
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
    settings: Settings,
    catalogue: Catalogue,
    *,
    wait_ready: bool = True,
    clock: Clock = system_clock,
    spool: bool = False,
    publisher_type: type[Publisher] = Publisher,
) -> Iterator[Running]:
    """Run a gateway in a thread with its own event loop, as in production but for the signals and, if given, the clock.

    `spool`: with the spool of the data folder; an unexpected error of its way out fails the test at the end.
    """
    telemetry, readiness = Telemetry(), Readiness()
    publisher = publisher_type(settings, clock=system_clock, telemetry=telemetry, readiness=readiness)
    failures: list[BaseException] = []
    spooling = None
    if spool:
        spooling = open_spooling(settings, publisher, clock=clock, telemetry=telemetry, failed=failures.append)
    gateway = Gateway(
        settings, publisher=publisher, spooling=spooling, catalogue=catalogue, sealer=sealer_of(settings, catalogue, clock), clock=clock,
        telemetry=telemetry, readiness=readiness,
    )  # fmt: skip
    address: list[tuple[str, int]] = []
    listening = threading.Event()

    def announce(host: str, port: int) -> None:
        address.append((host, port))
        listening.set()

    server = Server(build_app(gateway), "127.0.0.1", 0, announce)
    publisher.start()
    if spooling is not None:
        spooling.start()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert listening.wait(20)
    if wait_ready:
        publisher.wait_ready(20)
    host, port = address[0]
    yield Running(url=f"http://{host}:{port}", telemetry=telemetry, readiness=readiness)
    server.should_exit = True
    thread.join(20)
    if spooling is not None:
        spooling.close()
    publisher.close()
    assert failures == []


@pytest.fixture(scope="module")
def gateway(broker: Broker, catalogue: Catalogue) -> Iterator[Running]:
    """A gateway on the module's topics."""
    yield from serve(broker.settings(), catalogue)
