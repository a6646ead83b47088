"""`one_per`: which answers are the first of their customer, or conversation, in a period.

Periods begin at multiples of their length in arrived time. (Measured from the answer before, a customer who answers every
day under a period of a week would never be counted again.)
"""

import numpy as np
from numpy.typing import NDArray

from schemas.repeats import RepeatFilter, id_words
from streams.core.canonical import Ints
from streams.core.columns import Columns
from streams.core.counting_plan import Group
from streams.core.recall.contacts import APART

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

    def take(self, columns: Columns, first: NDArray[np.bool_], arrived: Ints) -> NDArray[np.bool_]:
        """Return by row whether it counts; remember who answered. Arguments as in `Contacts.take`.

        What names nobody always counts; what corrects or takes back an answer never, since the answer need not have counted.
        """
        metric = self._group.metric
        out = columns.original.copy()
        selected = self._group.kind.select(columns, metric)
        if selected is None:
            return out
        welcome = (first & out & columns.channel.among(metric.channels))[selected.rows]
        rows = np.sort(selected.rows[welcome])
        names = columns.named(self._column, rows)
        known = np.flatnonzero(np.array([bool(one) for one in names], dtype=np.bool_))
        if not len(known):
            return out
        rows, channel = rows[known], columns.channel
        periods = arrived[rows] // metric.one_per_period_ms
        keys = [
            f"{channel.titles[by]}{APART}{period}{APART}{names[at]}"
            for by, period, at in zip(channel.code[rows], periods.tolist(), known, strict=True)
        ]
        out[rows] = self._filter.first(id_words(keys), arrived[rows])
        self.left_out += int(len(rows) - out[rows].sum())
        return out
