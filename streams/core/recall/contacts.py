"""Which contacts are repeats: the same customer, channel and topic had one not long before."""

import numpy as np
from numpy.typing import NDArray

from schemas.metrics import Metric
from schemas.repeats import RepeatFilter, id_words
from streams.core.canonical import Ints
from streams.core.columns import Columns

TOPIC = "topic"
"""The attribute that says what a contact is about; contacts without it are about one and the same."""
UNCOUNTED = -1
APART = "\x00"


class Contacts:
    """The last contact of each customer, channel and topic, for `within_ms` of arrived time."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._filter = RepeatFilter(metric.within_ms)

    @property
    def reach_ms(self) -> int:
        """Return how far back the log decides."""
        return self._metric.within_ms

    def take(self, columns: Columns, first: NDArray[np.bool_], arrived: Ints) -> Ints:
        """Return by row 1 for a repeat, 0 for another contact, -1 for what is none or names no customer; remember them.

        `first`: which rows are no repeated events; `arrived`: by row, never falling, not below an earlier call's.
        """
        metric = self._metric
        out = np.full(len(columns), UNCOUNTED, dtype=np.int64)
        if set(metric.events).isdisjoint(columns.kind.titles) or set(metric.channels).isdisjoint(
            columns.channel.titles
        ):
            return out
        contact = columns.kind.among(metric.events) & columns.channel.among(metric.channels) & first
        rows = np.flatnonzero(contact & columns.customers & columns.direct & columns.inbound & columns.original)
        subjects = columns.named("subject", rows)
        known = np.flatnonzero(np.array([bool(one) for one in subjects], dtype=np.bool_))
        if not len(known):
            return out
        rows, topic, channel = rows[known], columns.attribute(TOPIC), columns.channel
        keys = [
            f"{channel.titles[by]}{APART}{topic.titles[about] or ''}{APART}{subjects[at]}"
            for by, about, at in zip(channel.code[rows], topic.code[rows], known, strict=True)
        ]
        out[rows] = ~self._filter.first(id_words(keys), arrived[rows])
        return out
