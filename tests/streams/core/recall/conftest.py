"""Logs in which customers write, are answered, write again, and a catalogue that remembers them for seconds."""

import random
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord

from schemas.arrival import arrived, sent_of
from schemas.catalogue import Catalogue, Touchpoint
from schemas.codec import Kind, decode_as
from schemas.metrics import Metric, MetricKind
from schemas.repeats import RepeatFilter
from streams.core.tally import PartitionTally, Run, TallyState
from streams.runs import runs_of
from tests.streams.conftest import make_event, make_record
from tests.streams.core.naive_memory import Arrived

PANE_MS = 1_000
W = 20_000
START_MS = 1_790_000_000_000
_HUMAN = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}
Records = Sequence[ConsumerRecord[bytes, bytes]]


def metric_of(kind: MetricKind, name: str, **fields: Any) -> Metric:
    return Metric(**{"name": name, "version": 1, "owner": "o", "title": "t", "kind": kind, "n_min": 1, **fields})


ANSWERED = {"events": ("question", "complaint"), "target_ms": 5_000, "memory_ms": 15_000}
METRICS = [
    metric_of(MetricKind.RESPONSE, "in_time", **ANSWERED, dimensions=("*", "touchpoint", "parent", "attr.a")),
    metric_of(MetricKind.RESPONSE_QUANTILE, "median", events=("question", "complaint"), target_ms=70_000, memory_ms=200_000, quantile=0.5, dimensions=("*", "channel")),
    metric_of(MetricKind.RESPONSE, "at_once", events=("question",), target_ms=3_000, memory_ms=30_000, channels=("email",)),
    metric_of(MetricKind.REPEAT, "again", events=("question", "complaint"), within_ms=8_000, channels=("email", "call")),
    metric_of(MetricKind.REPEAT, "again_soon", events=("question",), within_ms=3_000, dimensions=("*",)),
    metric_of(MetricKind.SHARE, "once", question="csat", scale=(1, 5), box=(4, 5), one_per="subject", one_per_period_ms=10_000),
    metric_of(
        MetricKind.MEAN, "once_a_talk", question="csat", scale=(1, 5), one_per="conversation", one_per_period_ms=3_000
    ),
]  # fmt: skip
CATALOGUE = Catalogue(metric=METRICS, touchpoint=[Touchpoint(name="paris", parent="france"), Touchpoint(name="lyon")])


def said(dice: random.Random, at_ms: int, **fields: Any) -> dict[str, Any]:
    """Return something that a customer said, or that was answered, around a time."""
    out = dice.random() < 0.4
    return make_event(
        dice,
        at_ms=at_ms,
        **{
            "channel": dice.choice(("email",) * 4 + ("call",)),
            "kind": dice.choice(("reply",) * 5 + ("auto_reply",) if out else ("question", "question", "complaint", "rating")),
            "direction": "out" if out else "in",
            "subject": dice.choice((None, "", *("ann",) * 4, *("bob",) * 4, "cy")),
            "conversation_ref": dice.choice((None, *("x",) * 5, "y")),
            "occurred_at": at_ms - dice.choice((-900, 0, 0, 0, 300, 300, 4_000, 20_000, 80_000, 90_000_000)),
            "attributes": {k: dice.choice("uv") for k in ("topic", "a") if dice.random() < 0.4},
            "corrects": dice.choice((None,) * 9 + ("e",)),
            "retract": dice.random() < 0.05,
            "traits": _HUMAN if dice.random() < 0.9 else {**_HUMAN, dice.choice(("probe", "non_human", "second_hand")): True},
            **fields,
        },
    )  # fmt: skip


def log_of(seed: int, size: int = 80, **fields: Any) -> Records:
    """Return a log with quiet stretches longer than the memory, ticks, repeats near and far, junk, holes and clocks that jump."""
    dice = random.Random(seed)
    out, events, now, offset = [], [], START_MS, dice.randrange(5)
    for _ in range(size):
        now += dice.choice((0, 0, 1, 50, 400, 400, 400, 1_000, 1_000, 3_500, 7_000, 40_000))
        offset += dice.choice((1, 1, 1, 2))
        roll = dice.random()
        if roll < 0.1:
            value = None
        elif roll < 0.13:
            value = b"junk"
        elif roll < 0.25 and events:
            value = dice.choice(events[-20:])
        else:
            value = said(dice, now, **fields)
            events.append(value)
        append = now + dice.choice((0, 0, 0, 5_000, -700))
        sent = dice.choice((None, now, now - 3, now - 200_000))
        out.append(make_record(offset, value, append, sent_ms=sent))
    return out


def run_of(records: Records) -> Run:
    return runs_of({0: records})[0]


def tally_at(state: TallyState | None = None, *, live: bool = True, catalogue: Catalogue = CATALOGUE) -> PartitionTally:
    return PartitionTally(
        "t", "id", 0, catalogue, PANE_MS, live, RepeatFilter(W) if live else None, state or TallyState()
    )


def counted_events(records: Records, *, live: bool) -> list[Arrived]:
    """Return the events of a log that are no repeats, with their arrived times."""
    now, seen, out = 0, {}, []
    for record in records:
        now = arrived(now, record.timestamp, sent_of(record.headers))
        if record.value in {None, b"junk"}:
            continue
        event = decode_as(Kind.EVENT, record.value)
        last = seen.get(event["event_id"])
        seen[event["event_id"]] = now
        if not live or last is None or now - last > W:
            out.append(Arrived(now, event))
    return out
