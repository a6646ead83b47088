"""Sum of order amounts in one currency, minor units: revenue.

A bin is a class of amounts, four buckets of the sketch wide (within 4 %): only the interval reads it, the sum is exact.
Amounts in other currencies, below 0 or beyond `LARGEST` are not counted.
"""

from collections.abc import Hashable

import numpy as np

from schemas.metrics import Metric
from streams.core.columns import Columns
from streams.core.kinds.kind import Counts, Estimate, Kind, Selected
from streams.core.revenue import Amounts, total_interval
from streams.core.sketch import EDGES, LAST, buckets_of, middle

BUCKETS = 4
LARGEST = 10**12
"""So that the sum of nine million orders fits the 64 bits of a cell."""


class Amount(Kind):
    """Sum of amounts."""

    summed = True

    def bins(self, metric: Metric) -> range:
        """Return the classes."""
        return range(LAST // BUCKETS + 1)

    def source(self, metric: Metric) -> Hashable:
        """Return the kinds that are summed, and the currency."""
        return "amount", frozenset(metric.events), metric.currency, metric.probes

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return the orders and their amounts."""
        assert metric.currency is not None
        if metric.currency not in columns.currency.titles or set(metric.events).isdisjoint(columns.kind.titles):
            return None
        amount, stated = columns.amount_minor
        counted = columns.counted(probes=metric.probes) & columns.kind.among(metric.events)
        paid = stated & (amount >= 0) & (amount <= LARGEST) & columns.currency.among((metric.currency,))
        rows = np.flatnonzero(counted & paid)
        return Selected(rows, buckets_of(amount[rows]) // BUCKETS, amount[rows])

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "compound_poisson"

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the total, with the interval of what is to be expected."""
        held = sorted(counts.items())
        squares = sum(count * middle(min(LAST, bin_ * BUCKETS + BUCKETS // 2)) ** 2 for bin_, count in held)
        largest = EDGES[min(LAST, held[-1][0] * BUCKETS + BUCKETS - 1)]
        return Estimate(float(total), *total_interval(total, Amounts(squares, largest), metric.level))
