"""What metrics that remember customers count up to a pane, from the whole list of events at once: no memory, no panes in order.

Written from the definitions alone, quadratic, for the tests of streams/core/recall.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.blocks import Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue
from schemas.metrics import Metric, MetricKind
from tests.streams.core.naive_cells import bin_and_worth, is_probe, key_of, naive_rows

Event = Mapping[str, Any]
LATE = "late"
_EDGES = [101**bucket // 99**bucket for bucket in range(1251)]


class Arrived(NamedTuple):
    """An event that is no repeat, and when it arrived."""

    at_ms: int
    event: Event


class _Said(NamedTuple):
    bin: int
    fresh: bool
    count: int


def remembered_cells(log: Sequence[Arrived], catalogue: Catalogue, *, until: int, pane_ms: int, live: bool) -> Cells:
    """Return all that the metrics which remember count up to the end of pane `until`; `log`: of one channel, in order."""
    log = [one for one in log if one.at_ms < until]
    rows: list[Row] = []
    for metric in catalogue.metric:
        if metric.kind is MetricKind.REPEAT:
            rows += _rows(_repeats(log, metric, live), metric, catalogue)
        elif metric.kind in {MetricKind.RESPONSE, MetricKind.RESPONSE_QUANTILE}:
            rows += _rows(_responses(log, metric, until, pane_ms, live), metric, catalogue)
        elif metric.one_per is not None:
            rows += _first_answers(log, metric, catalogue, live)
    return cells_of(rows)


def _rows(said: Iterator[tuple[Event, _Said]], metric: Metric, catalogue: Catalogue) -> Iterator[Row]:
    parents = {one.name: one.parent for one in catalogue.touchpoint}
    for event, one in said:
        for dimension in metric.dimensions:
            key = key_of(event, dimension, parents)
            if key is not None:
                series = Series(metric.identity, dimension, key, event["channel"])
                yield Row(
                    series, event["occurred_at"] // 60_000, one.bin, int(one.fresh), one.count, one.count * one.bin
                )


def _original(event: Event, metric: Metric) -> bool:
    return (
        event["channel"] in metric.channels
        and not is_probe(event)
        and not event["retract"]
        and event["corrects"] is None
    )


def _asks(event: Event, metric: Metric) -> bool:
    human = not event["traits"]["second_hand"] and not event["traits"]["non_human"]
    return _original(event, metric) and event["kind"] in metric.events and event["direction"] == "in" and human


def _fresh(event: Event, metric: Metric, live: bool) -> bool:
    return live and event["received_at"] - event["occurred_at"] <= metric.detect_max_age_ms


def _topic(event: Event) -> str:
    return str(event["attributes"].get("topic", ""))


def _repeats(log: Sequence[Arrived], metric: Metric, live: bool) -> Iterator[tuple[Event, _Said]]:
    contacts = [one for one in log if _asks(one.event, metric) and one.event["subject"]]
    for number, (at, event) in enumerate(contacts):
        repeat = any(
            at - before.at_ms <= metric.within_ms
            and (event["subject"], event["channel"], _topic(event))
            == (before.event["subject"], before.event["channel"], _topic(before.event))
            for before in contacts[:number]
        )
        yield event, _Said(int(repeat), _fresh(event, metric, live), 1)


def _thread(event: Event) -> tuple[str, str, str] | None:
    subject, conversation = event["subject"], event["conversation_ref"]
    return (event["channel"], subject, conversation) if subject and conversation else None


def _responses(
    log: Sequence[Arrived], metric: Metric, until: int, pane_ms: int, live: bool
) -> Iterator[tuple[Event, _Said]]:
    for at, event in log:
        if not _asks(event, metric) or _thread(event) is None:
            continue
        said: list[int] = []
        changes = [one.at_ms for one in log if one.at_ms >= at] + [
            max(at, min(event["occurred_at"], at) + metric.target_ms)
        ]
        for pane in sorted({(one // pane_ms + 1) * pane_ms for one in changes}):
            if pane > until:
                break
            known = _known(at, event, [one for one in log if one.at_ms < pane], metric, pane)
            if known is not None and (not said or said[-1] != known):
                said.append(known)
        if said:
            yield event, _Said(said[0], _fresh(event, metric, live), 1)
        if said and said[-1] != said[0]:
            yield event, _Said(said[0], False, -1)
            yield event, _Said(said[-1], False, 1)


def _known(at: int, event: Event, log: Sequence[Arrived], metric: Metric, pane: int) -> int | None:
    """Return the bin of a message at the end of a pane."""
    waits = [
        reply["occurred_at"] - event["occurred_at"]
        for came, reply in log
        if _original(reply, metric) and reply["kind"] == "reply" and reply["direction"] == "out"
        and not reply["traits"]["non_human"] and _thread(reply) == _thread(event) and abs(came - at) <= metric.memory_ms
        and reply["occurred_at"] >= event["occurred_at"]
    ]  # fmt: skip
    if waits:
        return waiting_bin(metric, min(waits))
    return waiting_bin(metric, None) if min(event["occurred_at"], at) + metric.target_ms < pane else None


def waiting_bin(metric: Metric, waited: int | None) -> int:
    """Return the bin of a waiting time; None: open beyond the target."""
    if metric.kind is MetricKind.RESPONSE:
        return int(waited is not None and waited <= metric.target_ms)
    least, most = _class(60_000), max(_class(metric.memory_ms), _class(60_000))
    if waited is None:
        return most - least + 2
    return min(max(_class(waited) - least, 0), most - least + 1)


def _class(ms: int) -> int:
    return next(bucket for bucket, edge in enumerate(_EDGES) if ms <= edge) // 4


def _first_answers(log: Sequence[Arrived], metric: Metric, catalogue: Catalogue, live: bool) -> Iterator[Row]:
    seen: set[tuple[str, str, int]] = set()
    name = {"subject": "subject", "conversation": "conversation_ref"}[str(metric.one_per)]
    only = {metric.name: metric.identity}
    alone = Catalogue(metric=[metric], touchpoint=catalogue.touchpoint)
    for at, event in log:
        if not _original(event, metric) or bin_and_worth(event, metric) is None:
            continue
        who = (event["channel"], event[name], at // metric.one_per_period_ms)
        if event[name] and who in seen:
            continue
        seen.add(who)
        yield from naive_rows(event, alone, live, only)
