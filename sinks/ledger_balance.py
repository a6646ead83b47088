"""The balance of the ledger: every offset of a partition is a row, a repeat, a rejection, a tick or a marker, or it is missing.

What was published is a stretch of offsets; what became of it is said by the sink's line and, for the sources, by stage 1's; what is
there now is counted in the tables. A row that is gone and a row too many do not cancel: the squares of the offsets are added too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from clickhouse_driver import Client

from schemas.ledger import GATE, SINK, TALLY, Line
from schemas.topics import ALARMS, EVENT_TOPICS, IMMEDIATE, READINGS, REJECTED, TOPICS, Topic
from sinks.ledger_lines import WORD
from sinks.tables import REJECTED_TABLE

TABLE_OF: Mapping[str, str] = {
    **{topic.name: "feedback_events" for topic in EVENT_TOPICS},
    READINGS.name: "readings", ALARMS.name: "alarm_transitions", IMMEDIATE.name: "alarm_transitions",
    REJECTED.name: REJECTED_TABLE,
}  # fmt: skip
"""Topic -> the table that its records become rows of."""
_TOPICS: Mapping[str, Topic] = {topic.name: topic for topic in TOPICS}
_COLUMNS = tuple(name for name in Line.__struct_fields__ if name not in {"incarnation", "seq"})

Partition = tuple[str, int]
"""Topic id and partition."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a sink with what stands now at its offsets; `hour` in ms. A line that nobody wrote is a gap: `counted` is False."""

    line: Line
    closed: bool = True
    """Whether its hour is over; the hour under way is balanced as far as the sink has come."""
    counted: bool = True
    rows: int = 0
    rejected: int = 0
    squares: int = 0
    said_by_tally: Line | None = None
    """The sum of stage 1's lines, where it has come as far."""

    @property
    def offsets(self) -> int:
        """Return the offsets that the log has given out."""
        return self.line.next_offset - self.line.first_offset

    @property
    def markers(self) -> int:
        """Return the offsets without a record where transactions may leave some."""
        return self.line.holes if _TOPICS[self.line.source_topic].transactional else 0

    @property
    def residue(self) -> int:
        """Return the offsets of which nobody knows what became; negative: rows that no record accounts for."""
        line = self.line
        return self.offsets - self.rows - self.rejected - line.repeats - line.ticks - self.markers

    @property
    def faults(self) -> list[str]:
        """Return in words what does not hold."""
        if not self.counted:
            return [f"nobody has counted these {self.offsets} offsets: they were skipped"]
        out = []
        line = self.line
        if line.holes != self.markers:
            out.append(f"{line.holes} offsets were skipped: this topic has no markers")
        if self.residue != 0:
            out.append(f"{abs(self.residue)} rows {'missing' if self.residue > 0 else 'too many'}")
        elif self.squares != line.squares:
            out.append("as many rows as there should be, but not at the offsets where records stand")
        if self.said_by_tally is not None:
            out += _differences(line, self.said_by_tally)
        return out

    @property
    def unaccounted(self) -> int:
        """Return how many events are missing or too many, at least; 0 if the balance holds."""
        return max(abs(self.residue), 1) if self.faults else 0


def _differences(line: Line, tally: Line) -> list[str]:
    names = ("first_offset", "next_offset", "events", "repeats", "undecodable", "ticks", "holes")
    pairs = [(name, getattr(line, name), getattr(tally, name)) for name in names]
    return [f"the sink says {name} {one}, stage 1 {other}" for name, one, other in pairs if one != other]


def read_lines(client: Client, writer: str, since_ms: int) -> list[Line]:
    """Return the lines of a writer of the hours from `since_ms` on, by partition and offset."""
    names = ", ".join("toUnixTimestamp(hour) * 1000" if name == "hour" else f"toString({name})" if name in {
        "writer", "source_topic", "source_topic_id"} else name for name in _COLUMNS)  # fmt: skip
    rows = client.execute(
        f"SELECT {names} FROM ledger WHERE writer = %(writer)s AND hour >= toDateTime(%(since)s, 'UTC')"
        " ORDER BY source_topic, source_topic_id, source_partition, first_offset, next_offset",
        {"writer": writer, "since": since_ms // 1000},
    )
    return [Line(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def ends_before(client: Client, since_ms: int) -> dict[Partition, int]:
    """Return (topic id, partition) -> where the lines of the sink, or of the gate, of earlier hours end."""
    rows = client.execute(
        "SELECT toString(source_topic_id), source_partition, max(next_offset) FROM ledger"
        " WHERE writer IN %(writers)s AND hour < toDateTime(%(since)s, 'UTC') GROUP BY source_topic_id, source_partition",
        {"writers": (SINK, GATE), "since": since_ms // 1000},
    )
    return {(topic_id, partition): end for topic_id, partition, end in rows}


def balance(client: Client, since_ms: int, under_way: Sequence[Line] = ()) -> list[Stretch]:
    """Return the stretches of the hours from `since_ms` (the begin of one) on, gaps among them, by partition and offset.

    `under_way`: the lines that sinks keep open, ended where they have committed.
    """
    lines = [*read_lines(client, SINK, since_ms), *read_lines(client, GATE, since_ms)]
    at = {(one.source_topic_id, one.source_partition, one.first_offset) for one in lines}
    # a line may have been closed since its open form was read
    opened = [one for one in under_way if (one.source_topic_id, one.source_partition, one.first_offset) not in at]
    found = _with_gaps([*lines, *opened], ends_before(client, since_ms), {id(one) for one in opened})
    tallied = _tallied(read_lines(client, TALLY, since_ms))
    rows = _stored(client, [one.line for one in found], since_ms)
    return [
        msgspec.structs.replace(
            one, rows=rows[i][0], rejected=rows[i][1], squares=rows[i][2],
            said_by_tally=_said(tallied, one.line) if one.closed and one.counted else None,
        )
        for i, one in enumerate(found)
    ]  # fmt: skip


def _with_gaps(lines: Iterable[Line], ends: Mapping[Partition, int], opened: set[int]) -> list[Stretch]:
    out: list[Stretch] = []
    reached = dict(ends)
    for line in sorted(
        lines, key=lambda one: (one.source_topic, one.source_topic_id, one.source_partition, one.first_offset)
    ):
        where = (line.source_topic_id, line.source_partition)
        before = reached.get(where, line.first_offset)
        if before < line.first_offset:
            gap = msgspec.structs.replace(
                line, first_offset=before, next_offset=line.first_offset, events=0, repeats=0, undecodable=0, ticks=0,
                holes=0, squares=0,
            )  # fmt: skip
            out.append(Stretch(line=gap, counted=False))
        reached[where] = max(before, line.next_offset)
        out.append(Stretch(line=line, closed=id(line) not in opened))
    return out


def _tallied(lines: Iterable[Line]) -> dict[tuple[str, int, int], list[Line]]:
    out: dict[tuple[str, int, int], list[Line]] = defaultdict(list)
    for one in lines:
        out[one.source_topic_id, one.source_partition, one.hour].append(one)
    return out


def _said(tallied: Mapping[tuple[str, int, int], Sequence[Line]], line: Line) -> Line | None:
    """Return stage 1's lines of the same hour as one; None if they begin later (the ledger is new) or do not yet reach its end."""
    some = tallied.get((line.source_topic_id, line.source_partition, line.hour), ())
    if not some or some[0].first_offset > line.first_offset or some[-1].next_offset < line.next_offset:
        return None
    total = {
        name: sum(getattr(one, name) for one in some) for name in ("events", "repeats", "undecodable", "ticks", "holes")
    }
    return msgspec.structs.replace(some[0], next_offset=some[-1].next_offset, **total)


def _stored(client: Client, lines: Sequence[Line], since_ms: int) -> list[tuple[int, int, int]]:
    """Return for each line the rows in its table, those in rejected_events, and the squares of the offsets of both.

    What the gate reads has no rows of its own: its word stands, and the rows are those of what it admitted.
    """
    said = [one.writer == GATE for one in lines]
    own = [one.events if gate else 0 for one, gate in zip(lines, said, strict=True)]
    aside = [one.undecodable if gate else 0 for one, gate in zip(lines, said, strict=True)]
    squares = [0] * len(lines)
    for table in sorted({*TABLE_OF.values()}):
        some = [
            (i, one)
            for i, one in enumerate(lines)
            if not said[i] and table in {TABLE_OF.get(one.source_topic, ""), REJECTED_TABLE}
        ]
        for ix, count, total in _counted(client, table, some, since_ms):
            (own if table == TABLE_OF[lines[ix].source_topic] else aside)[ix] += count
            squares[ix] = (squares[ix] + total) % WORD
    return list(zip(own, aside, squares, strict=True))


def _counted(client: Client, table: str, some: Sequence[tuple[int, Line]], since_ms: int) -> list[tuple[int, int, int]]:
    if not some:
        return []
    wanted = [
        {"ix": ix, "id": one.source_topic_id, "part": one.source_partition, "first": one.first_offset, "next": one.next_offset}
        for ix, one in some
    ]  # fmt: skip
    structure = [("ix", "UInt32"), ("id", "String"), ("part", "UInt16"), ("first", "UInt64"), ("next", "UInt64")]
    found: list[Any] = client.execute(
        f"""
        SELECT w.ix, count(), sum(r.at * r.at)
        FROM
        (
            SELECT toString(topic_id) AS id, `partition` AS part, `offset` AS at FROM {table}
            WHERE arrived_at >= fromUnixTimestamp64Milli(%(since)s, 'UTC') AND topic_id IN %(ids)s
        ) AS r
        ASOF INNER JOIN wanted AS w ON r.id = w.id AND r.part = w.part AND r.at >= w.first
        WHERE r.at < w.next
        GROUP BY w.ix
        """,
        {"since": since_ms, "ids": tuple({one.source_topic_id for _, one in some})},
        external_tables=[{"name": "wanted", "structure": structure, "data": wanted}],
    )  # fmt: skip
    return [(ix, count, total) for ix, count, total in found]
