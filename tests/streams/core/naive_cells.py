"""What events count for, one event at a time, in plain Python from the definitions alone: the oracle of stage 1.

It knows nothing of frames, codes or kinds as streams/core has them; only the catalogue's fields.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from schemas.blocks import Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue
from schemas.metrics import Metric, MetricKind

Event = Mapping[str, Any]
NOT_FROM_CUSTOMERS = {"page_view", "order_placed", "order_delivered", "order_returned", "order_cancelled", "survey_opened", "probe"}  # fmt: skip
WITHOUT_DIRECTION = NOT_FROM_CUSTOMERS | {"survey_sent", "reply", "auto_reply", "web_action"}
LAST_BUCKET = 1250
REMEMBERING = {MetricKind.RESPONSE, MetricKind.RESPONSE_QUANTILE, MetricKind.REPEAT}
"""Kinds that need more than one event: tests/streams/core/naive_memory.py."""
_EDGES = [101**bucket // 99**bucket for bucket in range(LAST_BUCKET + 1)]


def naive_rows(event: Event, catalogue: Catalogue, live: bool, identities: Mapping[str, str]) -> Iterator[Row]:
    """Yield what one event counts for; `identities`: metric name -> identity."""
    parents = {one.name: one.parent for one in catalogue.touchpoint}
    sign = -1 if event.get("retract") else 1
    for metric in catalogue.metric:
        if event["channel"] not in metric.channels or is_probe(event) != metric.probes or metric.kind in REMEMBERING:
            continue
        found = bin_and_worth(event, metric)
        if found is None:
            continue
        bin_, worth = found
        fresh = int(live and event["received_at"] - event["occurred_at"] <= metric.detect_max_age_ms)
        for dimension in metric.dimensions:
            key = key_of(event, dimension, parents)
            if key is not None:
                series = Series(identities[metric.name], dimension, key, event["channel"])
                yield Row(series, event["occurred_at"] // 60_000, bin_, fresh, sign, sign * worth)


def naive_cells(events: Iterable[Event], catalogue: Catalogue, live: bool) -> Cells:
    """Return the cells of events, counted one by one."""
    identities = {metric.name: metric.identity for metric in catalogue.metric}
    return cells_of(row for event in events for row in naive_rows(event, catalogue, live, identities))


def is_probe(event: Event) -> bool:
    """Return whether the event is a probe."""
    return bool(event["traits"]["probe"]) or event["kind"] == "probe"


def bin_and_worth(event: Event, metric: Metric) -> tuple[int, int] | None:
    """Return the bin of an event and what it adds to the sum; None if it does not count."""
    kind, order = event["kind"], event.get("order") or {}
    if metric.kind is MetricKind.COUNT:
        return (1, 1) if not metric.events or kind in metric.events else None
    if metric.kind is MetricKind.AMOUNT:
        amount = order.get("amount_minor")
        if kind not in metric.events or order.get("currency") != metric.currency or amount is None:
            return None
        return (amount_class(amount), amount) if 0 <= amount <= 10**12 else None
    if event["traits"]["second_hand"] or event["traits"]["non_human"]:
        return None
    if metric.kind in {MetricKind.EVENT_SHARE, MetricKind.PART, MetricKind.RATE}:
        bin_ = _side(event, metric)
    else:
        bin_ = _answered(event, metric)
    return None if bin_ is None else (bin_, bin_)


def _side(event: Event, metric: Metric) -> int | None:
    kind, came = event["kind"], event["direction"] == "in"
    if not metric.among:
        return int(kind in metric.events) if came and kind not in NOT_FROM_CUSTOMERS else None
    if kind not in {*metric.events, *metric.among} or not (came or kind in WITHOUT_DIRECTION):
        return None
    return int(kind in metric.events)


def _answered(event: Event, metric: Metric) -> int | None:
    assert metric.scale is not None
    low = metric.scale[0]
    if metric.kind is MetricKind.GRID:
        return _grid(event, metric)
    assert metric.question is not None
    score = score_of(event, metric.question, metric.scale, metric.question_version)
    if score is None:
        return None
    if metric.kind in {MetricKind.GAP, MetricKind.GAP_SHARE}:
        expected = score_of(event, str(metric.expected_question), metric.scale)
        return None if expected is None else score - expected
    if metric.kind is MetricKind.DRIVER:
        assert metric.overall_scale is not None
        overall = score_of(event, str(metric.overall_question), metric.overall_scale)
        worst, best = metric.overall_scale
        return None if overall is None else (score - low) * (best - worst + 1) + overall - worst
    return score


def _grid(event: Event, metric: Metric) -> int | None:
    assert metric.scale is not None
    low, high = metric.scale
    points = weights = Decimal(0)
    for question, weight in metric.grid.items():
        score = score_of(event, question, metric.scale, metric.question_version)
        if score is not None:
            points += Decimal(str(weight)) * (score - low) * 100 / (high - low)
            weights += Decimal(str(weight))
    return int((points / weights).quantize(Decimal(1), ROUND_HALF_UP)) if weights else None


def score_of(event: Event, question: str, scale: tuple[int, int], version: str | None = None) -> int | None:
    """Return the first answer to a question on its scale, if it is a whole number on it."""
    for one in event["answers"]:
        on_scale = (one["scale_min"], one["scale_max"]) == scale
        if one["question"] == question and on_scale and version in (None, one["question_version"]):
            return int(one["score"]) if one["score"] in range(scale[0], scale[1] + 1) else None
    return None


def amount_class(amount: int) -> int:
    """Return the class of an amount: four buckets wide, which grow by 101 / 99 from 1."""
    return next((bucket for bucket, edge in enumerate(_EDGES) if amount <= edge), LAST_BUCKET) // 4


def key_of(event: Event, dimension: str, parents: Mapping[str, str | None]) -> str | None:
    """Return the key of an event in a dimension; None if it has none."""
    if "+" in dimension:
        both = [key_of(event, one, parents) for one in dimension.split("+")]
        return None if None in both else json.dumps(both, ensure_ascii=False, separators=(",", ":"))
    if dimension == "*":
        return "*"
    if dimension.startswith("attr."):
        return (event.get("attributes") or {}).get(dimension[5:])
    if dimension == "parent":
        return parents.get(event["touchpoint"])
    return event.get(dimension) or None
