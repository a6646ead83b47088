"""A partition whose catalogue changes makes the blocks of the old one before the pane and of the new one from it on."""

import itertools
import random

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import blocks
from schemas.catalogue import Catalogue, Touchpoint
from schemas.declared import Catalogues, Declared
from schemas.metrics import MetricKind
from schemas.repeats import RepeatFilter
from streams.catalogues import InForce
from streams.core.tally import PartitionTally, TallyState, arrived_of, panes_of
from tests.streams.conftest import make_record
from tests.streams.core.recall.conftest import (
    CATALOGUE,
    METRICS,
    PANE_MS,
    START_MS,
    W,
    log_of,
    metric_of,
    run_of,
    tally_at,
)

PLAIN = metric_of(MetricKind.COUNT, "said", events=("question", "complaint", "rating"))
SHARE = metric_of(MetricKind.SHARE, "plain", question="csat", scale=(1, 5), box=(4, 5))
FEW = Catalogue(metric=[PLAIN, *METRICS[1:3]], touchpoint=CATALOGUE.touchpoint)
ALL = msgspec.structs.replace(CATALOGUE, metric=[PLAIN, *METRICS])
MORE = msgspec.structs.replace(ALL, metric=[*ALL.metric, SHARE])
ELSEWHERE = msgspec.structs.replace(ALL, touchpoint=[Touchpoint(name="paris", parent="seine")])
NOTHING = Catalogue(metric=[PLAIN], touchpoint=CATALOGUE.touchpoint)
EVERY = {"few": FEW, "all": ALL, "more": MORE, "elsewhere": ELSEWHERE, "nothing": NOTHING}
PAIRS = list(itertools.permutations(EVERY, 2))


def taught(tally, records):
    """Tell a tally as much of its past as it asks for, as after a restart."""
    if tally.reach_ms:
        old = [one for one in records if one.offset < tally.state.next_offset]
        since = tally.state.arrived - tally.reach_ms
        first = next((i for i, one in enumerate(old) if one.timestamp >= since), len(old))
        for start in range(first, len(old), 7):
            tally.remember(run_of(old[start : start + 7]))
    return tally


def counted(records, in_force, state=None, *, live=True, size=1_000, learning=None):
    """Count in batches of a size as streams/tallying.py does; `learning`: (batch, what is declared from then on)."""
    state, out = state or TallyState(), []
    tally = taught(tally_at(state, live=live, catalogue=in_force.at(state.to + PANE_MS)), records)
    new = [one for one in records if one.offset >= state.next_offset]
    for number, batch in enumerate([new[at : at + size] for at in range(0, len(new), size)]):
        if learning is not None and number == learning[0]:
            in_force.learn(learning[1])
        rest = run_of(batch)
        while rest is not None:
            change = in_force.change(tally.catalogue, tally.next_pane)
            found, rest = (tally.feed(rest), None) if change is None else tally.feed_before(rest, change.from_pane)
            out += found
            if rest is not None:
                tally = taught(tally.successor(change.catalogue), records)
    return out


def in_force(*declared):
    out = InForce(declared[0].catalogue, PANE_MS)
    out.learn(Catalogues(declared))
    return out


def told(found):
    """Return the blocks in which anything stands; how many blocks hold a stretch of quiet is free."""
    return [
        blocks.to_record(one)
        for one in found
        if len(one.cells) or one.events or one.repeats or one.ticks or one.undecodable
    ]


def clean(records, catalogue, *, live=True):
    return tally_at(live=live, catalogue=catalogue).feed(run_of(records))


def panes_in(records):
    """Return the panes of a log, and beside each those before and after it, which are often quiet."""
    held = panes_of(arrived_of(run_of(records), 0), PANE_MS).tolist()
    return sorted({pane + step * PANE_MS for pane in held for step in (-3, -1, 0, 1)})


@given(
    seed=st.integers(0, 2**32), live=st.booleans(), size=st.sampled_from([1, 9, 1_000]), first=st.sampled_from(list(EVERY)),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(list(EVERY))), min_size=1, max_size=3, unique_by=lambda one: one[1]),
)  # fmt: skip
@settings(max_examples=5, deadline=None)
def test_each_pane_is_counted_as_by_a_tally_that_had_its_catalogue_from_the_begin(seed, live, size, first, changes):
    records = log_of(seed, size=40)
    panes = panes_in(records)
    first = EVERY[first]
    at = {panes[where % len(panes)]: EVERY[name] for where, name in changes if EVERY[name] is not first}
    known = in_force(Declared(0, first), *(Declared(pane, catalogue) for pane, catalogue in at.items()))
    found = counted(records, known, live=live, size=size)
    expected = [
        block
        for catalogue in {id(one): one for one in (first, *at.values())}.values()
        for block in clean(records, catalogue, live=live)
        if known.at(block.to_pane) is catalogue
    ]
    assert sorted(told(expected), key=lambda one: one["to_pane"]) == told(found)
    assert found[0].from_pane == 0
    for before, block in itertools.pairwise(found):
        assert block.from_pane == before.to_pane + PANE_MS
    assert all(one.catalogue_hash == known.at(max(one.from_pane, PANE_MS)).hash for one in found)
    assert all(one.catalogue_hash == known.at(one.to_pane).hash for one in found)


@given(
    seed=st.integers(0, 2**32), where=st.integers(0, 10**6), live=st.booleans(), pair=st.sampled_from(PAIRS),
    quiet=st.booleans(),
)  # fmt: skip
@example(seed=0, where=0, live=True, pair=("all", "more"), quiet=True)
@settings(max_examples=4, deadline=None)
def test_a_restart_at_any_block_around_a_change_gives_the_same_blocks(seed, where, live, pair, quiet):
    """A change after quiet panes is one that no record before it announces: what a restart knows is all there is."""
    records, pair = log_of(seed, size=40), [EVERY[name] for name in pair]
    panes = panes_in(records)
    if quiet:
        held = set(panes_of(arrived_of(run_of(records), 0), PANE_MS).tolist())
        panes = [one for one in panes if one > min(held) and one - PANE_MS not in held]
    pane = panes[where % len(panes)]
    known = in_force(Declared(0, pair[0]), Declared(pane, pair[1]))
    whole = counted(records, known, live=live)
    change = sum(one.to_pane < pane for one in whole)
    for done in range(max(0, change - 3), min(len(whole), change + 2)):
        last = whole[done]
        state = TallyState(to=last.to_pane, arrived=last.arrived_ms, next_offset=last.next_offset)
        again = counted(records, known, state, live=live)
        assert [blocks.to_record(one) for one in whole[done + 1 :]] == [blocks.to_record(one) for one in again]


@given(
    seed=st.integers(0, 2**32), where=st.integers(0, 10**6), batch=st.integers(0, 7),
    pair=st.sampled_from(PAIRS),
)  # fmt: skip
@settings(max_examples=6, deadline=None)
def test_who_learns_of_a_change_late_changes_at_the_next_pane_and_counts_that_whole(seed, where, batch, pair):
    records, pair = log_of(seed, size=40), [EVERY[name] for name in pair]
    panes = panes_in(records)
    pane = panes[where % len(panes)]
    first = Declared(0, pair[0])
    learning = (batch, Catalogues([first, Declared(pane, pair[1])]))
    found = counted(records, in_force(first), size=8, learning=learning)
    before = run_of(records[: batch * 8])
    counted_to = int(panes_of(arrived_of(before, 0), PANE_MS)[-1]) if len(before) else 0
    switch = max(pane, counted_to + PANE_MS)
    old, new = clean(records, pair[0]), clean(records, pair[1])
    assert told([one for one in old if one.to_pane < switch] + [one for one in new if one.to_pane >= switch]) == told(
        found
    )
    assert all((one.catalogue_hash == pair[1].hash) == (one.to_pane >= switch) for one in found)


@pytest.mark.parametrize(
    ("before", "after", "known"),
    [
        pytest.param(ALL, MORE, True, id="a metric that remembers nothing"),
        pytest.param(ALL, NOTHING, True, id="nothing is remembered any more"),
        pytest.param(FEW, ALL, False, id="more is remembered"),
        pytest.param(ALL, FEW, False, id="less is remembered"),
        pytest.param(ALL, ELSEWHERE, False, id="other places above places"),
    ],
)
def test_only_who_wants_to_know_something_else_of_customers_reads_the_past_again(before, after, known):
    tally = tally_at(catalogue=before)
    tally.feed(run_of(log_of(3)))
    assert (0 if known else tally_at(catalogue=after).reach_ms) == tally.successor(after).reach_ms


def test_an_id_is_a_repeat_across_a_change(event_maker, record_maker):
    event = event_maker(random.Random(1), kind="question")
    records = [
        record_maker(0, event, START_MS),
        record_maker(1, event, START_MS + W),
        record_maker(2, None, START_MS + 3 * W),
    ]
    for after in (MORE, FEW, NOTHING):
        known = in_force(Declared(0, ALL), Declared(START_MS + W // 2, after))
        found = counted(records, known)
        assert (1, 1) == (sum(one.events for one in found), sum(one.repeats for one in found))
        assert [ALL.hash, after.hash] == [one.catalogue_hash for one in found if one.events or one.repeats]


def test_a_topic_of_which_nothing_remembers_keeps_its_memory_whatever_else_is_remembered():
    only = Catalogue(
        metric=[metric_of(MetricKind.REPEAT, "again", events=("question",), within_ms=8_000, channels=("call",))]
    )
    for topic, reach_ms in (("feedback.card.v1", 0), ("feedback.call.v1", W + 8_000)):
        tally = PartitionTally(topic, "id", 0, NOTHING, PANE_MS, True, RepeatFilter(W), TallyState())
        tally.feed(run_of([make_record(0, None, START_MS)]))
        assert reach_ms == tally.successor(msgspec.structs.replace(only, touchpoint=NOTHING.touchpoint)).reach_ms
