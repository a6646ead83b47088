"""What takes back an event leaves nothing of it, whenever and however the two are counted."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import EMPTY
from schemas.catalogue import load
from schemas.outputs import Quality
from streams.core.bins import Bins, from_bytes, to_bytes
from streams.core.counted import counted
from streams.core.counting import count_events, count_panes, frame_of
from streams.core.merging import merged
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import catalogue_of, metric_of, rich_events

CATALOGUE = catalogue_of(
    metric_of("share", name="share", question="csat", scale=(1, 5), box=(5,), dimensions=("*", "channel+touchpoint")),
    metric_of("gap", name="gap", question="csat", expected_question="expected", scale=(1, 5)),
    metric_of(
        "driver", name="driver", question="delivery", scale=(1, 7), overall_question="csat", overall_scale=(1, 5)
    ),
    metric_of("grid", name="grid", grid={"greeting": 2, "advice": 1}, scale=(0, 4), probes=True),
    metric_of("rate", name="rate", events=("complaint",), among=("order_placed",)),
    metric_of("count", name="count", dimensions=("*", "product", "attr.colour")),
    metric_of("amount", name="amount", events=("order_placed",), currency="EUR"),
)
METRICS = {metric.identity: metric for metric in CATALOGUE.metric}
BINS = {identity: Bins(metric) for identity, metric in METRICS.items()}


def said(seed, size):
    return [{**one, "retract": False} for one in rich_events(seed, size)]


def taken_back(events):
    return [{**one, "event_id": f"-{one['event_id']}", "retract": True} for one in events]


def count(events, *, live=False):
    return count_events(frame_of(events), CATALOGUE, live=live)


def totals(blocks):
    """Return series -> minute -> packed counts over blocks, zeros left out."""
    out: dict = {}
    for cells in blocks:
        for one in counted(cells, BINS):
            for minute, packed in one.minutes.items():
                out[one.series, minute] = out.get((one.series, minute), 0) + packed
    return {at: packed for at, packed in out.items() if packed}


@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_events_and_their_retractions_count_as_nothing(seed, size, kept):
    events = said(seed, size)
    assert count(events + taken_back(events)) == EMPTY
    gone = events[kept:]
    assert count(events + taken_back(gone)) == count(events[:kept])


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 80), max_size=4), back=st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_any_split_into_panes_and_lanes_gives_the_same_totals(seed, cuts, back):
    events = said(seed, 40)
    stream = [*taken_back(events[:back]), *events]  # the retractions first: counts stand below 0 for a while
    bounds = [0, *sorted(cuts), len(stream)]
    parts = [stream[start:stop] for start, stop in pairwise(bounds)]
    blocks = [count(part, live=bool(number % 2)) for number, part in enumerate(parts)]
    assert totals(blocks) == totals([count(events[back:])])
    assert totals([merged(blocks)]) == totals(blocks)


def test_panes_hold_their_own_signs():
    events = said(3, 60)
    frame = frame_of(events + taken_back(events))
    panes = np.repeat([10, 20], len(events))
    by_pane = count_panes(frame, panes, CATALOGUE, live=False)
    assert by_pane == {10: count(events), 20: count(taken_back(events))}
    assert merged(list(by_pane.values())) == EMPTY
    assert count_panes(frame, np.zeros_like(panes), CATALOGUE, live=False) == {}


@given(
    st.dictionaries(st.integers(1, 5), st.integers(-(2**32) + 1, 2**32 - 1)),
    st.dictionaries(st.integers(1, 5), st.integers(-(2**32) + 1, 2**32 - 1)),
)
def test_signed_counts_pack_add_and_come_back(first, second):
    bins = Bins(metric_of("mean", question="csat", scale=(1, 5)))
    both = {bin_: first.get(bin_, 0) + second.get(bin_, 0) for bin_ in sorted(first.keys() | second.keys())}
    packed = bins.packed(first) + bins.packed(second)
    assert bins.counts(packed) == {bin_: count for bin_, count in both.items() if count}
    assert bins.total(packed) == sum(bin_ * count for bin_, count in both.items())
    assert from_bytes(to_bytes(packed)) == packed


def test_a_total_below_zero_is_no_data_for_every_kind():
    for metric in METRICS.values():
        first, *_ = Bins(metric).shifts
        found = value_of(metric, {first: -2, first + 1: 1} if metric.kind != "count" else {first: -2}, -7)
        assert (found.value, found.n, found.quality) == (None, 0, Quality.NO_DATA)


def test_a_retraction_is_not_fresh_in_the_history_lane():
    cells = count(taken_back(said(4, 30)), live=False)
    assert set(cells.fresh.tolist()) == {0}
    assert set(cells.count.tolist()) <= set(range(-30, 0))


def test_the_packaged_catalogue_takes_back_too():
    events = said(6, 50)
    assert count_events(frame_of(events + taken_back(events)), load(), live=False) == EMPTY
