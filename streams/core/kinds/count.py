"""Number of events, of some kinds or of all: everything that came, second-hand notes and machines too."""

from collections.abc import Hashable

import numpy as np

from schemas.metrics import Metric
from streams.core.columns import Columns
from streams.core.intervals import poisson_exact
from streams.core.kinds.kind import Counts, Estimate, Kind, Selected


class Count(Kind):
    """Number of events."""

    def bins(self, metric: Metric) -> range:
        """Return 1, for every event."""
        return range(1, 2)

    def source(self, metric: Metric) -> Hashable:
        """Return the kinds that are counted."""
        return "count", frozenset(metric.events), metric.probes

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return the events."""
        counted = columns.counted(probes=metric.probes)
        if metric.events:
            if set(metric.events).isdisjoint(columns.kind.titles):
                return None
            counted = counted & columns.kind.among(metric.events)
        rows = np.flatnonzero(counted)
        return Selected(rows, np.ones_like(rows))

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "poisson_exact"

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the number, with the interval of what is to be expected."""
        events = sum(counts.values())
        return Estimate(float(events), *poisson_exact(events, metric.level))
