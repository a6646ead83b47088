"""Answered in time: messages answered within the target, among those answered at all or older than it. In 0..1.

A message that is open and younger than the target is in no count: nobody knows yet. So over a span of few targets the
share flatters, since of the young messages only the answered ones are in it. Bin 1: in time; bin 0: answered later, or
still open beyond the target. Messages and answers meet in streams/core/recall; where nothing is remembered nothing counts.
"""

from collections.abc import Hashable

import numpy as np

from schemas.metrics import Metric
from streams.core.columns import STILL_OPEN, Columns
from streams.core.kinds.kind import Counts, Estimate, Selected
from streams.core.kinds.proportion import Proportion, proportion


class Response(Proportion):
    """Share answered within the target."""

    def bins(self, metric: Metric) -> range:
        """Return 0 for late and 1 for in time."""
        return range(2)

    def source(self, metric: Metric) -> Hashable:
        """Return which messages count, and what is said of them."""
        return "response", frozenset(metric.events), metric.target_ms, metric.memory_ms

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return the messages of which there is news."""
        waited = columns.recalled(metric.name)
        if waited is None:
            return None
        in_time = (waited != STILL_OPEN) & (waited <= metric.target_ms)
        return Selected(np.arange(len(waited)), in_time.astype(np.int64))

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the share in time."""
        return proportion(metric, counts.get(1, 0), sum(counts.values()))
