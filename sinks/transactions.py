"""Write records and positions of consumer groups to Kafka all together or not at all.

A transaction begins only with everything in hand: while it is open, it hides all that stands behind it from read_committed readers.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)
from aiokafka.structs import OffsetAndMetadata

from schemas.broker import reaching
from schemas.errors import ContractError, UnavailableError

TIMEOUT_MS = 10_000
BATCH_BYTES = 1 << 20
_FENCING = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidTxnState, OutOfOrderSequenceNumber)
Offsets = Mapping[TopicPartition, OffsetAndMetadata]


class Record(NamedTuple):
    """One record to be written; without a partition its key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


class Stands(NamedTuple):
    """Where a record was written."""

    partition: TopicPartition
    offset: int


class Transactions:
    """A transactional producer: opening it fences whoever held its id before and ends what he left open."""

    def __init__(self, producer: AIOKafkaProducer, transactional_id: str, who: str) -> None:
        self._producer, self._id, self._who = producer, transactional_id, who

    @classmethod
    async def open(
        cls, bootstrap: str, transactional_id: str, *, who: str, timeout_ms: int = TIMEOUT_MS,
        request_bytes: int = 2 * BATCH_BYTES,
    ) -> Self:  # fmt: skip
        """Fence older owners of the id and return the new one. Raises UnavailableError.

        `who`: what an error calls this process (gate, recount); `request_bytes`: above the largest record.
        """
        producer = AIOKafkaProducer(
            **reaching(bootstrap), client_id=transactional_id, transactional_id=transactional_id, acks="all",
            transaction_timeout_ms=timeout_ms, compression_type="lz4", max_batch_size=BATCH_BYTES,
            max_request_size=request_bytes,
        )  # fmt: skip
        try:
            await producer.start()
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{transactional_id}: {error!r}") from error
        return cls(producer, transactional_id, who)

    async def write(
        self, records: Iterable[Record], offsets: Mapping[str, Offsets], before_commit: Callable[[], None] | None = None
    ) -> list[Stands]:
        """Write all records and positions (group -> partition -> offset) in one transaction; return where the records stand.

        `before_commit` is called when everything is sent and nothing is committed. Raises ContractError `fenced` when a newer
        owner has taken over, UnavailableError when the broker does not answer; after either this producer is of no more use,
        and what was written is known by reading the positions.
        """
        try:
            async with self._producer.transaction():
                futures = [
                    await self._producer.send(
                        one.topic, key=one.key, value=one.value, headers=list(one.headers), partition=one.partition
                    )
                    for one in records
                ]
                written = await asyncio.gather(*futures)
                for group, positions in offsets.items():
                    await self._producer.send_offsets_to_transaction(dict(positions), group)
                if before_commit is not None:
                    before_commit()
        except _FENCING as error:
            raise ContractError(
                "fenced", f"another {self._who} has taken over {self._id} ({type(error).__name__})",
                f"this one ends and has written nothing since; run one {self._who} only",
            ) from error  # fmt: skip
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{self._id}: {error!r}") from error
        return [Stands(TopicPartition(one.topic, one.partition), one.offset) for one in written]

    async def close(self) -> None:
        """Close the producer; an open transaction is aborted by the broker."""
        await self._producer.stop()
