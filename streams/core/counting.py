"""Which events count where: a frame of events -> cells.

Rules: probes count nowhere. Scores and complaint rates leave out second-hand and non-human events. An event gives a metric at
most one answer, the first to its question on its scale, and only an integer on the scale counts. A complaint rate looks at
what customers bring to us: direction in, no page views or order events. The stratum is the channel.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import EMPTY, Cells, Series
from schemas.catalogue import ALL, Catalogue, Metric, MetricKind
from schemas.event import Direction
from streams.core.canonical import COLUMNS, Ints, canonical

_ANSWER = pl.Struct({
    "question": pl.String, "question_version": pl.String, "score": pl.Float64, "scale_min": pl.Float64,
    "scale_max": pl.Float64, "derived_by": pl.String,
})  # fmt: skip
_TRAITS = pl.Struct({
    "backfill": pl.Boolean, "second_hand": pl.Boolean, "probe": pl.Boolean, "non_human": pl.Boolean, "reason": pl.String,
})  # fmt: skip
FRAME_SCHEMA = pl.Schema({
    "event_id": pl.String(), "channel": pl.String(), "kind": pl.String(), "direction": pl.String(),
    "touchpoint": pl.String(), "occurred_at": pl.Int64(), "received_at": pl.Int64(), "answers": pl.List(_ANSWER),
    "traits": _TRAITS,
})  # fmt: skip
"""The fields of the envelope that decide what an event counts for."""

_MINUTE_MS = 60_000
_LAST_MINUTE = 2**31 - 1  # a cell holds its minute in 32 bits
_NO_CONTACT = frozenset({"page_view", "order_placed", "order_delivered", "order_returned", "order_cancelled", "probe"})

Flags = NDArray[np.bool_]


def frame_of(records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return decoded events as the frame that is counted; other fields are left out."""
    arrow = pl.DataFrame(schema=FRAME_SCHEMA).to_arrow().schema
    answers = [one["answers"] for one in records]
    flat = [one for several in answers for one in several]
    columns = {
        name: pa.array([one[name] for one in records], arrow.field(name).type)
        for name in FRAME_SCHEMA
        if name not in {"answers", "traits"}
    }
    columns["traits"] = _structs([one["traits"] for one in records], arrow.field("traits").type)
    kind = arrow.field("answers").type
    ends = np.cumsum([0, *map(len, answers)], dtype=np.int64)
    columns["answers"] = pa.LargeListArray.from_arrays(ends, _structs(flat, kind.value_type))
    frame = pl.from_arrow(pa.table(columns))
    assert isinstance(frame, pl.DataFrame)
    return frame.select(*FRAME_SCHEMA)


def _structs(records: Sequence[Mapping[str, Any]], kind: Any) -> Any:
    fields = [kind.field(i) for i in range(kind.num_fields)]
    columns = [pa.array([one.get(field.name) for one in records], field.type) for field in fields]
    return pa.StructArray.from_arrays(columns, fields=fields)


class _Events(NamedTuple):
    """A frame as codes and numbers; `kinds` and `touchpoints` name the codes."""

    channels: list[str | None]
    channel: Ints
    touchpoints: list[str | None]
    touchpoint: Ints
    kinds: list[str | None]
    kind: Ints
    minutes: Ints
    minute: Ints
    age: Ints
    counted: Flags
    direct: Flags
    inbound: Flags


class _Answers(NamedTuple):
    """The answers of the events that may count for scores, in order; `event` is the row of each."""

    event: Ints
    questions: list[str | None]
    question: Ints
    score: NDArray[np.float64]
    scale_min: NDArray[np.float64]
    scale_max: NDArray[np.float64]


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
    names, parts = _tables(_events(frame), frame, catalogue, live=live, metrics=metrics, dimensions=dimensions)
    return canonical(names, np.concatenate(parts)) if parts else EMPTY


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
    events = _events(frame)
    # one code for each pair of pane and minute passes through the grouping in the place of the minute
    pairs, code = np.unique(np.column_stack((panes, events.minutes[events.minute])), axis=0, return_inverse=True)
    paired = events._replace(minutes=np.arange(len(pairs)), minute=code.reshape(-1))
    names, parts = _tables(paired, frame, catalogue, live=live, metrics=metrics, dimensions=dimensions)
    if not parts:
        return {}
    table = np.concatenate(parts)
    pane = pairs[table[:, 1], 0]
    table[:, 1] = pairs[table[:, 1], 1]
    return _by_pane(names, table, pane)


def _by_pane(names: list[Series], table: Ints, pane: Ints) -> dict[int, Cells]:
    """Return the cells of each pane: `canonical` for all at once, since most panes hold a few rows."""
    by_name = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), dtype=np.int64)
    rank[by_name] = np.arange(len(names))
    table[:, 0] = rank[table[:, 0]]
    order = np.lexsort((table[:, 3], table[:, 2], table[:, 1], table[:, 0], pane))
    rows, pane = table[order], pane[order]
    head = np.ones(len(rows), dtype=np.bool_)
    head[1:] = (rows[1:, :4] != rows[:-1, :4]).any(axis=1) | (pane[1:] != pane[:-1])
    heads = np.flatnonzero(head)
    added = np.add.reduceat(rows[:, 4:], heads, axis=0)
    rows, pane = rows[heads], pane[heads]
    rows[:, 4:] = added
    ends, starts = np.unique(pane, return_index=True)
    bounds = zip(ends.tolist(), starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True)
    return {end: _narrowed(names, by_name, rows[start:stop]) for end, start, stop in bounds}


def _narrowed(names: list[Series], by_name: list[int], rows: Ints) -> Cells:
    """Return the cells of rows in canonical order that point into all series of all panes."""
    used: dict[int, int] = {}
    rows[:, 0] = [used.setdefault(ix, len(used)) for ix in rows[:, 0].tolist()]
    return Cells([names[by_name[ix]] for ix in used], {name: rows[:, i] for i, name in enumerate(COLUMNS)})


def _tables(
    events: _Events,
    frame: pl.DataFrame,
    catalogue: Catalogue,
    *,
    live: bool,
    metrics: Collection[str] | None,
    dimensions: Collection[str] | None,
) -> tuple[list[Series], list[Ints]]:
    answers = _answers(frame, events)
    names: list[Series] = []
    parts: list[Ints] = []
    for metric in catalogue.metric:
        if metrics is not None and metric.name not in metrics:
            continue
        rows, bins = _answered(answers, metric) if metric.question is not None else _happened(events, metric)
        welcome = np.array([one in metric.channels for one in events.channels])
        kept = welcome[events.channel[rows]]
        parts += _grouped(events, rows[kept], bins[kept], metric, names, live=live, dimensions=dimensions)
    return names, parts


def _codes(values: list[str | None]) -> tuple[list[str | None], Ints]:
    """Return the distinct values and the index of each value among them."""
    distinct = list(dict.fromkeys(values))
    index = {one: code for code, one in enumerate(distinct)}
    return distinct, np.fromiter(map(index.__getitem__, values), dtype=np.int64, count=len(values))


def _events(frame: pl.DataFrame) -> _Events:
    traits = frame["traits"].struct
    channels, channel = _codes(frame["channel"].to_list())
    touchpoints, touchpoint = _codes(frame["touchpoint"].to_list())
    kinds, kind = _codes(frame["kind"].to_list())
    directions, direction = _codes(frame["direction"].to_list())
    occurred = frame["occurred_at"].to_numpy()
    at = occurred // _MINUTE_MS
    minutes, minute = np.unique(at, return_inverse=True)
    probe = traits.field("probe").to_numpy() | np.array([one == "probe" for one in kinds])[kind]
    indirect = traits.field("second_hand").to_numpy() | traits.field("non_human").to_numpy()
    return _Events(
        channels=channels, channel=channel, touchpoints=touchpoints, touchpoint=touchpoint, kinds=kinds, kind=kind,
        minutes=minutes, minute=minute,
        age=frame["received_at"].to_numpy() - occurred,
        counted=~probe & (at >= 0) & (at <= _LAST_MINUTE),
        direct=~indirect,
        inbound=np.array([one == Direction.IN for one in directions])[direction],
    )  # fmt: skip


def _answers(frame: pl.DataFrame, events: _Events) -> _Answers:
    lists = frame["answers"]
    lengths = lists.list.len().to_numpy().astype(np.int64)
    rows = np.flatnonzero(events.counted & events.direct & (lengths > 0))
    answers = lists.gather(rows).explode().struct
    questions, question = _codes(answers.field("question").to_list())
    score, scale_min, scale_max = (answers.field(name).to_numpy() for name in ("score", "scale_min", "scale_max"))
    return _Answers(np.repeat(rows, lengths[rows]), questions, question, score, scale_min, scale_max)


def _answered(answers: _Answers, metric: Metric) -> tuple[Ints, Ints]:
    """Return rows and scores of the events that answer a metric."""
    assert metric.scale is not None
    low, high = metric.scale
    asked = np.array([one == metric.question for one in answers.questions], dtype=np.bool_)[answers.question]
    found = np.flatnonzero(asked & (answers.scale_min == low) & (answers.scale_max == high))
    rows = answers.event[found]
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = rows[1:] != rows[:-1]
    score = answers.score[found]
    kept = first & (score >= low) & (score <= high) & (score == np.floor(score))
    return rows[kept], score[kept].astype(np.int64)


def _happened(events: _Events, metric: Metric) -> tuple[Ints, Ints]:
    """Return rows and bins of the events that a metric counts by their kind."""
    if metric.kind is MetricKind.COUNT:
        rows = np.flatnonzero(events.counted)
        return rows, np.ones(len(rows), dtype=np.int64)
    contact = np.array([one not in _NO_CONTACT for one in events.kinds])[events.kind]
    rows = np.flatnonzero(events.counted & events.direct & events.inbound & contact)
    listed = np.array([one in metric.events for one in events.kinds], dtype=np.int64)
    return rows, listed[events.kind[rows]]


def _grouped(
    events: _Events,
    rows: Ints,
    bins: Ints,
    metric: Metric,
    names: list[Series],
    *,
    live: bool,
    dimensions: Collection[str] | None,
) -> list[Ints]:
    """Return the counts of one metric in each of its dimensions (columns as for `canonical`); append the series to `names`."""
    if not len(rows):
        return []
    fresh = (events.age[rows] <= metric.detect_max_age_ms).astype(np.int64) if live else np.zeros_like(rows)
    low = int(bins.min())
    sizes = (len(events.touchpoints), len(events.channels), len(events.minutes), int(bins.max()) - low + 1, 2)
    keys = np.ravel_multi_index(
        (events.touchpoint[rows], events.channel[rows], events.minute[rows], bins - low, fresh), sizes
    )
    groups, count = np.unique(keys, return_counts=True)
    touchpoint, channel, minute, bin_, fresh = np.unravel_index(groups, sizes)
    minute, bin_ = events.minutes[minute], bin_ + low
    whole: list[str | None] = [ALL]
    out = []
    for dimension in metric.dimensions:
        if dimensions is not None and dimension not in dimensions:
            continue
        key = {ALL: np.zeros_like(channel), "channel": channel, "touchpoint": touchpoint}[dimension]
        pairs, series = np.unique(key * len(events.channels) + channel, return_inverse=True)
        named = [divmod(int(pair), len(events.channels)) for pair in pairs]
        titles = {ALL: whole, "channel": events.channels, "touchpoint": events.touchpoints}[dimension]
        kept = np.array([titles[k] is not None for k, _ in named])[series]
        table = np.column_stack((series + len(names), minute, bin_, fresh, count, count * bin_))
        names += [Series(metric.identity, dimension, str(titles[k]), str(events.channels[c])) for k, c in named]
        out.append(table[kept])
    return out
