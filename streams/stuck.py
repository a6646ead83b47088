"""Whether a consumer moves: positions against ends, whatever it receives; one that stands still ends its process.

Faust's and aiokafka's consumers are known to fall silent after a broker's restart or a long idle time. Nothing tells but that
records wait and the position stands. Time in which the ends are not known (the broker is away) does not count.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, Self, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.broker import reaching
from schemas.errors import ContractError, UnavailableError

log = logging.getLogger(__name__)

LOOKS, LOOK_S = 12, 5.0
"""Looks in the time after which a partition is stuck, and the longest time between two."""
LONGEST_LOOK_S = 10.0
"""What a look counts at most: a process that was stopped did not stand still for so long."""

Partition = TypeVar("Partition", bound=Hashable)


class Progress(Generic[Partition]):
    """What was seen of positions; times in seconds of a clock that does not jump."""

    def __init__(self, after_s: float) -> None:
        """`after_s`: how long a partition may stand with records to read; 0: for ever."""
        self.after_s = after_s
        self._looked_at: float | None = None
        self._stood: dict[Partition, tuple[int | None, float]] = {}
        """Partition with records to read -> its position, and for how long it has been that."""

    def look(
        self, positions: Mapping[Partition, int | None], ends: Mapping[Partition, int], now_s: float
    ) -> list[Partition]:
        """Return the partitions that have stood still too long; `positions`: None where there is none yet."""
        looked_at, self._looked_at = self._looked_at, now_s
        step = 0.0 if looked_at is None else min(max(0.0, now_s - looked_at), LONGEST_LOOK_S)
        stood: dict[Partition, tuple[int | None, float]] = {}
        for partition, position in positions.items():
            if (position or 0) < ends.get(partition, 0):
                before, so_far = self._stood.get(partition, (position, -step))
                stood[partition] = (position, so_far + step if before == position else 0.0)
        self._stood = stood
        if not self.after_s:
            return []
        return sorted((one for one, (_, s) in stood.items() if s >= self.after_s), key=str)

    def forget(self) -> None:
        """Begin to look anew: nothing is known of the time until now, or what waits has moved elsewhere."""
        self._looked_at = None
        self._stood = {}


ASK_TIMEOUT_S = 10.0


class Ends:
    """Ask for the ends of what is committed."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    @classmethod
    async def open(cls, bootstrap: str) -> Self:
        """Connect, without a consumer group. Raises UnavailableError."""
        consumer = AIOKafkaConsumer(**reaching(bootstrap), isolation_level="read_committed", enable_auto_commit=False)
        try:
            await consumer.start()
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", repr(error)) from error
        return cls(consumer)

    async def of(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return partition -> the first offset that is not committed yet. Raises UnavailableError."""
        try:
            found: Mapping[TopicPartition, int] = await asyncio.wait_for(
                self._consumer.end_offsets(list(partitions)), ASK_TIMEOUT_S
            )
        except (KafkaError, TimeoutError) as error:
            raise UnavailableError("kafka_unavailable", repr(error)) from error
        return found

    async def close(self) -> None:
        """Disconnect."""
        await self._consumer.stop()


async def watched(
    bootstrap: str,
    progress: Progress[TopicPartition],
    positions: Callable[[], Mapping[TopicPartition, int | None]],
    failed: Callable[[BaseException], None],
) -> None:
    """Look for ever; call `failed` when partitions stand still that have records to read. `positions`: of those to look at."""
    every_s = min(LOOK_S, progress.after_s / LOOKS)
    ends: Ends | None = None
    try:
        while every_s:
            await asyncio.sleep(every_s)
            partitions = list(positions())
            if not partitions:
                progress.forget()
                continue
            try:
                ends = ends or await Ends.open(bootstrap)
                found = await ends.of(partitions)
            except UnavailableError as error:
                log.warning("whether the partitions stand still is not known: %s", error)
                progress.forget()
                continue
            now = positions()
            stuck = progress.look(now, found, time.monotonic())
            if stuck:
                failed(_stuck(stuck, now[stuck[0]], found[stuck[0]], progress.after_s))
                return
    except Exception as error:
        failed(error)
    finally:
        if ends is not None:
            await ends.close()


def _stuck(partitions: list[TopicPartition], position: int | None, end: int, after_s: float) -> ContractError:
    first = partitions[0]
    more = f", as do {len(partitions) - 1} others" if len(partitions) > 1 else ""
    return ContractError(
        "stuck",
        f"{first.topic}-{first.partition} has stood at {position} for {after_s:g} s and ends at {end}{more}",
        "this process ends so that its supervisor starts it anew; nothing is lost (deploy/docs/sources.md)",
    )
