"""Which events count where: a frame of events -> cells.

Probes count only for the metrics that are made of them. Scores and shares of events leave out second-hand and non-human
events. An event gives a metric at most one answer, the first to its question on its scale, and only an integer on the
scale counts. What takes back an event (`retract`) carries what it takes back and counts -1 wherever that counted.
The stratum is the channel. Which events a kind of metric selects: streams/core/kinds.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from schemas.blocks import EMPTY, Cells, Series
from schemas.catalogue import Catalogue
from streams.core.canonical import Ints, added, canonical, narrowed, sorted_in_place
from streams.core.columns import Coded, Columns, Flags
from streams.core.counting_plan import Group, Member, Plan, plan_of
from streams.core.dimensions import CHANNEL, column, keyed
from streams.core.frame import FRAME_SCHEMA, frame_of
from streams.core.kinds.kind import Selected

__all__ = ["FRAME_SCHEMA", "count_events", "count_panes", "frame_of"]

_DENSE = 4096
_ONE_KEY = 1 << 62


class _Slots(NamedTuple):
    """What rows are told apart by besides what they count for: the minute, or pane and minute; `code` by row."""

    code: Ints
    size: int


def count_events(
    frame: pl.DataFrame,
    catalogue: Catalogue,
    *,
    live: bool,
    metrics: Collection[str] | None = None,
    dimensions: Collection[str] | None = None,
) -> Cells:
    """Return the cells of events (columns: FRAME_SCHEMA); `metrics` (names) and `dimensions` restrict them where given."""
    if not frame.height:
        return EMPTY
    columns = Columns(frame)
    minutes, code = np.unique(columns.minute, return_inverse=True)
    slots = _Slots(code, len(minutes))
    tally = _tallied(columns, slots, catalogue, live=live, metrics=metrics, dimensions=dimensions)
    if not tally.tables:
        return EMPTY
    table = np.concatenate(tally.tables)
    table[:, 1] = minutes[table[:, 1]]
    return canonical(tally.names, table)


def count_panes(
    frame: pl.DataFrame,
    panes: Ints,
    catalogue: Catalogue,
    *,
    live: bool,
    metrics: Collection[str] | None = None,
    dimensions: Collection[str] | None = None,
) -> dict[int, Cells]:
    """Return pane -> cells, in order, for events that arrived in many panes (`panes`: one a row); else as `count_events`."""
    if not frame.height:
        return {}
    columns = Columns(frame)
    minutes, minute = np.unique(columns.minute, return_inverse=True)
    ends, pane = np.unique(panes, return_inverse=True)
    pairs, code = np.unique(pane * len(minutes) + minute, return_inverse=True)
    slots = _Slots(code, len(pairs))
    tally = _tallied(columns, slots, catalogue, live=live, metrics=metrics, dimensions=dimensions)
    if not tally.tables:
        return {}
    table = np.concatenate(tally.tables)
    pair = pairs[table[:, 1]]
    table[:, 1] = minutes[pair % len(minutes)]
    in_order = sorted_in_place(tally.names, table)
    rows, (at,) = added(table, [ends[pair // len(minutes)]])
    if not len(rows):
        return {}
    found, starts = np.unique(at, return_index=True)
    bounds = zip(found.tolist(), starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True)
    return {end: narrowed(in_order, rows[start:stop]) for end, start, stop in bounds}


class _Tally:
    """What the metrics count in a frame: series, and tables as for `canonical`, with the slot in the place of the minute."""

    def __init__(self, columns: Columns, slots: _Slots, plan: Plan, dimensions: Collection[str] | None) -> None:
        self.names: list[Series] = []
        self.tables: list[Ints] = []
        self._columns, self._slots, self._plan, self._dimensions = columns, slots, plan, dimensions

    def add(self, group: Group, members: Sequence[Member], selected: Selected, *, live: bool) -> None:
        """Count what metrics that select the same have selected, in each of their dimensions."""
        columns, slots = self._columns, self._slots
        welcome = columns.channel.among(group.metric.channels)[selected.rows]
        counts_once = columns.first(group.metric.name) if group.metric.one_per else None
        if counts_once is not None:
            welcome &= counts_once[selected.rows]
        rows, bins = selected.rows[welcome], selected.bins[welcome]
        if not len(rows):
            return
        wanted = [one for name, one in group.dimensions.items() if self._dimensions is None or name in self._dimensions]
        needed = sorted({name for dimension in wanted for name in dimension.columns})
        at = {CHANNEL: columns.channel, **{name: column(name, columns) for name in needed}}
        age = columns.age[rows] <= group.metric.detect_max_age_ms
        fresh = age.astype(np.int64) if live else np.zeros_like(rows)
        low = int(bins.min())
        fields = [(one.code[rows], len(one.titles)) for one in at.values()]
        fields += [(slots.code[rows], slots.size), (bins - low, int(bins.max()) - low + 1), (fresh, 2)]
        code, head = _together(fields)
        count = _counted(code, len(head), columns.retracted, rows)
        bin_ = bins[head]
        total = count * bin_
        if selected.sums is not None:
            total = _summed(code, len(head), columns.retracted, rows, selected.sums[welcome])
        first = rows[head]
        reduced = {name: Coded(one.titles, one.code[first]) for name, one in at.items()}
        measured = np.column_stack((first, slots.code[first], bin_, fresh[head], count, total))
        for dimension in wanted:
            self._by_key(
                keyed(dimension, reduced, self._plan.parents), reduced[CHANNEL], dimension.name, members, measured
            )

    def _by_key(self, key: Coded, channel: Coded, dimension: str, members: Sequence[Member], measured: Ints) -> None:
        width = len(channel.titles)
        series, head = _together([(key.code, len(key.titles)), (channel.code, width)])
        named = [(key.titles[k], channel.titles[c]) for k, c in zip(key.code[head], channel.code[head], strict=True)]
        measured = measured.copy()
        measured[:, 0] = series
        if None in key.titles:
            measured = measured[np.array([title is not None for title, _ in named])[series]]
        for member in members:
            if dimension in member.dimensions:
                table = measured.copy()
                table[:, 0] += len(self.names)
                self.names += [Series(member.identity, dimension, str(k), str(c)) for k, c in named]
                self.tables.append(table)


def _tallied(
    columns: Columns,
    slots: _Slots,
    catalogue: Catalogue,
    *,
    live: bool,
    metrics: Collection[str] | None,
    dimensions: Collection[str] | None,
) -> _Tally:
    plan = plan_of(catalogue)
    tally = _Tally(columns, slots, plan, dimensions)
    for group in plan.groups:
        members = [one for one in group.members if metrics is None or one.name in metrics]
        selected = group.kind.select(columns, group.metric) if members else None
        if selected is not None:
            tally.add(group, members, selected, live=live)
    return tally


def _together(fields: Sequence[tuple[Ints, int]]) -> tuple[Ints, Ints]:
    """Return for each row the number of its group, rows equal in all fields (code, how many codes), and a row of each group."""
    key, size = fields[0]
    for code, width in fields[1:]:
        if size * width >= _ONE_KEY:
            _, key = np.unique(key, return_inverse=True)
            size = len(key)
        key, size = key * width + code, size * width
    if size <= max(_DENSE, 4 * len(key)):
        seen = np.zeros(size, dtype=np.bool_)
        seen[key] = True
        group = (np.cumsum(seen) - 1)[key]
    else:
        _, group = np.unique(key, return_inverse=True)
    head = np.empty(int(group.max()) + 1, dtype=np.int64)
    head[group] = np.arange(len(group))
    return group, head


def _counted(group: Ints, groups: int, retracted: Flags | None, rows: Ints) -> Ints:
    """Return how many rows each group has, those that take back counted -1."""
    if retracted is None:
        return np.bincount(group, minlength=groups)
    back = retracted[rows]
    return np.bincount(group[~back], minlength=groups) - np.bincount(group[back], minlength=groups)


def _summed(group: Ints, groups: int, retracted: Flags | None, rows: Ints, values: Ints) -> Ints:
    """Return the sum of values in each group, those that take back subtracted."""
    out = np.zeros(groups, dtype=np.int64)
    np.add.at(out, group, values if retracted is None else np.where(retracted[rows], -values, values))
    return out
