"""The lane of an event: live topics for what is fresh, the history topic for what is old or imported."""

from schemas.event import FeedbackEvent
from schemas.topics import HISTORY, Topic, lane_topic


def topic_of(event: FeedbackEvent) -> Topic:
    """Return the topic of an event that was just captured; an import goes to history whatever its age."""
    if event.traits.backfill:
        return HISTORY
    return lane_topic(event.channel, event.received_at - event.occurred_at)
