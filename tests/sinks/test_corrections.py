"""Corrections: one version of an event counts at a time, whatever is corrected, taken back, repeated or killed."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import load
from schemas.clock import system_clock
from schemas.errors import InvalidEventError
from schemas.event import Answer, Channel, FeedbackEvent, to_record
from schemas.topics import HISTORY, LIVE
from schemas.windows import DAY_MS
from sinks.accounting import conservation
from sinks.corrections import applied, rounds, standing
from sinks.stored import event_of, selected, versions
from streams.core.counting import count_events, frame_of
from tests.sinks.conftest import Stand, event, publish_events, tick_all, wait_for, wire

CARD = LIVE[Channel.CARD]
NAMES = [f"00000000-0000-4000-8000-{number:012d}" for number in range(100)]


def score(value: int) -> list[Answer]:
    return [Answer(question="csat", score=float(value), scale_min=1.0, scale_max=5.0)]


def correction(number: int, of: FeedbackEvent, value: int | None) -> FeedbackEvent:
    """A correction to `value`; None takes the event back."""
    return FeedbackEvent(
        event_id=NAMES[number], channel=of.channel, kind="rating", source="test/2", corrects=of.event_id,
        occurred_at=of.occurred_at + 5_000, received_at=of.received_at + 9_000, retract=value is None,
        answers=[] if value is None else score(value),
    )  # fmt: skip


def csat_bins(events: list[FeedbackEvent]) -> Counter[int]:
    """Counts by bin of csat over all, as stage 1 counts the admitted lane."""
    cells = count_events(
        frame_of([to_record(one) for one in events]), load(), live=False, metrics=["csat"], dimensions=["*"]
    )
    out: Counter[int] = Counter()
    for row in cells.rows():
        out[row.bin] += row.count
    return Counter({bin_: count for bin_, count in out.items() if count})


@given(st.lists(st.none() | st.integers(1, 5), max_size=6))
def test_what_counts_is_what_was_said_last(said: list[int | None]) -> None:
    first = msgspec.structs.replace(event(0), answers=score(3))
    stored: list[FeedbackEvent] = [first]
    expected: int | None = 3
    for number, value in enumerate(said):
        if expected is None:
            with pytest.raises(InvalidEventError, match="already_retracted"):
                applied(correction(number, first, value), stored)
        else:
            stored += applied(correction(number, first, value), stored)
            expected = value
    assert csat_bins(stored) == Counter(() if expected is None else {expected: 1})


def test_a_correction_keeps_time_and_place_of_the_event_and_its_words_leave_with_it() -> None:
    first = event(1, subject="s1", product="shoes")
    minus, plus = applied(correction(0, first, 5), [first])
    assert (plus.occurred_at, plus.touchpoint, plus.subject, plus.product) == (first.occurred_at, "lyon", "s1", "shoes")
    assert (plus.event_id, plus.corrects, plus.retract) == (NAMES[0], first.event_id, False)
    assert (minus.answers, minus.occurred_at, minus.retract, minus.text) == (
        first.answers,
        first.occurred_at,
        True,
        None,
    )
    assert minus.event_id not in {plus.event_id, first.event_id}


def test_an_unknown_event_or_another_channel_cannot_be_corrected() -> None:
    first = event(2)
    with pytest.raises(InvalidEventError, match="corrects_unknown"):
        applied(correction(0, first, 5), [])
    with pytest.raises(InvalidEventError, match="corrects_other_channel"):
        applied(msgspec.structs.replace(correction(0, first, 5), channel=Channel.CALL), [first])
    with pytest.raises(InvalidEventError, match="corrects_unknown"):
        standing(NAMES[9], [correction(0, first, 5)])


def test_corrections_of_one_event_never_share_a_round_and_keep_their_order() -> None:
    a, b = event(1), event(2)
    some = [correction(0, a, 1), correction(1, b, 1), correction(2, a, 2), correction(3, a, 3)]
    assert [[one.event_id for one in part] for part in rounds(some)] == [
        [NAMES[0], NAMES[1]], [NAMES[2]], [NAMES[3]],
    ]  # fmt: skip


def test_gate_applies_corrections_once_through_kills_and_repeats(stand: Stand) -> None:
    firsts = [msgspec.structs.replace(event(i), answers=score(1)) for i in range(4)]
    publish_events(stand, CARD, firsts[:2])
    publish_events(stand, HISTORY, firsts[2:])
    changes = [
        correction(0, firsts[0], 4), correction(1, firsts[0], 5),  # twice
        correction(2, firsts[1], None), correction(3, firsts[1], 3),  # taken back, then too late
        correction(4, firsts[2], 2),  # an event of the same lane and batch
        correction(5, event(77), 2),  # of nothing
    ]  # fmt: skip
    for one in (*changes, changes[0], changes[2]):
        stand.publish(HISTORY, wire(one), key=one.key)
    stand.settle()
    tick_all(stand)
    stand.start("sink", "feedback_events", "rejected_events")
    for point in ("gate.before_commit:1", "gate.before_commit:2", "gate.before_commit:2"):
        assert stand.start("gate", kill_point=point).wait(60) == -9
    stand.start("gate")
    wait_for(lambda: stand.count("count() FROM rejected_events WHERE stage = 'gate'") >= 2)
    wait_for(lambda: conservation(stand.settings).holds)
    rows = stand.client.execute(f"SELECT {selected()} FROM feedback_events")
    stored = [event_of(row) for row in rows]
    assert len(stored) == len({one.event_id for one in stored}) == 4 + 2 + 2 + 1 + 2
    assert csat_bins(stored) == Counter({5: 1, 2: 1, 1: 1})
    reasons = stand.client.execute("SELECT reason, count() FROM rejected_events GROUP BY reason ORDER BY reason")
    assert reasons == [("already_retracted", 1), ("corrects_unknown", 1)]
    found = versions(stand.client, [firsts[0].event_id, NAMES[50]])
    assert [len(one) for one in found.values()] == [5, 0]
    assert standing(firsts[0].event_id, found[firsts[0].event_id]).answers == score(5)


@pytest.mark.parametrize("ahead_ms", [0, 3_650 * DAY_MS])
def test_events_that_share_a_batch_with_corrections_are_stored_once(stand: Stand, ahead_ms: int) -> None:
    """Admitted, or sent back to their live topic because the gateway's clock was ahead: the corrections wait for both."""
    firsts = [event(i, answers=score(1), received_at=system_clock() + ahead_ms) for i in range(3)]
    publish_events(stand, HISTORY, firsts)
    for one in (correction(0, firsts[0], 4), correction(1, firsts[0], 5)):  # two rounds
        stand.publish(HISTORY, wire(one), key=one.key)
    stand.settle()
    tick_all(stand)
    stand.start("sink", "feedback_events")
    stand.start("gate")
    wait_for(lambda: stand.count("uniqExact(event_id) FROM feedback_events") == 3 + 2 + 2)
    assert stand.count("count() FROM feedback_events") == 3 + 2 + 2
    assert conservation(stand.settings).holds
