"""Blocks are a function of the partition's log: not of batches, restarts or what a process remembers."""

import itertools
import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import blocks
from schemas.arrival import arrived, pane_of, sent_of
from schemas.blocks import EMPTY
from schemas.catalogue import load
from schemas.codec import Kind, decode_as
from schemas.errors import ContractError
from schemas.event import FeedbackEvent
from schemas.repeats import RepeatFilter
from schemas.rules import Rule, RuleKind
from streams.core.disputes import adoption, found_in, immediate_rules, opened, raised_by
from streams.core.tally import PartitionTally, TallyState, arrived_of
from streams.runs import runs_of
from tests.streams.core.naive_cells import REMEMBERING

PACKAGED = load()
CATALOGUE = msgspec.structs.replace(PACKAGED, metric=[one for one in PACKAGED.metric if one.kind not in REMEMBERING])
"""What is remembered of customers has tests of its own: tests/streams/core/recall."""
PANE_MS = 1_000
W = 20_000
START_MS = 1_790_000_000_000


def tally_at(state=None, *, live=True, window=W):
    repeat_filter = None if window is None else RepeatFilter(window)
    return PartitionTally("t", "id", 0, CATALOGUE, PANE_MS, live, repeat_filter, state or TallyState())


def run_of(records):
    return runs_of({0: records})[0]


@pytest.fixture(scope="module")
def log_of(event_maker, record_maker):
    """Make a log with quiet stretches, ticks, repeats near and far, undecodable bytes, clocks that jump and offset holes."""

    def make(seed, size=70):
        dice = random.Random(seed)
        out, events, now, offset = [], [], START_MS, dice.randrange(5)
        for _ in range(size):
            now += dice.choice((0, 0, 1, 50, 400, 1_000, 3_500, 12_000))
            offset += dice.choice((1, 1, 1, 2))
            roll = dice.random()
            if roll < 0.1:
                value = None
            elif roll < 0.15:
                value = b"junk"
            elif roll < 0.4 and events:
                value = dice.choice(events[-20:])
            else:
                value = event_maker(dice, at_ms=now)
                events.append(value)
            append = now + dice.choice((0, 0, 0, 5_000, -700))
            sent = dice.choice((None, now, now - 3, now - 200_000))
            out.append(record_maker(offset, value, append, sent_ms=sent))
        return out

    return make


def expected_blocks(records, *, live, window, counted_naively):
    """Work out the blocks record by record, from the rules."""
    out, now, seen, state = [], 0, {}, {"to": None, "open": None}
    counts = {"events": [], "repeats": 0, "ticks": 0, "undecodable": 0}

    def close(first, last, offset, before):
        out.append((first, last, before, offset, counts["repeats"], counts["ticks"], counts["undecodable"],
                    len(counts["events"]), counted_naively(counts["events"], CATALOGUE, live)))  # fmt: skip
        counts.update(events=[], repeats=0, ticks=0, undecodable=0)
        state["to"] = last

    for record in records:
        before = now
        now = arrived(now, record.timestamp, sent_of(record.headers))
        pane = pane_of(now, PANE_MS)
        if pane != state["open"]:
            if state["open"] is not None:
                close(state["open"], state["open"], record.offset, before)
            if state["to"] is None:
                close(0, pane - PANE_MS, record.offset, before)
            elif pane > state["to"] + PANE_MS:
                close(state["to"] + PANE_MS, pane - PANE_MS, record.offset, before)
            state["open"] = pane
        if record.value is None:
            counts["ticks"] += 1
        elif record.value == b"junk":
            counts["undecodable"] += 1
        else:
            event = decode_as(Kind.EVENT, record.value)
            last = seen.get(event["event_id"])
            seen[event["event_id"]] = now
            if window is not None and last is not None and now - last <= window:
                counts["repeats"] += 1
            else:
                counts["events"].append(event)
    return out


def plain(block):
    return (block.from_pane, block.to_pane, block.arrived_ms, block.next_offset, block.repeats, block.ticks,
            block.undecodable, block.events, block.cells)  # fmt: skip


def encoded(found):
    return [blocks.to_record(one) for one in found]


@given(seed=st.integers(0, 2**32), live=st.booleans(), filtered=st.booleans())
@settings(max_examples=15, deadline=None)
def test_blocks_follow_the_rules_record_by_record(seed, live, filtered, log_of, counted_naively):
    window = W if filtered else None
    records = log_of(seed)
    found = tally_at(live=live, window=window).feed(run_of(records))
    expected = expected_blocks(records, live=live, window=window, counted_naively=counted_naively)
    assert expected == [plain(one) for one in found]


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 70), max_size=8))
@settings(max_examples=10, deadline=None)
def test_blocks_do_not_depend_on_batches(seed, cuts, log_of):
    records = log_of(seed)
    whole = tally_at().feed(run_of(records))
    edges = [0, *sorted(cuts), len(records)]
    tally, parts = tally_at(), []
    for start, end in itertools.pairwise(edges):
        parts += tally.feed(run_of(records[start:end]))
    assert encoded(whole) == encoded(parts)


@given(seed=st.integers(0, 2**32), at=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_a_restart_at_any_block_gives_the_same_blocks(seed, at, log_of):
    """The filter is warmed from (arrived - W) up to the committed offset, exclusive."""
    records = log_of(seed)
    whole = tally_at().feed(run_of(records))
    done = at % len(whole)
    last = whole[done]
    state = TallyState(to=last.to_pane, arrived=last.arrived_ms, next_offset=last.next_offset)
    tally = tally_at(state)
    old = [one for one in records if one.offset < state.next_offset]
    first = next((i for i, one in enumerate(old) if one.timestamp >= state.arrived - W), len(old))
    for start in range(first, len(old), 7):
        tally.remember(run_of(old[start : start + 7]))
    again = tally.feed(run_of([one for one in records if one.offset >= state.next_offset]))
    assert encoded(whole[done + 1 :]) == encoded(again)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_runs_of_panes_follow_each_other_without_gap_or_overlap(seed, log_of):
    found = tally_at().feed(run_of(log_of(seed)))
    assert found[0].from_pane == 0
    for before, block in itertools.pairwise(found):
        assert block.from_pane == before.to_pane + PANE_MS
        assert block.from_pane == block.to_pane or block.cells == EMPTY


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_arrived_times_equal_those_of_the_contract(seed, log_of):
    records, now, expected = log_of(seed), 0, []
    for record in records:
        now = arrived(now, record.timestamp, sent_of(record.headers))
        expected.append(now)
    assert expected == arrived_of(run_of(records), 0).tolist()


def test_a_pane_with_records_closes_only_when_time_has_passed_it(event_maker, record_maker):
    event = event_maker(random.Random(1))
    tally = tally_at()
    (first,) = tally.feed(run_of([record_maker(0, event, START_MS)]))
    assert (0, START_MS, 0, 0, EMPTY) == (
        first.from_pane, first.to_pane, first.next_offset, first.arrived_ms, first.cells
    )  # fmt: skip
    assert [] == tally.feed(run_of([record_maker(1, None, START_MS + 999)]))
    (closed,) = tally.feed(run_of([record_maker(2, None, START_MS + 1_000)]))
    assert (START_MS + 1_000, START_MS + 1_000, 1, 1, 2) == (
        closed.from_pane, closed.to_pane, closed.events, closed.ticks, closed.next_offset
    )  # fmt: skip


def test_an_hour_without_records_is_one_block(record_maker):
    tally = tally_at()
    tally.feed(run_of([record_maker(0, None, START_MS)]))
    closed, quiet = tally.feed(run_of([record_maker(1, None, START_MS + 3_600_000)]))
    assert (START_MS + 1_000, START_MS + 1_000) == (closed.from_pane, closed.to_pane)
    assert (START_MS + 2_000, START_MS + 3_600_000, EMPTY) == (quiet.from_pane, quiet.to_pane, quiet.cells)


def test_a_sender_whose_clock_is_slow_by_hours_holds_time_back_by_no_more_than_its_own_records(record_maker):
    tally = tally_at()
    tally.feed(run_of([record_maker(0, None, START_MS, sent_ms=START_MS)]))
    tally.feed(run_of([record_maker(1, None, START_MS + 5_000, sent_ms=START_MS - 7_200_000)]))
    assert START_MS == tally.arrived
    tally.feed(run_of([record_maker(2, None, START_MS + 6_000, sent_ms=START_MS + 6_000)]))
    assert START_MS + 6_000 == tally.arrived


def test_a_position_of_another_log_is_refused(record_maker):
    tally = tally_at(TallyState(to=START_MS + 60_000, arrived=START_MS + 1, next_offset=5))
    with pytest.raises(ContractError, match="arrived_went_back"):
        tally.feed(run_of([record_maker(5, None, START_MS + 2)]))


def test_a_pane_of_any_size_counts_alike_whether_folded_or_not(log_of, monkeypatch):
    records = [replace(one, timestamp=START_MS, headers=()) for one in log_of(5, size=300)]
    end = replace(records[-1], timestamp=START_MS + 5_000, headers=())
    whole = tally_at().feed(run_of([*records, end]))
    monkeypatch.setattr("streams.core.tally._FOLD_ROWS", 10)
    tally, parts = tally_at(), []
    for start in range(0, len(records), 9):
        parts += tally.feed(run_of(records[start : start + 9]))
    parts += tally.feed(run_of([end]))
    assert encoded(whole) == encoded(parts)


def test_a_dispute_is_told_once_and_a_probe_never(event_maker, record_maker):
    dice = random.Random(2)
    human = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}
    dispute = event_maker(dice, kind="dispute", touchpoint="paris", traits=human)
    probe = event_maker(dice, kind="dispute", traits={**human, "probe": True})
    records = [record_maker(n, one, START_MS + n) for n, one in enumerate([dispute, dispute, probe])]
    tally = tally_at()
    tally.feed(run_of(records))
    assert [(dispute["event_id"], "paris", dispute["occurred_at"], START_MS + 1_000)] == tally.disputes
    admitted = tally_at(live=False, window=None)
    admitted.feed(run_of(records))
    assert [] == admitted.disputes


def test_the_alarm_of_a_dispute_is_named_by_the_event_alone(event_maker, record_maker):
    dice = random.Random(2)
    human = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}
    rule = immediate_rules(CATALOGUE)[RuleKind.DISPUTE]
    found = []
    for touchpoint, at in (("paris", 0), (None, 5_000)):
        event = event_maker(dice, event_id="e", kind="dispute", touchpoint=touchpoint, subject="secret", traits=human)
        tally = tally_at()
        tally.feed(run_of([record_maker(0, event, START_MS + at)]))
        found.append(opened(tally.disputes[0], rule))
    assert found[0].transition_id == found[1].transition_id
    assert [("touchpoint", "paris"), ("*", "*")] == [(one.dimension, one.key) for one in found]
    assert all("secret" not in msgspec.json.encode(one).decode() for one in found)
    decision = adoption(found[0])
    assert ("adopt", found[0].alarm_id) == (decision.kind, decision.body["alarm_id"])
    assert decision == adoption(found[0])


def test_headers_that_anybody_can_write_stop_nothing(record_maker, event_maker):
    record = record_maker(0, event_maker(random.Random(1)), START_MS)
    for value in (b"", b"-5", b"1e3", b"9" * 5_000, b"\xff", None, b"9" * 17):
        run = run_of([replace(record, headers=(("sent", value),))])
        assert np.array_equal([START_MS], arrived_of(run, 0))


def test_a_legal_threat_raises_an_alarm_of_its_own_beside_that_of_a_dispute(event_maker, record_maker):
    dice = random.Random(2)
    human = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}
    threat = Rule(name="threat", owner="legal", kind=RuleKind.LEGAL_THREAT, severity="page")
    others = [one for one in CATALOGUE.alarm if one.kind is not RuleKind.LEGAL_THREAT]
    with_threats = msgspec.structs.replace(CATALOGUE, alarm=[*others, threat])
    marked = {"attributes": {"legal_threat": "true"}, "touchpoint": "paris", "traits": human}
    events = [
        event_maker(dice, event_id="a", kind="letter", **marked),
        event_maker(dice, event_id="b", kind="dispute", **marked),
        event_maker(dice, event_id="c", kind="letter", **{**marked, "attributes": {"legal_threat": "false"}}),
        event_maker(dice, event_id="d", kind="letter", **{**marked, "traits": {**human, "probe": True}}),
    ]
    run = run_of([record_maker(n, one, START_MS + n) for n, one in enumerate(events)])
    for catalogue, expected in (
        (with_threats, [("dispute", "b"), ("threat", "a"), ("threat", "b")]),
        (msgspec.structs.replace(CATALOGUE, alarm=[threat]), [("threat", "a"), ("threat", "b")]),
        (msgspec.structs.replace(CATALOGUE, alarm=[]), []),
    ):
        tally = PartitionTally("t", "id", 0, catalogue, 1_000, True, None, TallyState())
        tally.feed(run)
        alarms = list(raised_by(tally.disputes, immediate_rules(catalogue)))
        assert [(one.rule, one.event_id) for one in alarms] == expected
        assert len({one.alarm_id for one in alarms}) == len(alarms)
    for event in events:
        one = msgspec.convert(event, FeedbackEvent, builtin_types=(bytes,))
        found = [each for each in tally_all(run, with_threats) if each.event_id == one.event_id]
        assert sorted(map(type, found_in(one, START_MS + 1_000)), key=str) == sorted(map(type, found), key=str)


def tally_all(run, catalogue):
    tally = PartitionTally("t", "id", 0, catalogue, 1_000, True, None, TallyState())
    tally.feed(run)
    return tally.disputes
