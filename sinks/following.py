"""Partitions that are read on and on without a group: what has come since the last look, committed records only."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import Kind, decode_as
from schemas.declared import Catalogues
from schemas.errors import UnavailableError
from schemas.outputs import Decision, decision_from_record
from schemas.topics import CATALOGUES
from sinks.positions import Fetched, fetch, open_reader


@contextmanager
def broker_answers(what: str) -> Iterator[None]:
    """Turn the words of the client library into UnavailableError."""
    try:
        yield
    except KafkaError as error:
        raise UnavailableError("kafka_unavailable", f"{what}: {error!r}") from error


class Following:
    """One partition, read on from where it was left."""

    def __init__(self, reader: AIOKafkaConsumer, partition: TopicPartition) -> None:
        self._reader, self._partition = reader, partition

    @classmethod
    async def open(cls, bootstrap: str, partition: TopicPartition, *, since_ms: int | None = None) -> Self:
        """Begin with the oldest record, or the first one appended at `since_ms` or later. Raises UnavailableError."""
        reader = await open_reader(bootstrap)
        out = cls(reader, partition)
        try:
            with broker_answers(partition.topic):
                reader.assign([partition])
                start = (await reader.beginning_offsets([partition]))[partition]
                if since_ms is not None:
                    # the end first: what is appended after this look is later than whatever is sought
                    end = (await reader.end_offsets([partition]))[partition]
                    found = (await reader.offsets_for_times({partition: since_ms}))[partition]
                    start = end if found is None else found.offset
                reader.seek(partition, start)
        except BaseException:
            await reader.stop()
            raise
        return out

    async def news(self) -> AsyncIterator[Fetched]:
        """Yield what has come since the last look, up to the end as it stands now. Raises UnavailableError."""
        with broker_answers(self._partition.topic):
            end = (await self._reader.end_offsets([self._partition]))[self._partition]
            while await self._reader.position(self._partition) < end:
                for one in (await fetch(self._reader)).get(self._partition, []):
                    yield one

    async def ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the ends of any partitions, as a committed reader sees them. Raises UnavailableError."""
        with broker_answers("ends"):
            found: dict[TopicPartition, int] = await self._reader.end_offsets(list(partitions))
            return found

    async def close(self) -> None:
        """Close the connection."""
        await self._reader.stop()


class DeclaredLog:
    """The topic of catalogues: every catalogue that was declared, with the offset of its decision, in order."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self.decisions: list[tuple[int, Decision]] = []
        self.catalogues = Catalogues()

    @classmethod
    async def open(cls, bootstrap: str, prefix: str) -> Self:
        """Read what is declared so far. Raises UnavailableError, and ContractError for a catalogue that cannot be read."""
        out = cls(await Following.open(bootstrap, partition_of(prefix)))
        try:
            await out.look()
        except BaseException:
            await out.close()
            raise
        return out

    async def look(self) -> None:
        """Read what has been declared since. Raises as `open` does."""
        before = len(self.decisions)
        async for one in self.following.news():
            if one.value is not None:
                self.decisions.append((one.offset, decision_from_record(decode_as(Kind.DECISION, one.value))))
        if len(self.decisions) > before:
            self.catalogues = Catalogues.of(decision for _, decision in self.decisions)

    async def close(self) -> None:
        """Close the connection."""
        await self.following.close()


def partition_of(prefix: str) -> TopicPartition:
    """Return the partition of the topic of catalogues."""
    return TopicPartition(prefix + CATALOGUES.name, 0)
