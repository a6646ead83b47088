"""What every table's rows are made with: records of the log, what a sink remembers of it, and what became of them. Pure.

Repeats: an event or transition is dropped if its id stood in its partition at most W before (schemas.repeats).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from schemas.arrival import is_tick
from schemas.codec import Kind, decode_as
from schemas.errors import UndecodableError
from schemas.ledger import Line
from schemas.repeats import RepeatFilter, id_words
from schemas.topics import LIVE, Topic
from sinks.ledger_lines import Counted, Numbered, counted
from sinks.rows import MakeRows, Place, Record, Rows, rejected_rows, undecodable_record
from sinks.seals import Seals

CHANNELS = {topic.name: str(channel) for channel, topic in LIVE.items()}


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


def set_aside(bad: Sequence[tuple[Take, int, UndecodableError]], made: Made, seals: Seals | None) -> None:
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


def new_among(take: Take, memory: Memory, at: Sequence[int], ids: Sequence[str]) -> list[bool]:
    """Return for the records at `at` whether they are no repeats; all, if their topic has no filter."""
    known = memory.filters.get((take.topic.name, take.partition))
    if known is None:
        return [True] * len(at)
    arrived = np.array([take.arrived[i] for i in at], dtype=np.int64)
    out: list[bool] = known.first(id_words(ids), arrived).tolist()
    return out


def of_kind(
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


def one_row_each(kind: Kind, rows: MakeRows, id_field: str = "") -> Make:
    """Return the maker for a topic of `kind`: one row a record, repeats of `id_field` left out."""

    def make(takes: Sequence[Take], memory: Memory) -> Made:
        made = Made()
        decoded, bad = of_kind(takes, kind)
        set_aside(bad, made, memory.seals)
        kept: list[Record] = []
        places: list[Place] = []
        for take, at, records in decoded:
            first = new_among(take, memory, at, [one[id_field] for one in records]) if id_field else [True] * len(at)
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
