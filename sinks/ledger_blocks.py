"""What stage 1 says of its sources, for the ledger: its blocks count every offset once, so nothing more need be published.

Stage 1 decides by itself, in another process, which record is an event, a repeat, a tick or undecodable; its lines are a second
opinion on those of the sink. Pure.
"""

from collections.abc import Mapping
from typing import Any

from clickhouse_driver import Client

from schemas.ledger import TALLY, Line
from schemas.topics import SOURCES
from schemas.windows import HOUR_MS

Source = tuple[str, int]
_NAMES = frozenset(topic.name for topic in SOURCES)


def block_line(block: Mapping[str, Any], ends: dict[Source, int]) -> Line | None:
    """Return the line of a block, given as its record; None if it counts no offset, or none that was not counted before.

    `ends`: source (topic id, partition) -> first offset that no block has counted; it moves with the blocks, and the first
    block of a source only begins it.
    """
    if block["topic"] not in _NAMES:
        return None
    source, end = (block["topic_id"], block["partition"]), block["next_offset"]
    first = ends.get(source)
    if first is not None and end <= first:
        return None
    ends[source] = end
    if first is None:
        return None
    counts = {name: block[name] for name in ("events", "repeats", "undecodable", "ticks")}
    return Line(
        writer=TALLY, source_topic=block["topic"], source_topic_id=source[0], source_partition=source[1],
        hour=(block["to_pane"] - 1) // HOUR_MS * HOUR_MS, first_offset=first, next_offset=end,
        holes=end - first - sum(counts.values()), **counts,
    )  # fmt: skip


def counted_ends(client: Client, offsets: Mapping[Source, int]) -> dict[Source, int]:
    """Return source -> first offset that no block has counted, by the lines of the log's records before `offsets`.

    `offsets`: (topic id, partition) of the tallies log -> first offset not yet read.
    """
    out: dict[Source, int] = {}
    for (topic_id, partition), offset in offsets.items():
        rows = client.execute(
            "SELECT toString(source_topic_id), source_partition, max(next_offset) FROM ledger"
            " WHERE writer = %(writer)s AND topic_id = %(topic_id)s AND `partition` = %(partition)s"
            " AND `offset` < %(offset)s GROUP BY source_topic_id, source_partition",
            {"writer": TALLY, "topic_id": topic_id, "partition": partition, "offset": offset},
        )
        out |= {(source_id, source_partition): end for source_id, source_partition, end in rows}
    return out
