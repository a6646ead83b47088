"""`one_per`: which answers are the first of their customer, or conversation, in a period.

Periods begin at multiples of their length in arrived time. (Measured from the answer before, a customer who answers every
day under a period of a week would never be counted again.)
"""

import numpy as np
from numpy.typing import NDArray

from schemas.repeats import RepeatFilter
from streams.core.counting_plan import Group
from streams.core.recall.heard import Heard
from streams.core.recall.words import APART

_COLUMN = {"subject": "subject", "conversation": "conversation_ref"}


class Firsts:
    """Who has answered in this period what a group of metrics asks."""

    def __init__(self, group: Group) -> None:
        assert group.metric.one_per is not None
        self._group, self._column = group, _COLUMN[group.metric.one_per]
        self._filter = RepeatFilter(group.metric.one_per_period_ms)
        self.left_out = 0
        """Answers that did not count so far."""

    @property
    def reach_ms(self) -> int:
        """Return how far back the log decides."""
        return self._group.metric.one_per_period_ms

    def take(self, heard: Heard) -> NDArray[np.bool_]:
        """Return by row whether it counts; remember who answered.

        What names nobody always counts; what corrects or takes back an answer never, since the answer need not have counted.
        """
        metric, columns = self._group.metric, heard.columns
        out = columns.original.copy()
        selected = self._group.kind.select(columns, metric)
        if selected is None:
            return out
        welcome = (heard.first & out & columns.channel.among(metric.channels))[selected.rows]
        found = np.sort(selected.rows[welcome])
        rows = found[heard.named(self._column).known[found]]
        if not len(rows):
            return out
        channel, channels = columns.channel, len(columns.channel.titles)
        periods = heard.arrived[rows] // metric.one_per_period_ms
        pairs, context = np.unique(periods * channels + channel.code[rows], return_inverse=True)
        contexts = [f"{channel.titles[at % channels]}{APART}{at // channels}" for at in pairs.tolist()]
        out[rows] = self._filter.first(heard.within(self._column, rows, contexts, context), heard.arrived[rows])
        self.left_out += int(len(rows) - out[rows].sum())
        return out
