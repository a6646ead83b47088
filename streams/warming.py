"""Filling memories after a start or a change: ids, and what is remembered of customers, read again from the log itself."""

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import TopicPartition

from streams.core.tally import PartitionTally
from streams.ranges import open_partition
from streams.runs import runs_of

log = logging.getLogger(__name__)


class Stretch(NamedTuple):
    """The offsets [start, end) of what a partition has to know again."""

    start: int
    end: int


class WarmUp:
    """Fill the memories of partitions, one after the other, while the host goes on.

    `tallies` may change meanwhile, but for those of partitions that are `cold`.
    """

    def __init__(self, bootstrap: str, tallies: Mapping[TopicPartition, PartitionTally]) -> None:
        self._bootstrap, self._tallies = bootstrap, tallies
        self._stretches: dict[TopicPartition, Stretch] = {}
        self._task: asyncio.Task[None] | None = None
        self.read = 0
        """Records read again so far."""

    @property
    def cold(self) -> set[TopicPartition]:
        """Return the partitions whose memories are not full yet."""
        return set(self._stretches)

    def begin(self, stretches: Mapping[TopicPartition, Stretch]) -> None:
        """Fill the memories of these partitions too."""
        self._stretches |= {tp: stretch for tp, stretch in stretches.items() if stretch.start < stretch.end}
        self.check()
        if self._stretches and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    def check(self) -> None:
        """Raise what went wrong, if anything."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def wait(self, timeout_s: float) -> None:
        """Wait for the end, at most so long."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s)

    async def cancel(self) -> None:
        """Stop; the memories are of no use then."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        events = 0
        while self._stretches:
            tp = min(self._stretches)
            start, end = self._stretches[tp]
            async with open_partition(self._bootstrap, tp) as reader:
                async for records in reader.read(max(start, reader.first), end):
                    run = runs_of({tp: records})[tp]
                    self._tallies[tp].remember(run)
                    self.read += len(run)
                    events += run.frame.height
                    await asyncio.sleep(0)
            del self._stretches[tp]
        log.info("%d events are remembered again", events)
