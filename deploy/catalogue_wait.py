"""Follow a change of the catalogue until it is done, by what stands in the log and by the judge's position."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from aiokafka import TopicPartition

from deploy.applying import Written
from deploy.declarations import moment_of
from deploy.positions import Positions
from schemas.blocks import Block
from schemas.declared import SEEDS
from schemas.errors import UnavailableError, UndecodableError
from schemas.outputs import DecisionKind
from schemas.settings import Settings
from schemas.topics import GROUP_JUDGE, SOURCES, TALLIES
from streams.ranges import open_partition
from streams.tallies_log import entry_of

POLL_S = 0.5
SOURCE_PARTITIONS = sum(topic.partitions for topic in SOURCES)
Tell = Callable[[str], None]


class Done(NamedTuple):
    """A change that is done: the last pane judged, and the events that its past was recounted from (None: none was needed)."""

    pane: int
    events: int | None


class _Seen:
    """What the log has said of the change so far."""

    def __init__(self, written: Written) -> None:
        self._hash, self._pane = written.plan.wanted.hash, written.plan.from_pane
        self._log = written.offset
        self.switched: set[tuple[str, int]] = set()
        self.seeded_at: int | None = None
        self.events = 0

    async def read(self, bootstrap: str, partition: TopicPartition) -> None:
        """Read on to the end of the log."""
        async with open_partition(bootstrap, partition) as reader:
            end = reader.end
            async for records in reader.read(self._log, end):
                for record in records:
                    self._take(record.offset, record.value)
            self._log = max(self._log, end)

    def _take(self, offset: int, value: bytes | None) -> None:
        try:
            entry = entry_of(value)
        except UndecodableError:
            return  # the judge counts and says these
        if isinstance(entry, Block):
            ours = entry.catalogue_hash == self._hash and entry.to_pane >= self._pane
            if ours and entry.topic not in SEEDS:
                self.switched.add(entry.source)
        elif entry.kind is DecisionKind.SEEDED and entry.body["catalogue_hash"] == self._hash:
            self.seeded_at, self.events = offset, entry.body["events"]


def wait(settings: Settings, written: Written, *, timeout_s: float, tell: Tell) -> Done:
    """Return when the judge is at the pane of the change or beyond and, where a past is recounted, has taken it in.

    `tell` hears what is waited for whenever that changes. Raises UnavailableError `not_yet_applied` after `timeout_s`.
    """
    plan, seen = written.plan, _Seen(written)
    partition = TopicPartition(settings.topic_prefix + TALLIES.name, 0)
    deadline, said = time.monotonic() + timeout_s, ""
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        while True:
            asyncio.run(seen.read(settings.kafka_bootstrap, partition))
            judge = positions.of(GROUP_JUDGE)[0]
            pane = int(judge.metadata.get("pane") or 0)
            missing = _missing(written, seen, pane, judge.offset)
            if not missing:
                return Done(pane, seen.events if plan.waits else None)
            if time.monotonic() > deadline:
                raise UnavailableError(
                    "not_yet_applied",
                    f"catalogue {plan.wanted.hash} stands in the log at offset {written.offset}; still waiting for {missing}",
                    "it comes into force by itself: see `barometer doctor`; do not apply it again",
                )
            if missing != said:
                tell(f"waiting for {missing}")
                said = missing
            time.sleep(POLL_S)


def _missing(written: Written, seen: _Seen, pane: int, offset: int) -> str:
    """Return what a change still waits for; "" if it is done."""
    plan = written.plan
    if pane < plan.from_pane:
        return f"the judge to reach {moment_of(plan.from_pane)}"
    if not plan.waits:
        return ""
    if seen.seeded_at is None and len(seen.switched) < SOURCE_PARTITIONS:
        return f"stage 1: {len(seen.switched)} of {SOURCE_PARTITIONS} source partitions count with it"
    if seen.seeded_at is None:
        return "the recount of the past of new series"
    return "" if offset > seen.seeded_at else "the judge to take in the past of new series"
