"""Arrived time never goes back, and no clock can poison it."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.arrival import (
    SENT_SLACK_MS,
    arrived,
    arrived_run,
    pane_of,
    sent_header,
    sent_of,
)

times = st.integers(0, 10**13)


@given(st.lists(st.tuples(times, st.none() | times), max_size=30))
def test_arrived_never_falls_and_runs_like_one_by_one(
    records: list[tuple[int, int | None]],
) -> None:
    run = arrived_run(0, [append for append, _ in records], [sent for _, sent in records])
    at, one_by_one = 0, []
    for append, sent in records:
        at = arrived(at, append, sent)
        one_by_one.append(at)
    assert run == one_by_one == sorted(one_by_one)


@given(times, times)
def test_a_broker_clock_that_runs_ahead_gains_at_most_a_minute_on_the_sender(append: int, sent: int) -> None:
    assert arrived(0, append, sent) <= sent + SENT_SLACK_MS


@given(times, st.sampled_from([1, 1_000, 10_000]))
def test_a_pane_holds_its_start_and_not_its_end(at: int, pane_ms: int) -> None:
    end = pane_of(at, pane_ms)
    assert end - pane_ms <= at < end
    assert end % pane_ms == 0


def test_the_sent_header_is_read_back_and_rubbish_is_ignored() -> None:
    assert sent_of([sent_header(17)]) == 17
    assert sent_of([("sent", b"soon"), ("x", b"1")]) is None
    assert sent_of([]) is None
