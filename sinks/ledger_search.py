"""Which records and rows are behind a balance that does not hold: by name, from the log and the table, for exactly those offsets."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_driver import Client

from schemas.arrival import is_tick
from schemas.codec import Kind, decode_as
from schemas.errors import UndecodableError
from schemas.ledger import Line
from schemas.topics import TOPICS
from sinks.ledger_balance import TABLE_OF
from sinks.positions import Fetched, read_ranges
from sinks.tables import REJECTED_TABLE

_KINDS = {topic.name: topic.record for topic in TOPICS}
_FILTERED = {topic.name for topic in TOPICS if topic.repeat_window_ms is not None}
_IDS: Mapping[str, str] = {
    "feedback_events": "event_id", "rejected_events": "rejected_id", "alarm_transitions": "transition_id",
    "readings": "concat(metric_version, '|', dimension, '|', key, '|', window, '|', toString(toUnixTimestamp64Milli(window_end)),"
    " '|', toString(revision))",
}  # fmt: skip
_NAMES: Mapping[Kind, Callable[[Mapping[str, Any]], str]] = {
    Kind.EVENT: lambda one: str(one["event_id"]),
    Kind.REJECTED: lambda one: str(one["rejected_id"]),
    Kind.TRANSITION: lambda one: str(one["transition_id"]),
    Kind.READING: lambda one: "|".join(
        str(one[name]) for name in ("metric_version", "dimension", "key", "window", "window_end", "revision")
    ),
}
UNREADABLE = ""
"""What stands for the id of a record that cannot be read."""


class Named(NamedTuple):
    """A record or row: its offset and id, and how many rows there are."""

    offset: int
    id: str
    rows: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong at the offsets of a line, by offset."""

    missing: list[Named]
    """Records without a row."""
    doubled: list[Named]
    """Rows that stand more than once."""
    strange: list[Named]
    """Rows at offsets where no event stands."""
    records: int
    ticks: int
    repeats: int
    read_from: int
    """First offset that the log still holds; before it nothing can be named."""

    @property
    def clean(self) -> bool:
        """Return whether every record has its row, once."""
        return not (self.missing or self.doubled or self.strange)


async def search(
    reader: AIOKafkaConsumer, ask: Callable[[Callable[[Client], Any]], Any], prefix: str, line: Line
) -> Found:
    """Return what is wrong at the offsets of a line. `ask` puts a query to ClickHouse. Raises ContractError, UnavailableError."""
    tp = TopicPartition(prefix + line.source_topic, line.source_partition)
    begins = (await reader.beginning_offsets([tp]))[tp]
    first = min(max(line.first_offset, begins), line.next_offset)
    rows: Counter[tuple[int, str]] = ask(lambda client: _rows(client, line))
    stored = {offset for offset, _ in rows}
    kind, ticks, records, left = _KINDS[line.source_topic], 0, 0, []
    standing = set()
    async for _, some in read_ranges(reader, {tp: (first, line.next_offset)}):
        for one in some:
            records += 1
            if is_tick(one.key, one.value):
                ticks += 1
                continue
            standing.add(one.offset)
            if one.offset not in stored:
                left.append((one.offset, _name(kind, one)))
    known: dict[str, int] = ask(lambda client: _known(client, line, {name for _, name in left}))
    missing = list(_missing(left, known)) if line.source_topic in _FILTERED else [Named(*one, 0) for one in left]
    # of a doubled record the repeats are rows of their own places, or none
    doubled = [Named(offset, name, count) for (offset, name), count in sorted(rows.items()) if count > 1]
    strange = [
        Named(offset, name, count)
        for (offset, name), count in sorted(rows.items())
        if offset >= first and offset not in standing
    ]
    return Found(
        missing=missing, doubled=doubled, strange=strange, records=records, ticks=ticks, repeats=len(left) - len(missing),
        read_from=first,
    )  # fmt: skip


def _name(kind: Kind, one: Fetched) -> str:
    try:
        return _NAMES[kind](decode_as(kind, one.value))
    except UndecodableError:
        return UNREADABLE


def _missing(left: Sequence[tuple[int, str]], known: Mapping[str, int]) -> Iterable[Named]:
    """Yield the records that are no repeats: of an id, the first without a row, unless an earlier record of it has one."""
    seen = set()
    for offset, name in left:
        repeated = name in seen or known.get(name, offset) < offset
        if name == UNREADABLE or not repeated:
            yield Named(offset, name, 0)
        seen.add(name)


def _rows(client: Client, line: Line) -> Counter[tuple[int, str]]:
    """Return (offset, id) -> rows at the offsets of a line, in its table and in rejected_events."""
    out: Counter[tuple[int, str]] = Counter()
    for table in sorted({TABLE_OF[line.source_topic], REJECTED_TABLE}):
        out.update(
            {
                (offset, name): count
                for offset, name, count in client.execute(
                    f"SELECT `offset`, {_IDS[table]} AS id, count() FROM {table} WHERE topic_id = %(topic_id)s"
                    " AND `partition` = %(partition)s AND `offset` >= %(first)s AND `offset` < %(next)s GROUP BY `offset`, id",
                    _place(line),
                )
            }
        )
    return out


def _known(client: Client, line: Line, names: set[str]) -> dict[str, int]:
    """Return id -> the first offset of the partition at which it has a row."""
    if not names:
        return {}
    table = TABLE_OF[line.source_topic]
    return dict(
        client.execute(
            f"SELECT {_IDS[table]} AS id, min(`offset`) FROM {table} WHERE topic_id = %(topic_id)s"
            " AND `partition` = %(partition)s AND id IN %(names)s GROUP BY id",
            {**_place(line), "names": tuple(names)},
            settings={"max_query_size": 1 << 28},
        )
    )


def _place(line: Line) -> dict[str, Any]:
    return {
        "topic_id": line.source_topic_id, "partition": line.source_partition, "first": line.first_offset,
        "next": line.next_offset,
    }  # fmt: skip
