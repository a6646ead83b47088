"""Write records and a consumer group's position to Kafka all together or not at all.

A transaction begins only with everything in hand: while it is open, it hides all that stands behind it from read_committed readers.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Self

import msgspec
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

TRANSACTION_TIMEOUT_MS = 10_000
MAX_BATCH_BYTES = 1 << 20
_FENCING = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidTxnState, OutOfOrderSequenceNumber)


class Record(NamedTuple):
    """One record to be written; its partition follows from the key."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a judge has come in its tallies log, as it stands in the committed offset and its metadata.

    `offset`: the first record not judged; `pane`: last pane judged (None: none yet); `seq`: of the last output; `log`: topic id.
    """

    offset: int
    pane: int | None
    seq: int
    log: str
    snapshot: str = ""

    def metadata(self) -> str:
        """Return what is stored beside the offset."""
        kept = {"pane": self.pane, "seq": self.seq, "log": self.log, "snapshot": self.snapshot}
        return msgspec.json.encode(kept).decode()


def position_of(offset: int, metadata: str) -> Position:
    """Return the position of a committed offset. Raises ContractError if its metadata is not a judge's."""
    try:
        return msgspec.convert({**msgspec.json.decode(metadata), "offset": offset}, Position)
    except (msgspec.DecodeError, msgspec.ValidationError, TypeError) as error:
        raise ContractError(
            "foreign_position",
            f"the committed offset {offset} carries {metadata!r}, which no judge has written",
            "offsets of this group are never set by hand: restore them, or start a new installation with another topic_prefix",
        ) from error


class Transactions:
    """A transactional producer: opening it fences whoever held its id before and ends what he left open."""

    def __init__(self, producer: AIOKafkaProducer, transactional_id: str) -> None:
        self._producer = producer
        self._id = transactional_id

    @classmethod
    async def open(cls, bootstrap: str, transactional_id: str) -> Self:
        """Fence older owners of the id and return the new one. Raises UnavailableError."""
        producer = AIOKafkaProducer(
            **reaching(bootstrap),
            client_id=transactional_id,
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            compression_type="lz4",
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=2 * MAX_BATCH_BYTES,
        )
        try:
            await producer.start()
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{transactional_id}: {error!r}") from error
        return cls(producer, transactional_id)

    async def commit(
        self, records: Iterable[Record], *, group: str = "", partition: TopicPartition | None = None,
        position: Position | None = None, before: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        """Write all records and, if given, the position of `group` in `partition`; return when that is certain.

        Readers may see it a moment later; whoever opens the id next sees all of it. `before` is called when everything is sent and nothing is committed.

        Raises ContractError when a newer owner has fenced this one, UnavailableError when the broker does not answer; after
        either nothing may be sent any more: what was written is known by reading the committed position.
        """
        try:
            async with self._producer.transaction():
                sent = [
                    await self._producer.send(one.topic, key=one.key, value=one.value, headers=list(one.headers))
                    for one in records
                ]
                if position is not None and partition is not None:
                    stored = OffsetAndMetadata(position.offset, position.metadata())
                    await self._producer.send_offsets_to_transaction({partition: stored}, group)
                await asyncio.gather(*sent)
                if before is not None:
                    before()
        except _FENCING as error:
            raise ContractError(
                "fenced",
                f"another process has taken over {self._id} ({type(error).__name__})",
                "this process ends and has written nothing since; if two judges were started, stop one",
            ) from error
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{self._id}: {error!r}") from error

    async def close(self) -> None:
        """Close the producer; an open transaction is aborted by the broker."""
        await self._producer.stop()
