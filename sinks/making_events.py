"""Rows of feedback_events: events of all channels, live and admitted. Pure: a function of the log."""

from collections.abc import Sequence

import pyarrow as pa

from schemas.arrival import is_tick
from schemas.bulk import decode_events
from schemas.errors import UndecodableError
from schemas.event import Lane
from schemas.topics import ADMITTED, Topic
from sinks.making import Made, Memory, Take, new_among, set_aside
from sinks.rows import PLACE_COLUMNS, Values, event_rows


def _lane(topic: Topic) -> str:
    return str(Lane.HISTORY if topic is ADMITTED else Lane.LIVE)


def event_ids(values: Sequence[bytes | None]) -> tuple[list[int], list[str]]:
    """Return positions and ids of the events among values."""
    decoded = decode_events(values)
    return decoded.good, decoded.events.column("event_id").to_pylist()


def make_events(takes: Sequence[Take], memory: Memory) -> Made:
    """Return the rows of feedback_events. All takes are decoded at once."""
    made = Made()
    wanted = [[i for i, one in enumerate(take.records) if not is_tick(one.key, one.value)] for take in takes]
    decoded = decode_events([take.records[i].value for take, at in zip(takes, wanted, strict=True) for i in at])
    ids: list[str] = decoded.events.column("event_id").to_pylist()
    errors = dict(decoded.bad)
    bad: list[tuple[Take, int, UndecodableError]] = []
    columns: dict[str, Values] = {name: [] for name in (*PLACE_COLUMNS, "lane")}
    keep: list[bool] = []
    record = 0
    for take, at in zip(takes, wanted, strict=True):
        failed = {i: errors[record + n] for n, i in enumerate(at) if record + n in errors} if errors else {}
        record += len(at)
        bad.extend((take, i, error) for i, error in failed.items())
        good = [i for i in at if i not in failed] if failed else at
        first = new_among(take, memory, good, ids[len(keep) : len(keep) + len(good)])
        kept = good if all(first) else [i for i, new in zip(good, first, strict=True) if new]
        if len(kept) < len(good):
            made.repeats[take.topic.name] += len(good) - len(kept)
        made.counts += take.counted(at, good, kept)
        keep.extend(first)
        _place(columns, take, kept)
    set_aside(bad, made, memory.seals)
    if columns["offset"]:
        made.rows = event_rows(decoded.events if all(keep) else decoded.events.filter(pa.array(keep)), columns)
        if memory.seals is not None:
            memory.seals.open(made.rows)
    return made


def _place(columns: dict[str, Values], take: Take, at: Sequence[int]) -> None:
    """Add where the records at these positions stand; by columns, since a tuple a record costs as much as its decoding."""
    columns["topic"].extend([take.topic.name] * len(at))
    columns["topic_id"].extend([take.topic_id] * len(at))
    columns["partition"].extend([take.partition] * len(at))
    columns["offset"].extend([take.records[i].offset for i in at])
    columns["arrived_at"].extend([take.arrived[i] for i in at])
    columns["lane"].extend([_lane(take.topic)] * len(at))
