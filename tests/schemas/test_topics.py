"""The topic table keeps the rules that exactness rests on."""

from schemas.event import Channel
from schemas.topics import LIVE, SOURCES, TOPICS, lane_topic
from schemas.windows import DAY_MS, WINDOWS

LONGEST_OUTAGE_MS = 7 * DAY_MS


def test_a_live_topic_outlives_its_repeat_window_and_an_outage() -> None:
    for topic in LIVE.values():
        assert topic.repeat_window_ms is not None and topic.live_max_age_ms is not None
        assert topic.retention_ms >= topic.repeat_window_ms + LONGEST_OUTAGE_MS
        assert topic.live_max_age_ms < topic.repeat_window_ms <= 2 * topic.live_max_age_ms


def test_every_source_has_broker_time_and_names_are_unique() -> None:
    assert all(topic.log_append_time for topic in SOURCES)
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_old_events_take_the_history_lane() -> None:
    age = LIVE[Channel.WEB].live_max_age_ms
    assert age is not None
    assert lane_topic(Channel.WEB, age).name == "feedback.web.v1"
    assert lane_topic(Channel.WEB, age + 1).name == "feedback.history.v1"


def test_every_window_fits_its_rung_with_its_lateness() -> None:
    for window in WINDOWS.values():
        assert window.length_ms + window.lateness_ms <= window.span_ms
        assert window.length_ms % window.step_ms == 0 == window.step_ms % window.bucket_ms
