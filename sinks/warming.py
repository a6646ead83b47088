"""What a sink must remember when it starts: the ids of the last W of arrived time, and how far each source's blocks are stored."""

from collections.abc import Mapping

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_driver import Client

from schemas.arrival import arrived_run, is_tick, sent_of
from schemas.repeats import RepeatFilter, id_words
from sinks.positions import read_ranges
from sinks.tables import Table


async def warm_filters(
    reader: AIOKafkaConsumer, table: Table, prefix: str, starts: Mapping[TopicPartition, tuple[int, int]]
) -> dict[tuple[str, int], RepeatFilter]:
    """Return (topic without prefix, partition) -> filter, as it stood at the start of each partition.

    `starts`: partition -> (offset of the first record not yet read, arrived time before it). The warm-up reads from the first
    record appended at most W before up to that offset, exclusive. Arrived times are bounded by append times, so whatever
    stands before is out of the window.
    """
    filters, windows = {}, {}
    for tp in starts:
        window = table.windows.get(tp.topic.removeprefix(prefix))
        if window is not None:
            filters[tp] = RepeatFilter(window)
            windows[tp] = window
    since = {tp: max(0, starts[tp][1] - window) for tp, window in windows.items() if starts[tp][1]}
    found = await reader.offsets_for_times(since) if since else {}
    ranges = {tp: (one.offset, starts[tp][0]) for tp, one in found.items() if one is not None}
    arrived = dict.fromkeys(ranges, 0)
    async for tp, records in read_ranges(reader, ranges):
        times = arrived_run(arrived[tp], [one.timestamp for one in records], [sent_of(one.headers) for one in records])
        arrived[tp] = times[-1]
        wanted = [i for i, one in enumerate(records) if not is_tick(one.key, one.value)]
        assert table.ids is not None
        good, ids = table.ids([records[i].value for i in wanted])
        at = np.array([times[wanted[i]] for i in good], dtype=np.int64)
        filters[tp].first(id_words(ids), at)
    return {(tp.topic.removeprefix(prefix), tp.partition): one for tp, one in filters.items()}


def stored_blocks(client: Client, offsets: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """Return source (topic id, partition) -> last pane stored, of the log's records before `offsets`.

    `offsets`: (topic id, partition) of the tallies log -> first offset not yet read. Empty blocks leave no row, and none is needed.
    """
    out: dict[tuple[str, int], int] = {}
    for (topic_id, partition), offset in offsets.items():
        rows = client.execute(
            "SELECT toString(source_topic_id), source_partition, toUnixTimestamp64Milli(max(to_pane)) FROM tallies"
            " WHERE topic_id = %(topic_id)s AND `partition` = %(partition)s AND `offset` < %(offset)s"
            " GROUP BY source_topic_id, source_partition",
            {"topic_id": topic_id, "partition": partition, "offset": offset},
        )
        for source_id, source_partition, pane in rows:
            source = (source_id, source_partition)
            out[source] = max(pane, out.get(source, -1))
    return out
