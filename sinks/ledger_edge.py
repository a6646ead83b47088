"""What gateways and imports say was acknowledged to them, held against the log: at least so many records must stand there."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from clickhouse_driver import Client

from schemas.ledger import GATEWAY, Line


class Acked(msgspec.Struct, frozen=True, kw_only=True):
    """One partition: records acknowledged, the first offset behind them, where the log ends, and what does not hold."""

    topic: str
    partition: int
    acknowledged: int
    next_offset: int
    log_end: int
    faults: list[str]


def acknowledged(
    client: Client, since_ms: int, lines: Sequence[Line], ends: Mapping[tuple[str, int], int], current: Collection[str]
) -> list[Acked]:
    """Return what was acknowledged by partition. `ends`: (topic, partition) -> end of the log; `current`: ids of the topics now.

    A line that was published twice counts once. Counts are held against the sink's only where they lie within one of its lines.
    """
    rows = client.execute(
        "SELECT DISTINCT toString(source_topic), toString(source_topic_id), source_partition, first_offset, next_offset, events,"
        " incarnation, seq FROM ledger WHERE writer = %(writer)s AND hour >= toDateTime(%(since)s, 'UTC')",
        {"writer": GATEWAY, "since": since_ms // 1000},
    )
    held: dict[tuple[str, str, int], list[tuple[int, int, int]]] = {}
    for topic, topic_id, partition, first, following, events, _, _ in rows:
        held.setdefault((topic, topic_id, partition), []).append((first, following, events))
    out = []
    for (topic, topic_id, partition), some in sorted(held.items()):
        if topic_id not in current:
            continue
        end, reached = ends[topic, partition], max(following for _, following, _ in some)
        faults = [f"{reached - end} acknowledged offsets are behind the end of the log"] if reached > end else []
        for line in lines:
            if (line.source_topic_id, line.source_partition) == (topic_id, partition):
                within = sum(
                    n for first, following, n in some if line.first_offset <= first and following <= line.next_offset
                )
                stand = line.events + line.repeats + line.undecodable
                if within > stand:
                    faults.append(
                        f"{within} records acknowledged, {stand} stand at offsets {line.first_offset} and after"
                    )
        out.append(
            Acked(
                topic=topic, partition=partition, acknowledged=sum(n for _, _, n in some), next_offset=reached, log_end=end,
                faults=faults,
            )
        )  # fmt: skip
    return out
