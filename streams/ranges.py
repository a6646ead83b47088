"""Read a fixed range of one partition, committed records only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.broker import reaching
from schemas.errors import ContractError, UnavailableError

POLL_MS = 500
FETCH_BYTES = 1 << 20


class PartitionReader:
    """One partition as it stands when it is opened: `first` is the oldest offset kept, `end` the end of what is committed."""

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition, first: int, end: int) -> None:
        self._consumer = consumer
        self._partition = partition
        self.first = first
        self.end = end

    async def read(self, start: int, end: int) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
        """Yield the records of offsets [start, end), in lists, for an `end` not beyond that of the partition.

        Raises ContractError if the broker no longer holds `start`, UnavailableError if it does not answer.
        """
        self._consumer.seek(self._partition, start)
        try:
            # by position, not by record: markers and compacted offsets at the end carry no record
            while await self._consumer.position(self._partition) < end:
                found = await self._consumer.getmany(timeout_ms=POLL_MS)
                records = [record for record in found.get(self._partition, ()) if record.offset < end]
                if records:
                    yield records
        except OffsetOutOfRangeError as error:
            raise ContractError(
                "offset_out_of_range",
                f"{self._partition.topic}-{self._partition.partition} does not hold offset {start}",
                "retention was shorter than the outage: start a new installation with another topic_prefix",
            ) from error
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{self._partition.topic}: {error!r}") from error


@asynccontextmanager
async def open_partition(bootstrap: str, partition: TopicPartition) -> AsyncIterator[PartitionReader]:
    """Open a partition for one read, without a consumer group. Raises UnavailableError.

    Each reader has its own consumer: aiokafka 0.14 can hang in stop() after a second assign().
    """
    consumer = AIOKafkaConsumer(
        **reaching(bootstrap),
        isolation_level="read_committed",
        auto_offset_reset="none",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    try:
        await consumer.start()
        try:
            consumer.assign([partition])
            first = await consumer.beginning_offsets([partition])
            end = await consumer.end_offsets([partition])
        except KafkaError:
            await consumer.stop()
            raise
    except KafkaError as error:
        raise UnavailableError("kafka_unavailable", f"{partition.topic}: {error!r}") from error
    try:
        yield PartitionReader(consumer, partition, first[partition], end[partition])
    finally:
        await consumer.stop()
