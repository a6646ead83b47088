"""Follow alarms as they come: the committed records of the two alarm topics, each transition once."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.broker import reaching
from schemas.codec import Kind, decode_as
from schemas.errors import UnavailableError, UndecodableError
from schemas.outputs import AlarmTransition
from schemas.settings import Settings
from schemas.topics import ALARMS, IMMEDIATE

POLL_MS = 500
REMEMBERED = 10_000
"""Ids of transitions by which a record that was published again is known."""


def follow(settings: Settings, *, ready: Callable[[], None], go_on: Callable[[], bool]) -> Iterator[AlarmTransition]:
    """Yield the transitions that are committed from now on; `ready` is called once nothing can be missed any more.

    Ends when `go_on` says so, asked twice a second. Raises UnavailableError.
    """
    told: OrderedDict[str, None] = OrderedDict()
    try:
        consumer = KafkaConsumer(
            **reaching(settings.kafka_bootstrap), isolation_level="read_committed", enable_auto_commit=False,
            auto_offset_reset="none",
        )  # fmt: skip
        try:
            consumer.assign([
                TopicPartition(settings.topic_prefix + topic.name, partition)
                for topic in (ALARMS, IMMEDIATE)
                for partition in range(topic.partitions)
            ])  # fmt: skip
            consumer.seek_to_end()
            for partition in consumer.assignment():
                consumer.position(partition)
            ready()
            while go_on():
                for records in consumer.poll(timeout_ms=POLL_MS).values():
                    for record in records:
                        found = _transition(record.value)
                        if found is None or found.transition_id in told:
                            continue
                        told[found.transition_id] = None
                        if len(told) > REMEMBERED:
                            told.popitem(last=False)
                        yield found
        finally:
            consumer.close()
    except KafkaError as error:
        raise UnavailableError("kafka_unavailable", f"the alarm topics cannot be read: {error!r}") from error


def _transition(value: bytes | None) -> AlarmTransition | None:
    """Return the transition of a record, None for one that is none of ours: the sink writes those down."""
    try:
        record: dict[str, Any] = decode_as(Kind.TRANSITION, value)
    except UndecodableError:
        return None
    return msgspec.convert(record, AlarmTransition)
