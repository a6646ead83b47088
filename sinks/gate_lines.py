"""The gate's lines of the ledger: which stretch of offsets of the history topic, of one hour, it decided how.

Admitted, known already, or rejected: a line under way stands beside the committed position, and is published in the transaction that
closes it. So each line stands once, whatever is killed, and lines touch each other.
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition

from schemas.arrival import arrived_run, is_tick, sent_of
from schemas.codec import Kind, encode
from schemas.ledger import GATE, Line
from schemas.topics import HISTORY
from sinks.ledger_lines import Numbered, Open, advanced, counted, ended
from sinks.positions import Committed, Fetched
from sinks.rows import Place

Where = tuple[int, int]
"""A record by its partition and offset; numbers alone are hashed in a third of the time."""


class Moved(NamedTuple):
    """What a batch does to the lines: records (key, value) to publish, and what then is under way."""

    closed: list[tuple[bytes, bytes]]
    under_way: dict[TopicPartition, Open]


class GateLines:
    """The lines under way, by partition."""

    def __init__(
        self, topic_id: str, begins: Mapping[TopicPartition, int], stored: Mapping[TopicPartition, Committed]
    ) -> None:
        """`begins`: where the log begins; `stored`: the gate's positions with what stands beside them."""
        self._topic_id = topic_id
        self._open = {tp: Open(offset) for tp, offset in begins.items()}
        for tp, one in stored.items():
            if tp in begins:
                found = json.loads(one.metadata or "{}").get("line")
                self._open[tp] = Open(one.offset) if found is None else msgspec.convert(found, Open)

    def moved(
        self, records: Mapping[TopicPartition, Sequence[Fetched]], bad: AbstractSet[Where], admitted: AbstractSet[Where]
    ) -> Moved:
        """Return what consecutive records, decided so, do to the lines. Changes nothing: `keep` does, once they are durable."""
        closed, under_way = [], {}
        for tp, some in records.items():
            line = self._open[tp]
            times = arrived_run(
                max(0, line.hour), [one.timestamp for one in some], [sent_of(one.headers) for one in some]
            )
            wanted = [i for i, one in enumerate(some) if not is_tick(one.key, one.value)]
            good = [i for i in wanted if (tp.partition, some[i].offset) not in bad] if bad else wanted
            taken = [i for i in good if (tp.partition, some[i].offset) in admitted]
            place = Place(HISTORY.name, self._topic_id, tp.partition, 0, 0)
            done, under_way[tp] = advanced(
                line, counted(place, [one.offset for one in some], times, Numbered(wanted, good, taken))
            )
            for one, _ in done:
                # no row stands at these offsets, so their squares say nothing
                value = msgspec.structs.asdict(one) | {"writer": GATE, "squares": 0}
                closed.append((f"{self._topic_id}-{tp.partition}".encode(), encode(Kind.LEDGER, value)))
        return Moved(closed, under_way)

    def keep(self, moved: Moved) -> None:
        """Take note that these lines are durable."""
        self._open |= moved.under_way

    def beside(self, line: Open) -> str:
        """Return what stands beside a position: the line under way there."""
        return json.dumps({"topic_id": self._topic_id, "line": msgspec.to_builtins(line)}, separators=(",", ":"))


def line_of(metadata: Mapping[str, object], partition: int, offset: int) -> Line | None:
    """Return the gate's line under way that ends at a committed offset, None if nothing is under way."""
    if metadata.get("line") is None:
        return None
    line = msgspec.convert(metadata["line"], Open)
    if line.hour < 0:
        return None
    place = Place(HISTORY.name, str(metadata["topic_id"]), partition, offset, 0)
    return msgspec.structs.replace(ended(line, place, offset), writer=GATE, squares=0)
