"""The spoilt partitions of a tally: noticed, paused, left out by a decision in the log, and resumed when an operator says so."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiokafka import TopicPartition

from schemas.clock import Clock
from schemas.exclusion import Body, Why, exclusion
from schemas.outputs import Decision
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import TALLIES
from streams.core.tally import Run
from streams.spoilt import Resumptions, Spoilt

log = logging.getLogger(__name__)

SPOILT = "spoilt_sources"
"""Readiness check: no partition of this process is paused."""
AUTHOR = "tally"
Say = Callable[[Decision], Awaitable[int]]
"""Write a decision into the tallies log; return its offset when it is acknowledged."""


class Reader(Protocol):
    """Whoever reads the partitions (the host)."""

    async def pause(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read no more of these partitions, and on resumption from these offsets on."""

    async def resume(self, partitions: Mapping[TopicPartition, int]) -> None:
        """Read these partitions again."""


class Pauses:
    """Which partitions of this process are paused; all of them end with the assignment."""

    def __init__(
        self, settings: Settings, telemetry: Telemetry, readiness: Readiness, clock: Clock, names: Mapping[str, str]
    ) -> None:
        """`names`: full name of a source topic -> its name in the topic table."""
        self._telemetry, self._readiness, self._clock, self._names = telemetry, readiness, clock, names
        self._spoilt = Spoilt(settings.spoilt_ratio, settings.spoilt_records)
        tallies = TopicPartition(settings.topic_prefix + TALLIES.name, 0)
        self._resumptions = Resumptions(settings.kafka_bootstrap, tallies)
        self._paused: dict[TopicPartition, int] = {}

    def __contains__(self, tp: object) -> bool:
        return tp in self._paused

    async def sifted(
        self, runs: Mapping[TopicPartition, Run], ids: Mapping[str, str], reader: Reader, say: Say
    ) -> Mapping[TopicPartition, Run]:
        """Return the runs to count; partitions that are spoilt by now are paused before theirs. `ids`: topic -> its id."""
        spoilt = {tp: int(run.offsets[0]) for tp, run in runs.items() if self._spoilt.seen(tp, run)}
        if not spoilt:
            return runs
        await reader.pause(spoilt)
        offsets = [await say(self._decision(tp, ids)) for tp in spoilt]
        for tp, offset in spoilt.items():
            self._telemetry.set("source_paused", 1, **self._labels(tp))
            log.error("%s-%d is paused at offset %d: too many records are no events", tp.topic, tp.partition, offset)
        self._paused |= spoilt
        self._say()
        await self._resumptions.follow(min(offsets))
        return {tp: run for tp, run in runs.items() if tp not in spoilt}

    def _decision(self, tp: TopicPartition, ids: Mapping[str, str]) -> Decision:
        # Without a pane: after a restart the judge may know blocks that this process is about to publish again.
        body = Body(topic=self._names[tp.topic], topic_id=ids[tp.topic], partition=tp.partition, why=Why.SPOILT)
        return exclusion(body, from_pane=None, author=AUTHOR, made_at=self._clock())

    async def resume(self, ids: Mapping[str, str], reader: Reader) -> None:
        """Go on with the partitions of which an operator has said so since they were paused."""
        if not self._paused:
            return
        said = await self._resumptions.look()
        found = {tp: said[ids[tp.topic], tp.partition] for tp in self._paused if (ids[tp.topic], tp.partition) in said}
        for tp, at_ms in found.items():
            self._spoilt.take(tp, at_ms)
            del self._paused[tp]
            self._telemetry.forget("source_paused", **self._labels(tp))
            log.warning("%s-%d goes on: what was appended until now is taken as it is", tp.topic, tp.partition)
        if found:
            await reader.resume(found)
            self._say()
        if not self._paused:
            await self._resumptions.close()

    async def forget(self) -> None:
        """Forget all partitions: whoever owns them next sees for himself."""
        for tp in self._paused:
            self._telemetry.forget("source_paused", **self._labels(tp))
        self._paused.clear()
        self._spoilt.forget()
        self._say()
        await self._resumptions.close()

    def _labels(self, tp: TopicPartition) -> dict[str, str]:
        return {"topic": self._names[tp.topic], "partition": str(tp.partition)}

    def _say(self) -> None:
        if self._paused:
            names = ", ".join(f"{self._names[tp.topic]}-{tp.partition}" for tp in sorted(self._paused))
            self._readiness.fail(SPOILT, f"paused, too many records are no events: {names}")
        else:
            self._readiness.ok(SPOILT)
