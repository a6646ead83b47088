"""What was acknowledged to this process, for the ledger: counts by partition and hour with the offsets that they lie in.

A process that is killed takes the counts of its last seconds with it, so these lines say: at least so many.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from producers.flight import Sent
from schemas.codec import Kind, encode
from schemas.ledger import GATEWAY, Line
from schemas.windows import HOUR_MS

LONGEST_UNSAID = 10_000
"""Lines that wait for a broker; behind them the oldest are given up, since they only bound from below."""


class Said(NamedTuple):
    """A line on its way: its number in this run, its key and its bytes."""

    seq: int
    key: bytes
    value: bytes


class Acknowledged:
    """Counts of acknowledged records; safe to use from several threads."""

    def __init__(self, incarnation: str, prefix: str) -> None:
        """`incarnation` names this run of the process; `prefix` stands before the names of topics on the broker."""
        self._incarnation, self._prefix = incarnation, prefix
        self._lock = threading.Lock()
        self._held: dict[tuple[tuple[str, int], int], list[int]] = {}
        self._unsaid: dict[int, Said] = {}
        self._seq = 0

    def add(self, sent: Sequence[Sent]) -> None:
        """Count records that are all acknowledged."""
        with self._lock:
            held = self._held
            for one in sent:
                where = one.value
                offset = where.offset
                key = (where.topic_partition, where.timestamp // HOUR_MS)
                counts = held.get(key)
                if counts is None:
                    held[key] = [1, offset, offset]
                else:
                    counts[0] += 1
                    if offset > counts[2]:
                        counts[2] = offset
                    elif offset < counts[1]:
                        counts[1] = offset

    def unsaid(self, topic_ids: dict[str, str]) -> list[Said]:
        """Return the lines to publish: what was counted since the last call, and what was not confirmed since.

        `topic_ids`: name on the broker -> id.
        """
        with self._lock:
            held, self._held = self._held, {}
            for (place, hour), (count, first, last) in held.items():
                self._seq += 1
                topic, partition = place
                line = Line(
                    writer=GATEWAY, source_topic=topic.removeprefix(self._prefix), source_topic_id=topic_ids[topic],
                    source_partition=partition, hour=hour * HOUR_MS, first_offset=first, next_offset=last + 1,
                    events=count, incarnation=self._incarnation, seq=self._seq,
                )  # fmt: skip
                value = encode(Kind.LEDGER, msgspec.structs.asdict(line))
                self._unsaid[self._seq] = Said(self._seq, f"{line.source_topic_id}-{partition}".encode(), value)
            while len(self._unsaid) > LONGEST_UNSAID:
                del self._unsaid[next(iter(self._unsaid))]
            return list(self._unsaid.values())

    def confirm(self, seq: int) -> None:
        """Forget a line that is durable. One that is said twice is known by its number."""
        with self._lock:
            self._unsaid.pop(seq, None)
