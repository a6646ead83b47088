"""Dirty windows by SQL: which ends of readings late counts have changed beyond the judge's reach, and their counts anew.

The judge keeps each window's counts for its rung of the ladder (schemas/windows.py). A count that comes later still
stands in `tallies`, so the window is counted from there.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clickhouse_driver import Client

from schemas.metrics import Metric
from schemas.windows import WINDOWS, Window

CHUNK = 5_000


class End(NamedTuple):
    """A window end of one series that has a row, and that row: its revision and bins."""

    metric: str
    dimension: str
    key: str
    window: str
    window_end: int
    revision: int
    bins: dict[str, int]


class Counted(NamedTuple):
    """Counts by bin of a window, and the sum of what was counted."""

    bins: dict[int, int]
    total: int


def changed_ends(client: Client, metrics: Mapping[str, Metric], after: int, upto: int) -> list[End]:
    """Return the ends with a row that counts of the panes (after, upto] changed beyond the judge's reach, in order.

    `metrics`: identity -> metric; panes in ms. Ends without a row stay without: their windows are the views' business.
    """
    out: list[End] = []
    for window in WINDOWS.values():
        identities = tuple(identity for identity, metric in metrics.items() if window.name in metric.windows)
        if identities:
            rows = client.execute(_changed(window), {"metrics": identities, "after": after, "upto": upto})
            out += [
                End(metric, dimension, key, name, end, revision, dict(bins))
                for metric, dimension, key, name, end, revision, bins in rows
            ]
    return sorted(out)


def _changed(window: Window) -> str:
    # entered, recountable: streams/core/grid.py says the same of one bucket and pane
    return f"""
        SELECT r.metric_version, r.dimension, r.key, '{window.name}', toUnixTimestamp64Milli(r.window_end) AS end_ms,
            argMax(r.revision, (r.revision, r.as_of)), argMax(r.bins, (r.revision, r.as_of))
        FROM readings AS r
        WHERE r.window = '{window.name}' AND (r.metric_version, r.dimension, r.key, toUnixTimestamp64Milli(r.window_end)) IN
        (
            SELECT DISTINCT metric, dimension, key,
                arrayJoin(range(entered, least(entered + {window.length_ms}, recountable), {window.step_ms}))
            FROM
            (
                SELECT metric, dimension, key,
                    toUnixTimestamp64Milli(to_pane) AS pane, toInt64(toUnixTimestamp(minute)) * 1000 AS at,
                    intDiv(at, {window.step_ms}) * {window.step_ms} + {window.step_ms} AS entered,
                    intDiv(pane, {window.bucket_ms}) * {window.bucket_ms} - {window.span_ms} AS rung,
                    intDiv(rung + {window.length_ms} + {window.step_ms} - 1, {window.step_ms}) * {window.step_ms}
                        AS recountable
                FROM tallies
                WHERE metric IN %(metrics)s AND pane > %(after)s AND pane <= %(upto)s AND entered < recountable
            )
        )
        GROUP BY r.metric_version, r.dimension, r.key, end_ms
    """


def recounted(client: Client, ends: Sequence[End], upto: int) -> list[Counted]:
    """Return the counts of the windows of `ends`, from all blocks up to the pane `upto`."""
    out: list[Counted] = []
    for at in range(0, len(ends), CHUNK):
        out += _recounted(client, ends[at : at + CHUNK], upto)
    return out


def _recounted(client: Client, ends: Sequence[End], upto: int) -> list[Counted]:
    wanted = [
        {"ix": ix, "metric": end.metric, "dimension": end.dimension, "key": end.key, "start": end.window_end - length,
         "end": end.window_end}
        for ix, end in enumerate(ends)
        for length in (WINDOWS[end.window].length_ms,)
    ]  # fmt: skip
    structure = [("ix", "Int64"), ("metric", "String"), ("dimension", "String"), ("key", "String"), ("start", "Int64"),
                 ("end", "Int64")]  # fmt: skip
    rows = client.execute(
        """
        SELECT w.ix, t.bin, sum(t.count) AS counted, sum(t.sum)
        FROM tallies AS t INNER JOIN wanted AS w
            ON toString(t.metric) = w.metric AND toString(t.dimension) = w.dimension AND toString(t.key) = w.key
        WHERE toUnixTimestamp64Milli(t.to_pane) <= %(upto)s
            AND toInt64(toUnixTimestamp(t.minute)) * 1000 >= w.start AND toInt64(toUnixTimestamp(t.minute)) * 1000 < w.end
        GROUP BY w.ix, t.bin
        ORDER BY w.ix, t.bin
        """,
        {"upto": upto},
        external_tables=[{"name": "wanted", "structure": structure, "data": wanted}],
    )
    out = [Counted({}, 0) for _ in ends]
    for ix, bin_, count, total in rows:
        if count:
            out[ix].bins[bin_] = count
        out[ix] = Counted(out[ix].bins, out[ix].total + total)
    return out
