"""A tick comes when a pane's end has passed unseen, one at a time, and again when it is lost."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streams.ticking import AGAIN_MS, GRACE_MS, Ticker

PANE_MS = 10_000


def test_no_tick_before_the_grace_is_over():
    ticker = Ticker(PANE_MS)
    assert not ticker.due("p", 10_000, 20_000 + GRACE_MS - 1)
    assert ticker.due("p", 10_000, 20_000 + GRACE_MS)


def test_no_tick_where_records_have_passed_the_end():
    assert not Ticker(PANE_MS).due("p", 20_000, 20_000 + GRACE_MS)


def test_a_lost_tick_is_sent_again_after_a_second_and_not_before():
    ticker, now = Ticker(PANE_MS), 20_000 + GRACE_MS
    asked = [ticker.due("p", 10_000, now + later) for later in (0, 50, AGAIN_MS - 1, AGAIN_MS, AGAIN_MS + 50)]
    assert [True, False, False, True, False] == asked


def test_the_next_pane_does_not_wait_for_the_second_to_be_over():
    ticker = Ticker(500)
    assert ticker.due("p", 0, 20_200)
    assert ticker.due("p", 20_200, 20_700)


def test_partitions_do_not_wait_for_each_other():
    ticker, now = Ticker(PANE_MS), 20_000 + GRACE_MS
    assert [True, True] == [ticker.due(partition, 0, now) for partition in ("p", "q")]


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=200))
def test_never_two_ticks_within_a_second_for_one_pane(steps):
    ticker, now, arrived, sent = Ticker(PANE_MS), 1_000_000, 1_000_000, []
    for step, answered in steps:
        now += step
        if ticker.due("p", arrived, now):
            sent.append((now, arrived))
            if answered:
                arrived = now
    for (first, before), (second, after) in itertools.pairwise(sent):
        assert second - first >= AGAIN_MS or after > before
