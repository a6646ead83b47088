"""The lane of an event: live topics for what is fresh; the history topic for what is old, imported or a correction."""

from schemas.event import FeedbackEvent
from schemas.topics import HISTORY, Topic, lane_topic


def topic_of(event: FeedbackEvent) -> Topic:
    """Return the topic of an event that was just captured; imports and corrections go to history whatever their age."""
    if event.traits.backfill or event.corrects is not None:
        return HISTORY
    return lane_topic(event.channel, event.received_at - event.occurred_at)
