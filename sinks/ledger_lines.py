"""The lines of the ledger: which stretch of offsets of a partition, of one hour of arrived time, became what. Pure.

A line begins where the one before it ends, so a stretch that nobody counts shows as a gap. It is closed by the first record of a
later hour. Until then it stands, open, beside the committed offset of the sink; so lines follow from the log alone, whatever
is killed, and cost one row a partition and hour.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from schemas.ledger import SINK, Line
from schemas.windows import HOUR_MS
from sinks.rows import Place, Record, Rows, place_columns

LEDGER_TABLE = "ledger"
WORD = 1 << 64
"""Squares are added modulo this, as ClickHouse adds UInt64."""


class Open(msgspec.Struct, frozen=True, array_like=True):
    """The line under way in a partition: counts of the records from offset `first` on, all of one hour (-1: none yet)."""

    first: int
    hour: int = -1
    events: int = 0
    repeats: int = 0
    undecodable: int = 0
    ticks: int = 0
    squares: int = 0


class Counted(NamedTuple):
    """Consecutive records of one hour: the place of the first of them, and what they became."""

    begins: Place
    hour: int
    events: int
    repeats: int
    undecodable: int
    ticks: int
    squares: int


class Numbered(NamedTuple):
    """Records as positions in a list, ascending: those that are no ticks, those that can be read, those that became rows."""

    records: Sequence[int]
    good: Sequence[int]
    kept: Sequence[int]


def squares_of(offsets: Iterable[int]) -> int:
    """Return the sum of squares, modulo 2^64."""
    return sum(one * one for one in offsets) % WORD


def _squares_between(first: int, last: int) -> int:
    def upto(n: int) -> int:
        return n * (n + 1) * (2 * n + 1) // 6

    return (upto(last) - upto(first - 1)) % WORD


def counted(places: Place, offsets: Sequence[int], arrived: Sequence[int], at: Numbered) -> list[Counted]:
    """Return what records became, by hour of arrived time; `places`: the partition (its offset and time do not matter)."""
    out, start, end = [], 0, len(offsets)
    while start < end:
        hour = arrived[start] // HOUR_MS * HOUR_MS
        stop = end if arrived[-1] < hour + HOUR_MS else bisect_left(arrived, hour + HOUR_MS, start)
        records, good, kept = (one[bisect_left(one, start) : bisect_left(one, stop)] for one in at)
        begins = places._replace(offset=offsets[start], arrived_at=arrived[start])
        if len(kept) == stop - start == offsets[stop - 1] - offsets[start] + 1:
            squares = _squares_between(offsets[start], offsets[stop - 1])
        else:
            bad = set(records).difference(good) if len(good) < len(records) else ()
            squares = squares_of(offsets[i] for part in (kept, bad) for i in part)
        out.append(
            Counted(
                begins, hour, len(kept), len(good) - len(kept), len(records) - len(good), stop - start - len(records),
                squares,
            )
        )  # fmt: skip
        start = stop
    return out


def advanced(line: Open, some: Sequence[Counted]) -> tuple[list[tuple[Line, Place]], Open]:
    """Return the lines that these records close, with the places of the records that close them, and the line then open."""
    closed = []
    for one in some:
        if line.hour not in (-1, one.hour):
            closed.append((ended(line, one.begins, one.begins.offset), one.begins))
            line = Open(one.begins.offset)
        line = Open(
            line.first, one.hour, line.events + one.events, line.repeats + one.repeats,
            line.undecodable + one.undecodable, line.ticks + one.ticks, (line.squares + one.squares) % WORD,
        )  # fmt: skip
    return closed, line


def ended(line: Open, place: Place, next_offset: int) -> Line:
    """Return the line of a sink that ends before `next_offset`, in the partition of `place`."""
    records = line.events + line.repeats + line.undecodable + line.ticks
    return Line(
        writer=SINK, source_topic=place.topic, source_topic_id=place.topic_id, source_partition=place.partition,
        hour=line.hour, first_offset=line.first, next_offset=next_offset, events=line.events, repeats=line.repeats,
        undecodable=line.undecodable, ticks=line.ticks, holes=next_offset - line.first - records, squares=line.squares,
    )  # fmt: skip


def ledger_rows(lines: Sequence[tuple[Line, Place]]) -> Rows | None:
    """Return the rows of lines, each at the place of the record that closed it; None if there are none."""
    if not lines:
        return None
    return line_rows([msgspec.structs.asdict(line) for line, _ in lines], [place for _, place in lines])


def line_rows(records: Sequence[Record], places: Sequence[Place]) -> Rows:
    """Return the rows of lines given as records."""
    columns = {name: [one[name] for one in records] for name in Line.__struct_fields__}
    columns["hour"] = [one // 1000 for one in columns["hour"]]
    return Rows({**columns, **place_columns(places)})
