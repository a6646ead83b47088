"""Share of some kinds of events among others, each event one: complaints per contact. In 0..1.

Without `among`, the whole is every contact of a customer: direction in, no page views or order events.
"""

import numpy as np

from schemas.metrics import Metric
from streams.core.columns import Columns
from streams.core.kinds.happened import TwoSided, contacts
from streams.core.kinds.kind import Counts, Estimate, Selected
from streams.core.kinds.proportion import Proportion, proportion


class EventShare(TwoSided, Proportion):
    """Share of events."""

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return the whole, its counted part in bin 1."""
        if metric.among:
            return super().select(columns, metric)
        rows = np.flatnonzero(contacts(columns, metric))
        return Selected(rows, columns.kind.among(metric.events)[rows].astype(np.int64))

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the share."""
        return proportion(metric, counts.get(1, 0), sum(counts.values()))
