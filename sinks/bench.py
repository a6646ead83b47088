"""How fast the sink is: Avro on the topic in, rows in ClickHouse out, beside the driver's own insert of the same columns."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from clickhouse_driver import Client
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from schemas.arrival import sent_header
from schemas.broker import reaching
from schemas.bulk import decode_events
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, encode
from schemas.event import Answer, Channel, FeedbackEvent, to_record
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import EVENT_TOPICS, LIVE
from sinks.clickhouse import connect
from sinks.migrate import migrate
from sinks.rows import Place, event_rows, place_columns
from sinks.sinking import run_sink
from sinks.storing import SETTINGS, columns_statement

EVENTS = 200_000
BATCH = 20_000
TEXT = "Very friendly staff, but the queue was too long on Saturday. "


def sample_events(count: int, now_ms: int) -> list[bytes]:
    """Return the wire bytes of distinct card events, half of them with text."""
    channel, shops = Channel.CARD, ("paris", "lyon", "lille", "nantes", "geneve")
    return [
        encode(
            Kind.EVENT,
            to_record(
                FeedbackEvent(
                    event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(i))), channel=channel, kind="rating",
                    source="bench/1", subject=f"{i % 5000:032x}", touchpoint=shops[i % 5], occurred_at=now_ms - i % 3_600_000,
                    received_at=now_ms, text=TEXT if i % 2 else None, lang="en" if i % 2 else None,
                    answers=[Answer(question="csat", score=float(1 + i % 5), scale_min=1.0, scale_max=5.0)],
                )
            ),
        )
        for i in range(count)
    ]  # fmt: skip


def bench_sink(settings: Settings, *, events: int = EVENTS, clock: Clock = system_clock) -> dict[str, float]:
    """Return events per CPU-second (of this process) and per second of wall time, through the sink and by the driver alone.

    The driver inserts the same columns, made beforehand, in batches of the same size; `ratio` is sink by driver, in CPU.
    It runs on the Kafka and ClickHouse of the settings, under names of its own that are removed afterwards.
    """
    values = sample_events(events, clock())
    with _place(settings) as own:
        _publish(own, values, clock)
        wall_s, cpu_s = _measured(lambda: asyncio.run(_sink_all(own, events)))
        driver_wall_s, driver_cpu_s = _driver(own, values)
    return {
        "per_cpu_s": events / cpu_s,
        "per_wall_s": events / wall_s,
        "driver_per_cpu_s": events / driver_cpu_s,
        "driver_per_wall_s": events / driver_wall_s,
        "ratio": driver_cpu_s / cpu_s,
        "bytes_per_event": sum(map(len, values)) / events,
    }


def _measured(act: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds (all threads of this process)."""
    wall, cpu = time.monotonic(), time.process_time()
    act()
    return time.monotonic() - wall, time.process_time() - cpu


@contextmanager
def _place(settings: Settings) -> Iterator[Settings]:
    name = f"bench_{uuid.uuid4().hex[:8]}"
    own = msgspec.structs.replace(
        settings, topic_prefix=f"{name}.", clickhouse_database=name, sink_batch_rows=BATCH, kill_point="",
        clickhouse_url=urlunsplit(urlsplit(settings.clickhouse_url)._replace(path="")),
    )  # fmt: skip
    admin = KafkaAdminClient(**reaching(own.kafka_bootstrap))
    topics = [own.topic_prefix + topic.name for topic in EVENT_TOPICS]
    try:
        admin.create_topics([
            NewTopic(
                name=own.topic_prefix + topic.name, num_partitions=topic.partitions, replication_factor=1,
                topic_configs={"message.timestamp.type": "LogAppendTime"},
            )
            for topic in EVENT_TOPICS
        ])  # fmt: skip
        migrate(own)
        yield own
    finally:
        admin.delete_topics(topics)
        admin.close()
        with connect(own, database="default") as client:
            client.execute(f"DROP DATABASE IF EXISTS `{own.clickhouse_database}` SYNC")


def _publish(settings: Settings, values: Sequence[bytes], clock: Clock) -> None:
    topic = LIVE[Channel.CARD]
    producer = KafkaProducer(**reaching(settings.kafka_bootstrap), acks="all", linger_ms=20, compression_type="lz4")
    for i, value in enumerate(values):
        producer.send(
            settings.topic_prefix + topic.name, value=value, key=b"k", partition=i % topic.partitions,
            headers=[sent_header(clock())],
        )  # fmt: skip
    producer.flush()
    producer.close()


async def _sink_all(settings: Settings, events: int) -> None:
    stop = asyncio.Event()
    telemetry = Telemetry()
    task = asyncio.create_task(run_sink(settings, telemetry, Readiness(), ["feedback_events"], stop=stop))
    labels = {"table": "feedback_events"}
    while (telemetry.registry.get_sample_value("barometer_inserted_rows_total", labels) or 0) < events:
        if task.done():
            await task
        await asyncio.sleep(0.02)
    stop.set()
    await task


def _driver(settings: Settings, values: Sequence[bytes]) -> tuple[float, float]:
    """Return wall and CPU seconds of inserting the same columns, made beforehand."""
    batches = []
    for start in range(0, len(values), BATCH):
        part = values[start : start + BATCH]
        places = [Place("feedback.card.v1", "bench", 0, start + i, system_clock()) for i in range(len(part))]
        batches.append(event_rows(decode_events(part).events, place_columns(places)))
    wall_s = cpu_s = 0.0
    client: Client = connect(settings)
    with client:
        client.execute("SELECT 1")
        for i, rows in enumerate(batches):
            statement, columns = columns_statement("feedback_events", rows)

            def insert(statement: str = statement, columns: list[Any] = columns, i: int = i) -> None:
                own = {**SETTINGS, "insert_deduplication_token": f"bench:{i}"}
                client.execute(statement, columns, columnar=True, settings=own)

            wall, cpu = _measured(insert)
            wall_s, cpu_s = wall_s + wall, cpu_s + cpu
    return wall_s, cpu_s
