"""What is remembered of customers is a function of the log: not of batches, restarts or what a process held."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import blocks
from schemas.blocks import EMPTY
from schemas.catalogue import Catalogue
from schemas.metrics import MetricKind
from streams.core.counting import count_events, frame_of
from streams.core.kinds.response_quantile import still_open
from streams.core.merging import merged
from streams.core.recall import Recall, index, responses, rows
from streams.core.tally import TallyState
from tests.streams.conftest import make_record
from tests.streams.core.naive_memory import remembered_cells
from tests.streams.core.recall.conftest import (
    CATALOGUE,
    METRICS,
    PANE_MS,
    START_MS,
    counted_events,
    log_of,
    run_of,
    said,
    tally_at,
)


def encoded(found):
    return [blocks.to_record(one) for one in found]


@given(seed=st.integers(0, 2**32), live=st.booleans(), ends=st.lists(st.integers(0, 10**6), min_size=3, max_size=3))
@settings(max_examples=12, deadline=None)
def test_what_is_counted_up_to_any_pane_equals_a_recount_of_all_that_arrived(seed, live, ends):
    records = log_of(seed, size=60)
    found = tally_at(live=live).feed(run_of(records))
    log = counted_events(records, live=live)
    for end in (len(found) - 1, *(one % len(found) for one in ends)):
        total = merged([block.cells for block in found[: end + 1]])
        expected = remembered_cells(log, CATALOGUE, until=found[end].to_pane, pane_ms=PANE_MS, live=live)
        assert expected == total


def test_the_logs_of_these_tests_hold_every_case():
    bins, late, taken_back, quiet = {}, 0, 0, 0
    for seed in range(12):
        for block in tally_at().feed(run_of(log_of(seed))):
            quiet += bool(len(block.cells)) and not block.events
            for row in block.cells.rows():
                bins.setdefault(row.series.metric.partition("@")[0], set()).add(row.bin)
                taken_back += row.count < 0
                late += row.series.metric.startswith("median") and row.bin == still_open(CATALOGUE.named("median"))
    assert {metric.name for metric in CATALOGUE.metric} == bins.keys()
    assert all(bins[name] == {0, 1} for name in ("in_time", "at_once", "again", "again_soon"))
    assert min(late, taken_back, quiet) > 0


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=8, deadline=None)
def test_blocks_do_not_depend_on_batches(seed, cuts):
    records = log_of(seed, size=60)
    whole = tally_at().feed(run_of(records))
    tally, parts = tally_at(), []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(records)]):
        parts += tally.feed(run_of(records[start:end]))
    assert encoded(whole) == encoded(parts)


@given(seed=st.integers(0, 2**32), at=st.integers(0, 10**6), live=st.booleans(), only=st.sampled_from([None, *METRICS]))
@settings(max_examples=25, deadline=None)
def test_a_restart_at_any_block_gives_the_same_blocks_from_the_span_of_the_memory(seed, at, live, only):
    records = log_of(seed, size=60)
    catalogue = CATALOGUE if only is None else Catalogue(metric=[only])
    whole = tally_at(live=live, catalogue=catalogue).feed(run_of(records))
    done = at % len(whole)
    last = whole[done]
    state = TallyState(to=last.to_pane, arrived=last.arrived_ms, next_offset=last.next_offset)
    tally = tally_at(state, live=live, catalogue=catalogue)
    old = [one for one in records if one.offset < state.next_offset]
    first = next((i for i, one in enumerate(old) if one.timestamp >= state.arrived - tally.reach_ms), len(old))
    for start in range(first, len(old), 7):
        tally.remember(run_of(old[start : start + 7]))
    again = tally.feed(run_of([one for one in records if one.offset >= state.next_offset]))
    assert encoded(whole[done + 1 :]) == encoded(again)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_runs_of_panes_follow_each_other_and_only_single_panes_have_cells(seed):
    found = tally_at().feed(run_of(log_of(seed)))
    for before, block in itertools.pairwise(found):
        assert block.from_pane == before.to_pane + PANE_MS
        assert block.from_pane == block.to_pane or block.cells == EMPTY


@pytest.mark.parametrize("many", [0, pytest.param(1 << 20, marks=pytest.mark.long)])
def test_blocks_do_not_depend_on_when_what_is_old_is_forgotten(monkeypatch, many):
    told = {"subject": "ann", "conversation_ref": "x"}
    logs = [log_of(seed, size=300, **(told if seed == 2 else {})) for seed in range(3)]
    whole = [encoded(tally_at().feed(run_of(records))) for records in logs]
    monkeypatch.setattr(index, "_LEAST_BITS", 1)
    monkeypatch.setattr(rows, "_LEAST", 1)
    monkeypatch.setattr(responses, "_MANY", many)
    for records, expected in zip(logs, whole, strict=True):
        tally = tally_at()
        assert expected == encoded(
            [block for at in range(0, 300, 9) for block in tally.feed(run_of(records[at : at + 9]))]
        )


def test_channels_of_which_no_metric_remembers_anything_have_no_memory():
    spare = [metric for metric in CATALOGUE.metric if metric.name in {"at_once", "again"}]
    catalogue = Catalogue(metric=spare)
    assert 0 == Recall(catalogue, PANE_MS, live=True, channels=("card",)).reach_ms
    assert 8_000 == Recall(catalogue, PANE_MS, live=True, channels=("call",)).reach_ms
    assert 60_000 == Recall(catalogue, PANE_MS, live=True, channels=("email", "card")).reach_ms


def test_where_nothing_is_remembered_nothing_counts():
    events = [one.event for one in counted_events(log_of(3), live=True)]
    found = count_events(frame_of(events), CATALOGUE, live=True)
    kinds = {metric.identity: metric.kind for metric in CATALOGUE.metric}
    remembering = {MetricKind.RESPONSE, MetricKind.RESPONSE_QUANTILE, MetricKind.REPEAT}
    assert not remembering & {kinds[series.metric] for series in found.series}


def test_a_restart_knows_an_answer_that_came_before_a_message_that_is_still_remembered():
    human = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}
    about = {
        "channel": "email",
        "subject": "ann",
        "conversation_ref": "x",
        "corrects": None,
        "retract": False,
        "traits": human,
    }
    dice = random.Random(1)
    told = [
        (0, said(dice, START_MS, kind="reply", direction="out", **about, occurred_at=START_MS + 14_500)),
        (14_000, said(dice, START_MS + 14_000, kind="question", direction="in", **about, occurred_at=START_MS + 14_000)),
        (28_000, None),
        (28_500, said(dice, START_MS + 28_500, kind="reply", direction="out", **about, occurred_at=START_MS + 28_500)),
        (40_000, None),
    ]  # fmt: skip
    records = [make_record(n, value, START_MS + at) for n, (at, value) in enumerate(told)]
    catalogue = Catalogue(metric=[CATALOGUE.named("in_time")])
    whole = tally_at(catalogue=catalogue).feed(run_of(records))
    before = next(i for i, one in enumerate(whole) if one.next_offset == 2 and one.to_pane >= START_MS + 27_000)
    tally = tally_at(
        TallyState(to=whole[before].to_pane, arrived=whole[before].arrived_ms, next_offset=2), catalogue=catalogue
    )
    needed = [one for one in records[:2] if one.timestamp >= whole[before].arrived_ms - tally.reach_ms]
    tally.remember(run_of(needed))
    assert encoded(whole[before + 1 :]) == encoded(tally.feed(run_of(records[2:])))
    assert {1} == {row.bin for block in whole for row in block.cells.rows()}
