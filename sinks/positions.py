"""Positions in Kafka: topic ids, committed offsets with their metadata, and readers of fixed ranges."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import NamedTuple, Self, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError as AdminError

from schemas.broker import broker_of, reaching
from schemas.errors import ContractError, UnavailableError

POLL_MS = 200
RETRY_S = 0.5
TRIES = 60
FETCH_WAIT_MS = 50

Fetched: TypeAlias = ConsumerRecord[bytes, bytes]


class Found(NamedTuple):
    """A topic as the broker knows it: its id as UUID text, and the number of partitions."""

    topic_id: str
    partitions: int


class Committed(NamedTuple):
    """A committed offset and what stands beside it."""

    offset: int
    metadata: str


def describe(bootstrap: str, names: Iterable[str]) -> dict[str, Found]:
    """Return topic -> id and partitions; blocks for a round trip.

    Raises ContractError for a topic that does not exist, UnavailableError if no broker answers.
    """
    wanted = sorted(names)
    try:
        admin = KafkaAdminClient(**reaching(bootstrap))
        try:
            described = admin.describe_topics(wanted)
        finally:
            admin.close()
    except AdminError as error:
        raise UnavailableError("kafka_unavailable", f"{broker_of(bootstrap)}: {error}") from error
    found = {
        one["name"]: Found(str(one["topic_id"]), len(one["partitions"])) for one in described if one["error_code"] == 0
    }
    missing = sorted(set(wanted) - found.keys())
    if missing:
        raise ContractError("no_topic", f"no topic {', '.join(missing)}", "run `barometer topics apply`")
    return found


class Positions:
    """Committed offsets of any group, read with their metadata."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    @classmethod
    async def open(cls, bootstrap: str) -> Self:
        """Connect. Raises UnavailableError."""
        admin = AIOKafkaAdminClient(**reaching(bootstrap))
        try:
            await admin.start()
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{broker_of(bootstrap)}: {error!r}") from error
        return cls(admin)

    async def of(self, group: str, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed]:
        """Return the committed offsets of a group; partitions without one are absent. Raises UnavailableError."""
        for left in reversed(range(TRIES)):
            try:
                found = await self._admin.list_consumer_group_offsets(group, partitions=list(partitions))
            except KafkaError as error:  # a broker that has just started has no group coordinator for a moment
                if not left:
                    raise UnavailableError("kafka_unavailable", f"positions of {group}: {error!r}") from error
                await asyncio.sleep(RETRY_S)
            else:
                return {tp: Committed(one.offset, one.metadata) for tp, one in found.items() if one.offset >= 0}
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close the connection."""
        await self._admin.close()


async def committed_of(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, Committed]:
    """Return the committed offsets of the consumer's own group, with the metadata that its public method leaves out."""
    found = await consumer._coordinator.fetch_committed_offsets(list(partitions))
    return {tp: Committed(one.offset, one.metadata) for tp, one in found.items() if one.offset >= 0}


async def open_reader(bootstrap: str) -> AIOKafkaConsumer:
    """Return a consumer without a group that reads committed records and never moves by itself. Raises UnavailableError."""
    reader = AIOKafkaConsumer(
        **reaching(bootstrap),
        isolation_level="read_committed",
        auto_offset_reset="none",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    try:
        await reader.start()
    except KafkaError as error:
        raise UnavailableError("kafka_unavailable", f"{broker_of(bootstrap)}: {error!r}") from error
    await asyncio.sleep(
        0
    )  # a consumer that is stopped before its tasks have begun raises CancelledError (aiokafka 0.14)
    return reader


async def read_ranges(
    reader: AIOKafkaConsumer, ranges: Mapping[TopicPartition, tuple[int, int]]
) -> AsyncIterator[tuple[TopicPartition, list[Fetched]]]:
    """Yield the records of offsets [start, end) of each partition, in lists, partitions mixed.

    Each `end` must be an offset that was once a position, so that the broker holds something at every offset before it.
    """
    left = {tp: end for tp, (start, end) in ranges.items() if start < end}
    reader.assign(list(left))
    for tp in left:
        reader.seek(tp, ranges[tp][0])
    while left:
        for tp, records in (await fetch(reader)).items():
            wanted = [one for one in records if one.offset < ranges[tp][1]]
            if wanted:
                yield tp, wanted
        for tp in [tp for tp, end in left.items() if await reader.position(tp) >= end]:
            del left[tp]
            reader.pause(tp)


async def fetch(
    consumer: AIOKafkaConsumer, timeout_ms: int = POLL_MS, max_records: int | None = None
) -> dict[TopicPartition, list[Fetched]]:
    """Return what is there. Raises ContractError if the log no longer holds the position."""
    try:
        found: dict[TopicPartition, list[Fetched]] = await consumer.getmany(
            timeout_ms=timeout_ms, max_records=max_records
        )
    except OffsetOutOfRangeError as error:
        raise ContractError(
            "offset_out_of_range",
            f"the log no longer holds {error.args[0] if error.args else 'the position'}",
            "retention was shorter than the outage, or the topic was created anew: start anew with another topic_prefix",
        ) from error
    return found
