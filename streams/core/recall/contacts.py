"""Which contacts are repeats: the same customer, channel and topic had one not long before."""

import numpy as np

from schemas.metrics import Metric
from schemas.repeats import RepeatFilter
from streams.core.canonical import Ints
from streams.core.recall.heard import Heard
from streams.core.recall.words import APART

TOPIC = "topic"
"""The attribute that says what a contact is about; contacts without it are about one and the same."""
UNCOUNTED = -1


class Contacts:
    """The last contact of each customer, channel and topic, for `within_ms` of arrived time."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._filter = RepeatFilter(metric.within_ms)

    @property
    def reach_ms(self) -> int:
        """Return how far back the log decides."""
        return self._metric.within_ms

    def take(self, heard: Heard) -> Ints:
        """Return by row 1 for a repeat, 0 for another contact, -1 for what is none or names no customer; remember them."""
        metric, columns = self._metric, heard.columns
        out = np.full(len(columns), UNCOUNTED, dtype=np.int64)
        if set(metric.events).isdisjoint(columns.kind.titles) or set(metric.channels).isdisjoint(
            columns.channel.titles
        ):
            return out
        contact = columns.kind.among(metric.events) & columns.channel.among(metric.channels) & heard.first
        found = np.flatnonzero(contact & columns.customers & columns.direct & columns.inbound & columns.original)
        rows = found[heard.named("subject").known[found]]
        if not len(rows):
            return out
        channel, topic = columns.channel, columns.attribute(TOPIC)
        topics = len(topic.titles)
        pairs, context = np.unique(channel.code[rows] * topics + topic.code[rows], return_inverse=True)
        contexts = [f"{channel.titles[at // topics]}{APART}{topic.titles[at % topics] or ''}" for at in pairs.tolist()]
        out[rows] = ~self._filter.first(heard.within("subject", rows, contexts, context), heard.arrived[rows])
        return out
