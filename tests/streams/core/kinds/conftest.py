"""Rich random events, one metric at a time as a catalogue, and what every kind has to keep."""

import random
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from schemas.catalogue import Catalogue, Touchpoint
from schemas.metrics import Metric, MetricKind
from streams.core.bins import Bins
from streams.core.counted import counted
from streams.core.counting import count_events, frame_of
from streams.core.values import Value, value_of
from tests.streams.core.naive_cells import naive_cells

Event = dict[str, Any]
TOUCHPOINTS = [
    Touchpoint(name="paris", parent="france"), Touchpoint(name="lyon", parent="france"), Touchpoint(name="geneve"),
]  # fmt: skip
_KINDS = (
    "rating", "comment", "praise", "complaint", "letter", "page_view", "order_placed", "question", "survey_sent",
    "survey_opened", "survey_answered", "reply",
)  # fmt: skip
_QUESTIONS = {
    "csat": (1, 5),
    "expected": (1, 5),
    "delivery": (1, 7),
    "greeting": (0, 4),
    "advice": (0, 4),
    "nps": (0, 10),
}


def rich_event(dice: random.Random, **fields: Any) -> Event:
    """Return one event with everything that a kind or a dimension may read."""
    probe = dice.random() < 0.2
    answers = []
    for _ in range(dice.choice((0, 1, 3, 6))):
        question = dice.choice(list(_QUESTIONS))
        low, high = _QUESTIONS[question]
        score = float(dice.randint(low, high)) if dice.random() < 0.9 else dice.choice((high + 1.0, low + 0.5))
        answers.append({
            "question": question, "question_version": dice.choice("112"), "score": score, "scale_min": float(low),
            "scale_max": float(high + (dice.random() < 0.1)), "derived_by": None,
        })  # fmt: skip
    occurred = 1_790_000_000_000 + dice.choice((0, 30_000, 90_000))
    order = {"ref": "o", "amount_minor": dice.choice((None, 0, 1, 999, 12_345, 10**12, 10**12 + 1, -5)),
             "currency": dice.choice(("EUR", "EUR", "CHF", None))}  # fmt: skip
    return {
        "event_id": str(dice.random()), "channel": dice.choice(("card", "email", "web", "order")), "kind": dice.choice(_KINDS),
        "direction": dice.choice(("in", "in", "in", "out")), "touchpoint": dice.choice((None, "", "paris", "lyon", "geneve")),
        "product": dice.choice((None, "", "bag", 'a "b"/ç')), "occurred_at": occurred,
        "received_at": occurred + dice.choice((0, 10, 90_000_000)), "answers": answers,
        "order": order if dice.random() < 0.7 else None,
        "attributes": {name: dice.choice("xyz") for name in ("colour", "size") if dice.random() < 0.6},
        "retract": dice.random() < 0.2,
        "traits": {
            "backfill": False, "second_hand": dice.random() < 0.1, "non_human": dice.random() < 0.1, "reason": None,
            "probe": probe,
        },
        **fields,
    }  # fmt: skip


def rich_events(seed: int, size: int) -> list[Event]:
    dice = random.Random(seed)
    return [rich_event(dice) for _ in range(size)]


def metric_of(kind: str, **fields: Any) -> Metric:
    """Return a metric of a kind."""
    return Metric(
        **{"name": "m", "version": 1, "owner": "o", "title": "t", "kind": MetricKind(kind), "n_min": 1, **fields}
    )


def catalogue_of(*metrics: Metric) -> Catalogue:
    return Catalogue(metric=list(metrics), touchpoint=TOUCHPOINTS)


def value_over(metric: Metric, events: Sequence[Event]) -> Value:
    """Return the value over all events, through cells and packed counts, as the engine makes it."""
    bins = Bins(metric)
    cells = count_events(frame_of(events), catalogue_of(metric), live=True, dimensions={"*"})
    packed = sum(sum(one.minutes.values()) for one in counted(cells, {metric.identity: bins}))
    return value_of(metric, bins.counts(packed), bins.total(packed))


def assert_counts_equal_the_naive_count(*metrics: Metric, seeds: Iterable[int] = range(6), size: int = 120) -> None:
    """Every seed must count alike, and at least one must count something for each metric."""
    catalogue = catalogue_of(*metrics)
    used: set[str] = set()
    for seed in seeds:
        events = rich_events(seed, size)
        found = count_events(frame_of(events), catalogue, live=bool(seed % 2))
        assert found == naive_cells(events, catalogue, bool(seed % 2))
        used |= {series.metric for series in found.series}
        assert set(found.bin.tolist()) <= {bin_ for metric in metrics for bin_ in Bins(metric).shifts}
    assert used == {metric.identity for metric in metrics}


def adjusted(counts: Mapping[int, int], low: int, high: int) -> tuple[float, float]:
    """Return the normal interval of the answers and of 2.25 more, spread evenly over the points, written out."""
    points = np.arange(low, high + 1)
    weights = np.array([counts.get(int(point), 0) for point in points]) + 2.25 / len(points)
    mean = np.average(points, weights=weights)
    half = NormalDist().inv_cdf(0.975) * np.sqrt(np.average((points - mean) ** 2, weights=weights) / weights.sum())
    return max(low, mean - half), min(high, mean + half)
