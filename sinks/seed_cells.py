"""The past of series by SQL, as cells: of new series from the stored events before each source's cut, of known ones from `tallies`.

A seed holds what stage 1 would have counted in the blocks before the cuts, had it known the metric: at a cut, what is due and
unanswered is late, what was promised a moment later is not known. Nothing of it is fresh.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from clickhouse_driver import Client

from schemas.blocks import Cells, Series
from schemas.catalogue import Catalogue
from schemas.metrics import Metric
from schemas.windows import DAY_MS, WINDOWS
from sinks.compiled.cells import event_cells
from sinks.compiled.literals import text
from sinks.compiled.selections import Rows

REACH_MS = max(one.span_ms + one.lateness_ms for one in WINDOWS.values()) + DAY_MS
"""How old what a judge still reads may be, and a day more."""
AHEAD_MS = DAY_MS
"""More than an event may occur after it arrives: the edge allows minutes."""
BLOCK_ROWS = 50_000
BLOCK_BYTES = 4 << 20
_ROW_BYTES = 33
_SETTINGS = {
    "max_block_size": 65_536,
    "max_bytes_before_external_group_by": 1 << 30,
    "max_bytes_before_external_sort": 1 << 30,
}

Row = tuple[str, str, str, str, int, int, int, int]
"""(metric, dimension, key, stratum, minute, bin, count, sum), minute since the epoch."""


class Cut(NamedTuple):
    """Where a source partition begins to count with a catalogue: what arrived before `pane` (ms) was counted without it."""

    topic: str
    topic_id: str
    partition: int
    pane: int


def oldest(pane: int) -> int:
    """Return the occurred time (ms) from which on the past still matters to whom judges `pane`."""
    return (pane - REACH_MS) // DAY_MS * DAY_MS


def memory_ms(metric: Metric) -> int:
    """Return how much arrived time before an event decides what it counts for."""
    return max(2 * metric.memory_ms, metric.within_ms, metric.one_per_period_ms)


def before(cuts: Sequence[Cut], since: int) -> Rows:
    """Return the events that arrived from `since` on and before the cuts; panes are closed up to there."""
    within = " OR ".join(
        f"(topic_id = {text(one.topic_id)} AND partition = {one.partition} AND arrived_at < {_moment(one.pane)})"
        for one in cuts
    )
    ends = ", ".join(f"({text(one.topic_id)}, {one.partition}, {one.pane})" for one in cuts)
    closed = (
        "(SELECT at.1 AS topic_id, at.2 AS partition, at.3 AS reached FROM "
        f"(SELECT arrayJoin(CAST([{ends}], 'Array(Tuple(String, UInt16, Int64))')) AS at))"
    )
    events = f"(SELECT * FROM feedback_events WHERE arrived_at >= {_moment(since)} AND ({within or '0'}))"
    return Rows(events, closed)


def _moment(ms: int) -> str:
    return f"fromUnixTimestamp64Milli(toInt64({max(0, ms)}), 'UTC')"


def past_cells(
    client: Client, metric: Metric, catalogue: Catalogue, cuts: Sequence[Cut], since: int
) -> Iterator[Cells]:
    """Yield the cells of a metric in order, of what occurred from `since` (ms) on and arrived before the cuts."""
    rows = before(cuts, since - AHEAD_MS - memory_ms(metric))
    cells = (
        f"SELECT {text(metric.identity)} AS metric, dimension, key, stratum, minute, bin, count, sum "
        f"FROM ({event_cells(metric, catalogue, rows)})"
    )
    yield from _asked(client, cells, since)


def lesson_cells(client: Client, heard: Iterable[tuple[Metric, str]], pane: int, since: int) -> Iterator[Cells]:
    """Yield the cells of (metric, dimension) in order, of what occurred from `since` on and was counted before `pane` (ms)."""
    wanted = ", ".join(f"({text(metric.identity)}, {text(dimension)})" for metric, dimension in heard)
    if wanted:
        cells = (
            "SELECT toString(metric) AS metric, toString(dimension) AS dimension, toString(key) AS key, "
            "toString(stratum) AS stratum, minute, toInt64(bin) AS bin, count, sum "
            f"FROM tallies WHERE (metric, dimension) IN ({wanted}) AND to_pane < {_moment(pane)}"
        )
        yield from _asked(client, cells, since)


def stored_events(client: Client, cuts: Sequence[Cut], since: int) -> int:
    """Return how many events occurred from `since` on and arrived before the cuts."""
    rows = before(cuts, since - AHEAD_MS)
    ((found,),) = client.execute(f"SELECT count() FROM {rows.events} WHERE occurred_at >= {_moment(since)}")
    return int(found)


def _asked(client: Client, cells: str, since: int) -> Iterator[Cells]:
    rows = client.execute_iter(
        "SELECT metric, dimension, key, stratum, toInt64(intDiv(toUnixTimestamp(minute), 60)) AS at, bin, "
        f"sum(count) AS counted, sum(sum) AS total FROM ({cells}) WHERE minute >= toDateTime({max(0, since) // 1000}, 'UTC') "
        "GROUP BY metric, dimension, key, stratum, at, bin HAVING counted != 0 OR total != 0 "
        "ORDER BY metric, dimension, key, stratum, at, bin",
        settings=_SETTINGS,
    )
    yield from in_blocks(rows)


def in_blocks(rows: Iterable[Row], most_rows: int = BLOCK_ROWS, most_bytes: int = BLOCK_BYTES) -> Iterator[Cells]:
    """Yield rows that come in order and are all different as cells, as many at a time as a block may hold."""
    held: list[tuple[int, int, int, int, int, int]] = []
    series: list[Series] = []
    size = 0
    for name, some in groupby(rows, key=itemgetter(slice(4))):
        series.append(Series(*name))
        size += sum(map(len, name))
        for _, _, _, _, minute, bin_, count, total in some:
            if len(held) == most_rows or (held and size >= most_bytes):
                yield _cells(series if held[-1][0] == len(series) - 1 else series[:-1], held)
                series, held, size = [series[-1]], [], sum(map(len, name))
            held.append((len(series) - 1, minute, bin_, 0, count, total))
            size += _ROW_BYTES
    if held:
        yield _cells(series, held)


def _cells(series: list[Series], rows: list[tuple[int, int, int, int, int, int]]) -> Cells:
    table = np.array(rows, dtype=np.int64)
    names = ("series_ix", "minute", "bin", "fresh", "count", "sum")
    return Cells(list(series), {name: table[:, i] for i, name in enumerate(names)})
