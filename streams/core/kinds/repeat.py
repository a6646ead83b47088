"""Repeat contacts: share of contacts of a customer who had one on the same topic not long before. In 0..1.

First-contact resolution is 1 minus it. Which contact is a repeat is remembered by streams/core/recall; where nothing is
remembered nothing counts.
"""

from collections.abc import Hashable

import numpy as np

from schemas.metrics import Metric
from streams.core.columns import Columns
from streams.core.kinds.kind import Counts, Estimate, Selected
from streams.core.kinds.proportion import Proportion, proportion


class Repeat(Proportion):
    """Share of repeat contacts."""

    def bins(self, metric: Metric) -> range:
        """Return 0 for a first contact and 1 for a repeat."""
        return range(2)

    def source(self, metric: Metric) -> Hashable:
        """Return the kinds of contacts and how long one is remembered."""
        return "repeat", frozenset(metric.events), metric.within_ms

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return the contacts that were looked up."""
        found = columns.recalled(metric.name)
        if found is None:
            return None
        rows = np.flatnonzero(found >= 0)
        return Selected(rows, found[rows])

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the share of repeats."""
        return proportion(metric, counts.get(1, 0), sum(counts.values()))
