"""The registry of the tables that a sink fills: topics, and how records become rows. Pure: a function of the log.

Repeats: an event or transition is dropped if its id stood in its partition at most W before (schemas.repeats); a block is
dropped if its source had already got as far (the judge's rule).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from schemas.arrival import is_tick
from schemas.blocks import from_record
from schemas.bulk import decode_events
from schemas.codec import Kind, decode_as, kind_of
from schemas.declared import LESSON
from schemas.errors import UndecodableError
from schemas.event import Lane
from schemas.ledger import Line
from schemas.repeats import RepeatFilter, id_words
from schemas.topics import (
    ADMITTED,
    ALARMS,
    EVENT_TOPICS,
    IMMEDIATE,
    LEDGER,
    LIVE,
    READINGS,
    REJECTED,
    TALLIES,
    Topic,
)
from sinks.ledger_blocks import block_line
from sinks.ledger_lines import LEDGER_TABLE, Counted, Numbered, counted, line_rows
from sinks.rows import (
    PLACE_COLUMNS,
    MakeRows,
    Place,
    Record,
    Rows,
    Values,
    event_rows,
    reading_rows,
    rejected_rows,
    tally_rows,
    transition_rows,
    undecodable_record,
)
from sinks.seals import Seals

CHANNELS = {topic.name: str(channel) for channel, topic in LIVE.items()}
REJECTED_TABLE = "rejected_events"
BATCH_BYTES = 32 << 20
BLOCK_BATCH_BYTES = 8 << 20
"""Bytes of blocks in one vector: even of cells alone they stay below what one insert may hold."""


class Kept(Protocol):
    """What is read of a record of the log."""

    offset: int
    key: bytes | None
    value: bytes | None


class Take(NamedTuple):
    """Consecutive records of one partition with their arrived times."""

    topic: Topic
    topic_id: str
    partition: int
    records: Sequence[Kept]
    arrived: Sequence[int]

    def places(self, at: Sequence[int]) -> list[Place]:
        """Return where the records at these positions stand."""
        name, topic_id, partition = self.topic.name, self.topic_id, self.partition
        return [Place(name, topic_id, partition, self.records[i].offset, self.arrived[i]) for i in at]

    def counted(self, records: Sequence[int], good: Sequence[int], kept: Sequence[int]) -> list[Counted]:
        """Return for the ledger what became of the records: positions of all but ticks, of the readable, of those kept."""
        where = Place(self.topic.name, self.topic_id, self.partition, 0, 0)
        return counted(where, [one.offset for one in self.records], self.arrived, Numbered(records, good, kept))


@dataclass(slots=True)
class Memory:
    """What a sink remembers of the log before its position.

    `filters`: (topic, partition) -> ids seen; `blocks`: source (topic id, partition) -> the last pane stored; `ends`: source
    -> first offset that no block has counted. `seals`: what opens texts and seals raw bytes; None leaves them as they are.
    """

    filters: dict[tuple[str, int], RepeatFilter] = field(default_factory=dict)
    blocks: dict[tuple[str, int], int] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    seals: Seals | None = None


@dataclass(slots=True)
class Made:
    """Rows of a table, rows of rejected_events and of the ledger beside them, and what became no row, by topic.

    `counts`: what became of the records, for the lines that their partitions keep open; `closed`: lines that end here.
    """

    rows: Rows | None = None
    rejected: Rows | None = None
    ledger: Rows | None = None
    counts: list[Counted] = field(default_factory=list)
    closed: list[tuple[Line, Place]] = field(default_factory=list)
    repeats: Counter[str] = field(default_factory=Counter)
    undecodable: Counter[str] = field(default_factory=Counter)


Make = Callable[[Sequence[Take], Memory], Made]
Ids = Callable[[Sequence[bytes | None]], tuple[list[int], list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. `windows`: topic -> W of its repeat filter, with `ids` giving the ids of records for the warm-up.

    `counts`: whether the ledger says what became of the records of its topics.
    """

    name: str
    topics: tuple[Topic, ...]
    make: Make
    windows: Mapping[str, int] = field(default_factory=dict)
    ids: Ids | None = None
    batch_bytes: int = BATCH_BYTES
    counts: bool = True


def _rejects(bad: Sequence[tuple[Take, int, UndecodableError]], made: Made, seals: Seals | None) -> None:
    """Put undecodable records aside as rows of rejected_events."""
    if not bad:
        return
    records, places = [], []
    for take, at, error in bad:
        place = take.places([at])[0]
        record = undecodable_record(take.records[at].value, place, CHANNELS.get(take.topic.name, ""), error)
        records.append(record if seals is None else seals.rejected(record))
        places.append(place)
        made.undecodable[take.topic.name] += 1
    made.rejected = rejected_rows(records, places)


def _first(take: Take, memory: Memory, at: Sequence[int], ids: Sequence[str]) -> list[bool]:
    """Return for the records at `at` whether they are no repeats; all, if their topic has no filter."""
    known = memory.filters.get((take.topic.name, take.partition))
    if known is None:
        return [True] * len(at)
    arrived = np.array([take.arrived[i] for i in at], dtype=np.int64)
    out: list[bool] = known.first(id_words(ids), arrived).tolist()
    return out


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
        first = _first(take, memory, good, ids[len(keep) : len(keep) + len(good)])
        kept = good if all(first) else [i for i, new in zip(good, first, strict=True) if new]
        if len(kept) < len(good):
            made.repeats[take.topic.name] += len(good) - len(kept)
        made.counts += take.counted(at, good, kept)
        keep.extend(first)
        _place(columns, take, kept)
    _rejects(bad, made, memory.seals)
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


def _decoded(
    takes: Sequence[Take], kind: Kind, check: Callable[[Record], object] = lambda _record: None
) -> tuple[list[tuple[Take, list[int], list[Record]]], list[tuple[Take, int, UndecodableError]]]:
    """Return the records of `kind` in each take, and what is none."""
    out, bad = [], []
    for take in takes:
        at: list[int] = []
        records: list[Record] = []
        for i, one in enumerate(take.records):
            if is_tick(one.key, one.value):
                continue
            try:
                record = decode_as(kind, one.value)
                check(record)
            except UndecodableError as error:
                bad.append((take, i, error))
            else:
                at.append(i)
                records.append(record)
        out.append((take, at, records))
    return out, bad


def _plain(kind: Kind, rows: MakeRows, id_field: str = "") -> Make:
    """Return the maker for a topic of `kind`: one row a record, repeats of `id_field` left out."""

    def make(takes: Sequence[Take], memory: Memory) -> Made:
        made = Made()
        decoded, bad = _decoded(takes, kind)
        _rejects(bad, made, memory.seals)
        kept: list[Record] = []
        places: list[Place] = []
        for take, at, records in decoded:
            first = _first(take, memory, at, [one[id_field] for one in records]) if id_field else [True] * len(at)
            if not all(first):
                made.repeats[take.topic.name] += first.count(False)
            chosen = [i for i, new in zip(at, first, strict=True) if new]
            kept.extend(one for one, new in zip(records, first, strict=True) if new)
            places.extend(take.places(chosen))
            wanted = [i for i, one in enumerate(take.records) if not is_tick(one.key, one.value)]
            made.counts += take.counted(wanted, at, chosen)
        if kept:
            made.rows = rows(kept, places)
        return made

    return make


def _make_rejected(takes: Sequence[Take], memory: Memory) -> Made:
    """Return the rows of rejected_events: what others rejected, and what is no rejection either."""
    made = _plain(Kind.REJECTED, rejected_rows)(takes, memory)
    if made.rows is not None and made.rejected is not None:
        columns = made.rejected.columns
        made.rows = Rows({name: values + columns[name] for name, values in made.rows.columns.items()})
        made.rejected = None
    return made


def make_tallies(takes: Sequence[Take], memory: Memory) -> Made:
    """Return the rows of tallies; a block whose source had already got as far is a repeat.

    Decisions make no row, and lessons none: they say again what stands in the rows of other blocks.
    """
    made = Made()
    blocks = [
        take._replace(
            records=[one for one in take.records if not _is_decision(one)],
            arrived=[at for one, at in zip(take.records, take.arrived, strict=True) if not _is_decision(one)],
        )
        for take in takes
    ]
    decoded, bad = _decoded(blocks, Kind.BLOCK, from_record)
    _rejects(bad, made, memory.seals)
    kept: list[Record] = []
    places: list[Place] = []
    for take, at, records in decoded:
        for i, record in zip(at, records, strict=True):
            if record["topic"] == LESSON:
                continue
            line = block_line(record, memory.ends)
            if line is not None:
                made.closed += [(line, place) for place in take.places([i])]
            source = (record["topic_id"], record["partition"])
            if record["to_pane"] <= memory.blocks.get(source, -1):
                made.repeats[take.topic.name] += 1
                continue
            memory.blocks[source] = record["to_pane"]
            if record["rows"]:
                kept.append(record)
                places.extend(take.places([i]))
    if kept:
        made.rows = tally_rows(kept, places)
    return made


def _is_decision(one: Kept) -> bool:
    try:
        return kind_of(one.value) is Kind.DECISION
    except UndecodableError:
        return False


def transition_ids(values: Sequence[bytes | None]) -> tuple[list[int], list[str]]:
    """Return positions and ids of the transitions among values."""
    at, ids = [], []
    for i, value in enumerate(values):
        try:
            ids.append(decode_as(Kind.TRANSITION, value)["transition_id"])
        except UndecodableError:
            continue
        at.append(i)
    return at, ids


TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table(
            name="feedback_events", topics=EVENT_TOPICS, make=make_events, ids=event_ids,
            windows={one.name: one.repeat_window_ms for one in EVENT_TOPICS if one.repeat_window_ms is not None},
        ),
        Table(name="tallies", topics=(TALLIES,), make=make_tallies, batch_bytes=BLOCK_BATCH_BYTES, counts=False),
        Table(name="readings", topics=(READINGS,), make=_plain(Kind.READING, reading_rows)),
        Table(
            name="alarm_transitions", topics=(ALARMS, IMMEDIATE), ids=transition_ids,
            make=_plain(Kind.TRANSITION, transition_rows, "transition_id"),
            windows={one.name: one.repeat_window_ms or one.retention_ms for one in (ALARMS, IMMEDIATE)},
        ),
        Table(name=REJECTED_TABLE, topics=(REJECTED,), make=_make_rejected),
        Table(name=LEDGER_TABLE, topics=(LEDGER,), make=_plain(Kind.LEDGER, line_rows), counts=False),
    )
}  # fmt: skip
