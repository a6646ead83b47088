"""What the gate has admitted and the store does not have yet: of an id that is neither stored nor here nothing was admitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import TopicPartition

from schemas.arrival import is_tick
from schemas.bulk import Decoded, decode_events
from schemas.topics import sink_group
from sinks.positions import Committed, Positions, open_reader, read_ranges

EVENTS_GROUP = sink_group("feedback_events")
"""The sink that stores admissions."""


class Admitted(NamedTuple):
    """A record for the admitted topic."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    event_id: str


@dataclass(slots=True)
class Admissions:
    """The gate's own admissions that are not yet stored: id -> where it stands in the admitted topic."""

    by_id: dict[str, tuple[TopicPartition, int]] = field(default_factory=dict)

    def forget(self, stored: Mapping[TopicPartition, Committed]) -> None:
        """Drop those that the sink has stored."""
        ends = {tp: one.offset for tp, one in stored.items()}
        if any(offset < ends.get(tp, 0) for tp, offset in self.by_id.values()):
            self.by_id = {name: at for name, at in self.by_id.items() if at[1] >= ends.get(at[0], 0)}


def admissible(ids: Sequence[str], known: set[str], pending: Mapping[str, object]) -> list[int]:
    """Return the positions of ids that are neither known, nor pending, nor earlier in `ids`."""
    out, seen = [], set()
    for at, one in enumerate(ids):
        if one not in known and one not in pending and one not in seen:
            seen.add(one)
            out.append(at)
    return out


async def read_admissions(
    bootstrap: str, prefix: str, admitted: Sequence[TopicPartition], positions: Positions
) -> Admissions:
    """Return the admissions in the admitted topic that the sink has not yet stored."""
    stored = await positions.of(prefix + EVENTS_GROUP, admitted)
    found = Admissions()
    reader = await open_reader(bootstrap)
    try:
        begins = await reader.beginning_offsets(admitted)
        ends = await reader.end_offsets(admitted)
        ranges = {tp: (stored[tp].offset if tp in stored else begins[tp], ends[tp]) for tp in admitted}
        async for tp, records in read_ranges(reader, ranges):
            kept = [one for one in records if not is_tick(one.key, one.value)]
            decoded = decode_events([one.value for one in kept])
            for at, name in zip(decoded.good, event_ids(decoded), strict=True):
                found.by_id[name] = (tp, kept[at].offset)
    finally:
        await reader.stop()
    return found


def event_ids(decoded: Decoded) -> list[str]:
    """Return the ids of decoded events, in record order."""
    ids: list[str] = decoded.events.column("event_id").to_pylist()
    return ids
