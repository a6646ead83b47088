"""Publish records to Kafka and say when they are durable: acknowledged by all in-sync replicas.

A producer that fails is replaced, never repaired: after an unanswered request its state is in doubt. Until a new one stands,
publishing fails at once, so that clients are told to come again instead of waiting.
"""

import asyncio
import logging
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from uuid import uuid4

import msgspec
import structlog
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from producers.flight import Flight, Sent, Settled, tell
from producers.ledger import Acknowledged
from producers.partitioning import partition_of
from schemas.arrival import sent_header
from schemas.broker import broker_of, reaching
from schemas.clock import Clock
from schemas.errors import SettingsError, UnavailableError
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import HISTORY, LEDGER, LIVE, REJECTED

CHECK = "kafka"
LINGER_MS = 5
BATCH_BYTES = 256 * 1024
MAX_UNANSWERED_BYTES = 128 * 1024 * 1024
PROBE_S = 2.0
RETRY_S = 0.5
_SLACK_S = 1.0
TOPICS = tuple(topic.name for topic in (*LIVE.values(), HISTORY, REJECTED, LEDGER))
"""What the edge writes to."""
log = structlog.get_logger("producers.publisher")


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record; `topic` without the installation's prefix."""

    topic: str
    key: bytes
    value: bytes


class Publisher:
    """Idempotent producer with acks=all; safe to use from one event loop or from several threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        telemetry: Telemetry,
        readiness: Readiness,
        topics: Sequence[str] = TOPICS,
    ) -> None:
        if not settings.kafka_bootstrap:
            raise SettingsError("no_kafka", "no Kafka is named", "set BAROMETER_KAFKA_BOOTSTRAP to host:port")
        self._settings = settings
        self._clock = clock
        self._telemetry = telemetry
        self._readiness = readiness
        self._names = {name: settings.topic_prefix + name for name in topics}
        self._partitions: dict[str, int] = {}
        self._topic_ids: dict[str, str] = {}
        self._acknowledged = Acknowledged(f"{settings.topic_prefix}{clock()}-{uuid4().hex[:12]}", settings.topic_prefix)
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()
        self._unanswered_bytes = 0
        self._stopping = False
        self._wake = threading.Event()
        self._ready = threading.Event()
        self.longest_wait_s = settings.publish_timeout_s + _SLACK_S
        """How long `publish` and `wait` wait for acknowledgements."""
        self.doubted = False
        """Whether the broker did not answer the last probe, while the producer still waits for its answers."""
        self.tried = False
        """Whether a first attempt to connect has ended, well or badly."""
        self._watcher = threading.Thread(target=self._watch, name="publisher-watch", daemon=True)
        readiness.fail(CHECK, "not yet connected")

    def start(self) -> None:
        """Begin to connect in the background; publishing fails until readiness says otherwise."""
        # At debug level the client writes keys and values of every record into the log.
        logging.getLogger("kafka").setLevel(max(logging.INFO, logging.getLogger("kafka").level))
        self._watcher.start()

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until records can be published. Raises UnavailableError that names what is wrong."""
        if not self._ready.wait(timeout_s):
            why = self._readiness.failing().get(CHECK, "not connected")
            raise UnavailableError("kafka_unavailable", why, "start Kafka and run `barometer topics apply`")

    def close(self, timeout_s: float = 5.0) -> None:
        """Wait for what is on its way, then disconnect."""
        self._stopping = True
        self._wake.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout_s)
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            try:
                self._say(producer)
            except KafkaError as error:  # the ledger's counts of an edge are a lower bound, and say so
                log.warning("the last counts were not published", error=type(error).__name__)
            _close(producer, timeout_s)

    def submit(self, records: Sequence[Record], settled: Settled = lambda _: None) -> Flight:
        """Send records and return their flight. Raises UnavailableError, having sent nothing, if there is no connection.

        Records of one key keep their order. Any error of the flight means: perhaps stored, send the same ids again.
        """
        producer = self._producer
        if producer is None:
            why = self._readiness.failing().get(CHECK, "the connection was lost")
            raise UnavailableError("kafka_unavailable", why, "send again later")
        size = sum(len(record.value) for record in records)
        with self._lock:
            if self._unanswered_bytes > MAX_UNANSWERED_BYTES:
                raise UnavailableError(
                    "overloaded", "too much waits for the broker's acknowledgement", "send again later"
                )
            self._unanswered_bytes += size
        headers = [sent_header(self._clock())]
        began = perf_counter()
        names, partitions = self._names, self._partitions
        counts = Counter([record.topic for record in records])

        def answered(error: BaseException | None) -> None:
            with self._lock:
                self._unanswered_bytes -= size
            if error is None:
                self._acknowledged.add(sent)
                for topic, count in counts.items():
                    self._telemetry.count("published_total", count, topic=topic)
                self._telemetry.observe("publish_seconds", perf_counter() - began)
            else:
                self._lost(producer, error)
            settled(error)

        try:
            sent: list[Sent] = [
                producer.send(
                    names[record.topic],
                    record.value,
                    record.key,
                    headers,
                    partition_of(record.key, partitions[record.topic]),
                )
                for record in records
            ]
        except KafkaError as error:
            answered(error)
            raise UnavailableError("kafka_unavailable", str(error), "send again later") from error
        return Flight(sent, answered, lambda: self._lost(producer, TimeoutError("no acknowledgement in time")))

    def wait(self, flight: Flight) -> None:
        """Wait until all records of a flight are durable. Raises UnavailableError."""
        if not flight.wait(self.longest_wait_s):
            flight.give_up()
            raise _unanswered(None)
        if flight.error is not None:
            raise _unanswered(flight.error) from flight.error

    def publish_blocking(self, records: Sequence[Record]) -> None:
        """Send records and wait until all are durable. Raises UnavailableError."""
        self.wait(self.submit(records))

    async def publish(self, records: Sequence[Record]) -> None:
        """Send records and wait, without blocking the event loop, until all are durable. Raises UnavailableError."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[BaseException | None] = loop.create_future()
        flight = self.submit(records, lambda error: tell(loop, waiter, error))
        try:
            async with asyncio.timeout(self.longest_wait_s):
                error = await waiter
        except TimeoutError as late:
            flight.give_up()  # seen: a client that never again asked for anything after a broker had gone and come
            raise _unanswered(None) from late
        if error is not None:
            raise _unanswered(error) from error

    def _lost(self, producer: KafkaProducer, error: BaseException) -> None:
        with self._lock:
            if self._producer is not producer:
                return
            self._producer = None
        self._ready.clear()
        self._readiness.fail(CHECK, f"publishing failed: {type(error).__name__}")
        log.error("publisher lost its producer", error=type(error).__name__)
        # Not here: this may be the producer's own thread, and it must answer all other flights first.
        threading.Thread(target=_close, args=(producer, 0.0), name="publisher-close", daemon=True).start()
        self._wake.set()

    def _watch(self) -> None:
        """Keep one producer connected and readiness truthful until closed."""
        admin: KafkaAdminClient | None = None
        while not self._stopping:
            try:
                if admin is None:
                    # Asked first, because a client that finds no broker leaves a thread behind.
                    _reach(self._settings.kafka_bootstrap)
                    admin = KafkaAdminClient(
                        **reaching(self._settings.kafka_bootstrap), client_id="barometer-publisher-probe",
                        request_timeout_ms=5_000, bootstrap_timeout_ms=5_000,
                    )  # fmt: skip
                described = admin.describe_topics(sorted(self._names.values()))
                missing = sorted(topic["name"] for topic in described if topic["error_code"])
                self._topic_ids = {topic["name"]: str(topic["topic_id"]) for topic in described}
                if missing:
                    self._fail(f"missing topics: {', '.join(missing)}; run `barometer topics apply`")
                else:
                    if self._producer is None:
                        self._connect()
                    self.doubted = False
                    self._readiness.ok(CHECK)
                    self._ready.set()
                    if self._producer is not None:
                        self._say(self._producer)
            except (KafkaError, OSError, ValueError) as error:
                self._fail(f"{broker_of(self._settings.kafka_bootstrap)}: {error}")
                if admin is not None:
                    _close_admin(admin)
                    admin = None
            self.tried = True
            self._wake.wait(PROBE_S if self._producer is not None else RETRY_S)
            self._wake.clear()
        if admin is not None:
            _close_admin(admin)

    def _say(self, producer: KafkaProducer) -> None:
        """Publish for the ledger what was acknowledged since; what does not get through is said again."""
        for one in self._acknowledged.unsaid(self._topic_ids):
            sent = producer.send(
                self._names[LEDGER.name], one.value, one.key, [sent_header(self._clock())],
                partition_of(one.key, self._partitions[LEDGER.name]),
            )  # fmt: skip
            sent.add_callback(lambda _, seq=one.seq: self._acknowledged.confirm(seq))

    def _fail(self, why: str) -> None:
        self.doubted = True
        if CHECK not in self._readiness.failing():
            log.warning("kafka is not available", why=why)
        self._readiness.fail(CHECK, why)

    def _connect(self) -> None:
        timeout_ms = int(self._settings.publish_timeout_s * 1000)
        producer = KafkaProducer(
            **reaching(self._settings.kafka_bootstrap),
            client_id="barometer-publisher",
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=LINGER_MS,
            batch_size=BATCH_BYTES,
            delivery_timeout_ms=timeout_ms,
            request_timeout_ms=max(1_000, timeout_ms // 2),
            max_block_ms=5_000,
            bootstrap_timeout_ms=5_000,
            reconnect_backoff_max_ms=1_000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        try:
            self._partitions = {name: len(producer.partitions_for(full)) for name, full in self._names.items()}
        except KafkaError:
            _close(producer, 0.0)
            raise
        with self._lock:
            self._producer = producer
        log.info("publisher connected", kafka=str(broker_of(self._settings.kafka_bootstrap)))


def _reach(bootstrap: str) -> None:
    """Raise OSError unless one of the brokers named takes connections."""
    refused = OSError("no broker is named")
    for place in broker_of(bootstrap).servers:
        host, _, port = place.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_S):
                return
        except OSError as error:
            refused = OSError(f"{place}: {error}")
    raise refused


def _unanswered(error: BaseException | None) -> UnavailableError:
    why = "no acknowledgement in time" if error is None else str(error)
    return UnavailableError("not_durable", why, "send the same ids again")


def _close(producer: KafkaProducer, timeout_s: float) -> None:
    try:
        producer.close(timeout=timeout_s)
    except KafkaError as error:  # flush gave up: what was on its way is answered with an error
        log.warning("producer closed with records on their way", error=type(error).__name__)


def _close_admin(admin: KafkaAdminClient) -> None:
    try:
        admin.close()
    except KafkaError as error:
        log.warning("probe closed badly", error=type(error).__name__)
