"""Partitions whose records are no events, by too large a share: paused, so that neither they nor their neighbours are lost.

A source that sends nonsense would drain into the rejected pile while its counts look like silence. Its partition stands where it
is until an operator says that it may go on (`barometer sources include`); what was appended until then is taken as it is.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.broker import reaching
from schemas.codec import Kind, kind_of
from schemas.errors import UnavailableError, UndecodableError
from schemas.exclusion import SourceId, Why, body_of
from schemas.outputs import Decision, DecisionKind
from streams.core.tally import RecordKind, Run
from streams.tallies_log import entry_of

_ENDS = frozenset({Why.SPOILT, Why.OPERATOR})


class Spoilt:
    """The share of bad records by partition, over stretches of so many records; ticks do not count."""

    def __init__(self, ratio: float, records: int) -> None:
        """`ratio`: the share from which a partition is spoilt; 0: never."""
        self._ratio, self._records = ratio, records
        self._seen: dict[TopicPartition, tuple[int, int]] = {}
        self._taken: dict[TopicPartition, int] = {}

    def seen(self, tp: TopicPartition, run: Run) -> bool:
        """Take the next records into account; return whether the partition is spoilt."""
        if not self._ratio:
            return False
        counted = run.append_ms > self._taken.get(tp, -1)
        before, bad_before = self._seen.get(tp, (0, 0))
        records = before + int((counted & (run.kinds != RecordKind.TICK)).sum())
        bad = bad_before + int((counted & (run.kinds == RecordKind.UNDECODABLE)).sum())
        whole = records >= self._records
        self._seen[tp] = (0, 0) if whole else (records, bad)
        return whole and bad >= self._ratio * records

    def take(self, tp: TopicPartition, until_ms: int) -> None:
        """Let all records pass that were appended up to a time."""
        self._taken[tp] = until_ms
        self._seen.pop(tp, None)

    def forget(self) -> None:
        """Begin anew: the partitions may have other owners."""
        self._seen.clear()
        self._taken.clear()


class Resumptions:
    """Follow the tallies log, as long as partitions are paused, for the decisions that end it."""

    def __init__(self, bootstrap: str, log: TopicPartition) -> None:
        self._bootstrap, self._log = bootstrap, log
        self._consumer: AIOKafkaConsumer | None = None

    async def follow(self, offset: int) -> None:
        """Read from an offset on, unless it is read already. Raises UnavailableError."""
        if self._consumer is not None:
            return
        consumer = AIOKafkaConsumer(
            **reaching(self._bootstrap), isolation_level="read_committed", auto_offset_reset="none",
            enable_auto_commit=False,
        )  # fmt: skip
        try:
            await consumer.start()
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{self._log.topic}: {error!r}") from error
        consumer.assign([self._log])
        consumer.seek(self._log, offset)
        self._consumer = consumer

    async def look(self) -> dict[SourceId, int]:
        """Return source -> when the decision came (ms) that ends its pause, of what has been fetched. Raises UnavailableError."""
        if self._consumer is None:
            return {}
        try:
            found = await self._consumer.getmany(timeout_ms=0)
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{self._log.topic}: {error!r}") from error
        out: dict[SourceId, int] = {}
        for record in found.get(self._log, ()):
            decision = _inclusion(record.value)
            if decision is not None:
                out[body_of(decision).source] = record.timestamp
        return out

    async def close(self) -> None:
        """Read no further; the next `follow` begins anew."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await asyncio.shield(consumer.stop())


def _inclusion(value: bytes | None) -> Decision | None:
    """Return the decision of a record if it ends a pause."""
    try:
        if kind_of(value) is not Kind.DECISION:
            return None
        entry = entry_of(value)
    except UndecodableError:
        return None
    if not isinstance(entry, Decision) or entry.kind is not DecisionKind.INCLUDE or body_of(entry).why not in _ENDS:
        return None
    return entry
