"""Events in the history lane that are fresh by the log's time: whichever copy comes first, one row, in the live lane."""

from typing import Any

import pytest

from schemas.bulk import decode_events
from schemas.clock import system_clock
from schemas.event import Channel, FeedbackEvent, Lane, Traits
from schemas.topics import ADMITTED, HISTORY, LIVE, Topic
from schemas.windows import DAY_MS, HOUR_MS
from sinks.accounting import conservation, count_topics, recount_repeats
from sinks.returning import SLACK_MS, oldest_ms, still_live
from tests.sinks.conftest import Stand, event, publish_events, tick_all, wait_for, wire

NOW = 1_790_000_000_000
CARD, WEB = LIVE[Channel.CARD], LIVE[Channel.WEB]


def ahead(number: int, **more: Any) -> FeedbackEvent:
    """Return an event of now as a gateway writes it whose clock is ten years ahead."""
    return event(number, **{"received_at": system_clock() + 3_650 * DAY_MS, **more})


def imported(number: int) -> FeedbackEvent:
    return event(number, traits=Traits(backfill=True))


def test_what_a_gateway_took_for_old_and_may_still_come_live_goes_back() -> None:
    late = NOW + 3_650 * DAY_MS
    events = [
        event(0, received_at=late, occurred_at=NOW - 7 * DAY_MS - SLACK_MS),
        event(1, received_at=late, occurred_at=NOW - 7 * DAY_MS - SLACK_MS - 1),
        event(2, received_at=late, channel=Channel.WEB, occurred_at=NOW - HOUR_MS * 3 // 4),
        event(3, received_at=late, channel=Channel.WEB, occurred_at=NOW - HOUR_MS),
        event(4, received_at=late, occurred_at=NOW, traits=Traits(backfill=True)),
        event(5, received_at=late, occurred_at=NOW, corrects="another"),
        event(6, received_at=NOW, occurred_at=NOW),  # reinjected
    ]
    decoded = decode_events([wire(one) for one in events])
    assert still_live(decoded, NOW) == {0: CARD, 2: WEB}
    assert still_live(decoded, NOW + 30 * DAY_MS) == {}


@pytest.mark.parametrize("live", LIVE.values(), ids=lambda one: one.name)
def test_all_copies_in_a_live_topic_lie_within_the_window_of_its_filter(live: Topic) -> None:
    """With a quarter of the window to spare for what passes between the look of the gate and the arrival."""
    assert live.repeat_window_ms is not None
    assert oldest_ms(live) <= live.repeat_window_ms * 3 // 4


def test_a_fresh_event_that_a_wrong_clock_took_for_old_is_one_row_with_its_copies(stand: Stand) -> None:
    """The gate dies after it has sent the events back; then the clients send them again, live, late and by an import."""
    publish_events(stand, HISTORY, [ahead(i) for i in range(10)])
    tick_all(stand)
    stand.start("sink", "feedback_events")
    assert stand.start("gate", kill_point="gate.before_commit:1").wait(60) == -9
    stand.start("gate")
    wait_for(lambda: stand.count("count() FROM feedback_events") == 10)
    publish_events(stand, CARD, [event(i) for i in range(12)])
    old = system_clock() - 8 * DAY_MS
    publish_events(stand, HISTORY, [ahead(i) for i in range(5)])
    publish_events(
        stand, HISTORY, [event(i, occurred_at=old) for i in range(5, 7)] + [imported(i) for i in range(7, 11)]
    )
    publish_events(stand, HISTORY, [ahead(20), imported(20), ahead(21)])
    tick_all(stand)
    wait_for(lambda: stand.count("count() FROM feedback_events") == 14)
    tick_all(stand)
    wait_for(lambda: stand.caught_up(topic=CARD))
    balance = conservation(stand.settings)
    assert (balance.residue, balance.rows_twice, balance.rows) == (0, 0, 14)
    assert recount_repeats(stand.settings) == balance.log.repeats
    assert stand.count(f"countIf(lane = '{Lane.LIVE}') FROM feedback_events") == 14
    assert count_topics(stand.settings, [ADMITTED])[ADMITTED.name].records == 0
