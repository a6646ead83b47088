"""Where everything stands: every position is a committed offset of a consumer group, with metadata that says what it means."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError

from deploy.topics import connect
from schemas.errors import UnavailableError
from schemas.topics import (
    ADMITTED,
    ALARMS,
    GROUP_GATE,
    GROUP_JUDGE,
    GROUP_TALLY,
    HISTORY,
    IMMEDIATE,
    LEDGER,
    LIVE,
    READINGS,
    REJECTED,
    SOURCES,
    TALLIES,
    Topic,
    sink_group,
)

SINK_TOPICS: dict[str, tuple[Topic, ...]] = {
    "feedback_events": (*LIVE.values(), ADMITTED),
    "tallies": (TALLIES,),
    "readings": (READINGS,),
    "alarm_transitions": (ALARMS, IMMEDIATE),
    "rejected_events": (REJECTED,),
    "ledger": (LEDGER,),
}
READERS: dict[str, tuple[Topic, ...]] = {
    GROUP_TALLY: SOURCES,
    GROUP_JUDGE: (TALLIES,),
    GROUP_GATE: (HISTORY,),
    **{sink_group(table): topics for table, topics in SINK_TOPICS.items()},
}
"""Consumer group -> the topics that it reads to their ends."""

TRIES = 60
RETRY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The committed position of one group in one partition; `end` is the partition's end now."""

    group: str
    topic: str
    partition: int
    offset: int
    end: int
    metadata: dict[str, Any]

    @property
    def lag(self) -> int:
        """Return the records (and markers) not yet done."""
        return max(0, self.end - self.offset)


class Positions:
    """Read positions and ends from the broker; names are given without the prefix."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix = prefix
        self._admin: KafkaAdminClient = connect(bootstrap)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admin.close()

    def ends(self, topics: Iterable[Topic]) -> dict[tuple[str, int], int]:
        """Return (topic, partition) -> end offset."""
        partitions = [TopicPartition(self._prefix + t.name, p) for t in topics for p in range(t.partitions)]
        found = self._asked(lambda: self._admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST)))
        return {(tp.topic.removeprefix(self._prefix), tp.partition): one.offset for tp, one in found.items()}

    def of(self, group: str) -> list[Position]:
        """Return the positions of a group in every partition that it reads; never committed: offset 0."""
        committed = self.committed(self._prefix + group)
        out = []
        for (topic, partition), end in sorted(self.ends(READERS[group]).items()):
            found = committed.get(TopicPartition(self._prefix + topic, partition))
            if found is not None and found.offset < 0:
                found = None
            out.append(
                Position(
                    group=group, topic=topic, partition=partition, end=end,
                    offset=found.offset if found else 0,
                    metadata=json.loads(found.metadata) if found and found.metadata else {},
                )
            )  # fmt: skip
        return out

    def committed(self, group: str) -> dict[TopicPartition, Any]:
        """Return what a group has committed, by partition; group and topics with the prefix."""
        found: dict[TopicPartition, Any] = self._asked(lambda: self._admin.list_group_offsets(group)).get(group, {})
        return found

    def _asked(self, ask: Callable[[], dict[Any, Any]]) -> dict[Any, Any]:
        """Ask until the broker has leaders and a group coordinator, which one that has just started lacks for a moment."""
        for left in reversed(range(TRIES)):
            try:
                return ask()
            except KafkaError as error:
                if not (error.retriable and left):
                    raise UnavailableError("kafka_unavailable", f"positions: {error}") from error
                time.sleep(RETRY_S)
        raise AssertionError

    def all(self) -> list[Position]:
        """Return the positions of every group."""
        return [position for group in READERS for position in self.of(group)]
