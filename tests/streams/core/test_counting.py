"""The vectorised count equals a naive one, event by event, and obeys the rules of what counts."""

import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import EMPTY, Row, cells_of
from schemas.catalogue import Catalogue, load, parse
from schemas.codec import Kind, decode_as, encode
from streams.core.canonical import canonical
from streams.core.counting import FRAME_SCHEMA, count_events, count_panes, frame_of
from streams.core.merging import merged

CATALOGUE = load()
SECOND = """
[[metric]]
name = "csat_shops"
version = 1
owner = "o"
title = "t"
kind = "share"
question = "csat"
scale = [1, 5]
box = [5]
channels = ["card"]
dimensions = ["touchpoint"]
detect_max_age_ms = 600
[[metric]]
name = "csat"
version = 1
owner = "o"
title = "t"
kind = "share"
question = "csat"
scale = [1, 5]
box = [4, 5]
"""


@pytest.fixture
def event(event_maker):
    """Make one plain CSAT answer, with changes."""

    def make(**fields):
        plain = {
            "channel": "card", "kind": "rating", "direction": "in", "touchpoint": "paris", "occurred_at": 600_000,
            "received_at": 600_000, "answers": [_answer("csat", 4.0, 1.0, 5.0)], "traits": _traits(),
        }  # fmt: skip
        return event_maker(random.Random(0), **{**plain, **fields})

    return make


def _traits(**given):
    return {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None, **given}


def _answer(question, score, low, high):
    return {
        "question": question, "question_version": "1", "score": score, "scale_min": low, "scale_max": high,
        "derived_by": None,
    }  # fmt: skip


def _bins(cells, metric):
    return sorted({(row.bin, row.count) for row in cells.rows() if row.series.metric.startswith(metric + "@")})


@pytest.mark.parametrize("catalogue", [CATALOGUE, parse(SECOND)], ids=["packaged", "two metrics on one question"])
@given(seed=st.integers(0, 2**32), size=st.integers(0, 60), live=st.booleans())
@settings(max_examples=60, deadline=None)
def test_counts_equal_a_naive_count(catalogue: Catalogue, seed, size, live, event_maker, counted_naively):
    dice = random.Random(seed)
    events = [event_maker(dice) for _ in range(size)]
    assert counted_naively(events, catalogue, live) == count_events(frame_of(events), catalogue, live=live)


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_counts_add_up_over_any_cut(seed, cut, event_maker):
    dice = random.Random(seed)
    events = [event_maker(dice) for _ in range(40)]
    parts = [count_events(frame_of(part), CATALOGUE, live=True) for part in (events[:cut], events[cut:])]
    assert count_events(frame_of(events), CATALOGUE, live=True) == merged(parts)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_counts_by_pane_equal_the_count_of_each_pane(seed, event_maker):
    dice = random.Random(seed)
    events = [event_maker(dice) for _ in range(40)]
    panes = [dice.choice((10, 20, 30)) for _ in events]
    by_pane = count_panes(frame_of(events), pl.Series(panes).to_numpy(), CATALOGUE, live=True)
    expected = {
        pane: count_events(
            frame_of([one for one, at in zip(events, panes, strict=True) if at == pane]), CATALOGUE, live=True
        )
        for pane in sorted(set(panes))
    }
    assert {pane: cells for pane, cells in expected.items() if len(cells)} == by_pane


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_restriction_gives_the_rows_of_the_full_count(seed, event_maker):
    dice = random.Random(seed)
    frame = frame_of([event_maker(dice) for _ in range(40)])
    full = count_events(frame, CATALOGUE, live=True)
    wanted = [
        row for row in full.rows() if row.series.metric.startswith("csat@") and row.series.dimension == "touchpoint"
    ]
    assert cells_of(wanted) == count_events(frame, CATALOGUE, live=True, metrics={"csat"}, dimensions={"touchpoint"})


def test_an_answer_counts_in_all_by_channel_and_by_touchpoint(event):
    cells = count_events(frame_of([event()]), CATALOGUE, live=True, metrics={"csat"})
    found = [(*row.series[1:], row.minute, row.bin, row.fresh, row.count, row.sum) for row in cells.rows()]
    assert [
        ("*", "*", "card", 10, 4, 1, 1, 4), ("channel", "card", "card", 10, 4, 1, 1, 4),
        ("touchpoint", "paris", "card", 10, 4, 1, 1, 4),
    ] == found  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"traits": _traits(probe=True)},
        {"kind": "probe"},
        {"traits": _traits(second_hand=True)},
        {"traits": _traits(non_human=True)},
        {"answers": [_answer("csat", 6.0, 1.0, 5.0)]},
        {"answers": [_answer("csat", 0.0, 1.0, 5.0)]},
        {"answers": [_answer("csat", 4.5, 1.0, 5.0)]},
        {"answers": [_answer("csat", float("nan"), 1.0, 5.0)]},
        {"answers": [_answer("csat", float("inf"), 1.0, 5.0)]},
        {"answers": [_answer("csat", 4.0, 0.0, 5.0)]},
        {"answers": [_answer("csat", 4.0, 1.0, 7.0)]},
        {"answers": [_answer("Csat", 4.0, 1.0, 5.0)]},
        {"answers": []},
        {"occurred_at": -60_000_000},
        {"occurred_at": 2**60},
        {"occurred_at": -(2**63), "received_at": 2**63 - 1},
    ],
)
def test_no_score_of(fields, event):
    assert EMPTY == count_events(frame_of([event(**fields)]), CATALOGUE, live=True, metrics={"csat"})


def test_the_first_answer_on_the_scale_counts_and_no_other(event):
    answers = [_answer("csat", 2.0, 1.0, 7.0), _answer("csat", 3.0, 1.0, 5.0), _answer("csat", 5.0, 1.0, 5.0)]
    cells = count_events(frame_of([event(answers=answers)]), CATALOGUE, live=True)
    assert [(3, 1)] == _bins(cells, "csat")


@pytest.mark.parametrize(
    ("fields", "bins"),
    [
        ({"kind": "complaint"}, [(1, 1)]),
        ({"kind": "letter"}, [(1, 1)]),
        ({"kind": "dispute"}, [(1, 1)]),
        ({"kind": "praise"}, [(0, 1)]),
        ({"kind": "page_view"}, []),
        ({"kind": "order_cancelled"}, []),
        ({"kind": "complaint", "direction": "out"}, []),
        ({"kind": "complaint", "channel": "web"}, []),
        ({"kind": "complaint", "traits": _traits(second_hand=True)}, []),
    ],
)
def test_complaint_rate_of(fields, bins, event):
    assert bins == _bins(count_events(frame_of([event(**fields)]), CATALOGUE, live=True), "complaint_rate")


def test_volume_holds_everything_but_probes(event):
    events = [event(kind="page_view", direction="out", traits=_traits(second_hand=True)), event(kind="probe")]
    assert [(1, 1)] == _bins(count_events(frame_of(events), CATALOGUE, live=True), "volume")


@pytest.mark.parametrize(("age_ms", "live", "fresh"), [(86_400_000, True, 1), (86_400_001, True, 0), (0, False, 0)])
def test_only_young_live_answers_are_fresh(age_ms, live, fresh, event):
    cells = count_events(frame_of([event(received_at=600_000 + age_ms)]), CATALOGUE, live=live)
    assert {fresh} == {row.fresh for row in cells.rows()}


def test_a_frame_holds_what_the_bytes_hold(event_maker):
    dice = random.Random(3)
    events = [event_maker(dice) for _ in range(50)]
    decoded = [decode_as(Kind.EVENT, encode(Kind.EVENT, one)) for one in events]
    assert frame_of(events).equals(frame_of(decoded))
    assert FRAME_SCHEMA == frame_of([]).schema


def test_canonical_cells_of_nothing_are_empty():
    assert EMPTY == canonical([], np.empty((0, 6), dtype=np.int64))


def test_rows_in_any_order_give_equal_bytes(event_maker, counted_naively):
    dice = random.Random(4)
    events = [event_maker(dice) for _ in range(60)]
    rows: list[Row] = list(counted_naively(events, CATALOGUE, True).rows())
    dice.shuffle(events)
    assert cells_of(rows).pack() == count_events(frame_of(events), CATALOGUE, live=True).pack()
