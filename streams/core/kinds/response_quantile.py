"""Quantile of the time to the first answer, in ms; what is open beyond the target is longer than it, by nobody knows how much.

Bins are classes of four sketch buckets (streams/core/sketch.py), so a value is within 4 % of the true one; the first holds
whatever is at most a minute, and the bin after the last the messages still open beyond the target. Messages that are open
and younger than the target are in no count, as in streams/core/kinds/response.py.
"""

from bisect import bisect_left
from collections.abc import Hashable
from math import ceil

import numpy as np

from schemas.metrics import Metric
from streams.core import special
from streams.core.canonical import Ints
from streams.core.columns import STILL_OPEN, Columns
from streams.core.kinds.kind import UNKNOWN, Counts, Estimate, Kind, Selected
from streams.core.sketch import EDGES, LAST, bucket_of, buckets_of, least_of

WIDTH = 4
"""Buckets to a class."""
SHORTEST_MS = 60_000
FIRST = bucket_of(SHORTEST_MS) // WIDTH


class ResponseQuantile(Kind):
    """Quantile of the waiting time."""

    def bins(self, metric: Metric) -> range:
        """Return the classes up to the one in which the memory ends, one for longer times, and one for what is open."""
        return range(still_open(metric) + 1)

    def source(self, metric: Metric) -> Hashable:
        """Return which messages count, and how long they are remembered."""
        return "response_quantile", frozenset(metric.events), metric.target_ms, metric.memory_ms

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return the messages of which there is news."""
        waited = columns.recalled(metric.name)
        if waited is None:
            return None
        top = still_open(metric)
        bins: Ints = np.clip(buckets_of(waited) // WIDTH - FIRST, 0, top - 1)
        return Selected(np.arange(len(waited)), np.where(waited == STILL_OPEN, top, bins))

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "order_statistic"

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the quantile with an interval that holds for any distribution; nothing where it lies beyond what is known.

        The ends are order statistics (as streams/core/sketch.py has them), widened to the ends of their classes. With
        messages still open, every rank beyond the target might be one of them: a quantile there is not known, the upper
        end of an interval that reaches there is the longest time of all.
        """
        n, q, open_ = sum(counts.values()), metric.quantile, counts.get(still_open(metric), 0)
        ranked = sorted((bin_, count) for bin_, count in counts.items() if bin_ != still_open(metric))
        value = _at_rank(ranked, max(1, ceil(q * n - 1e-9)))
        limit = _class_of(metric.target_ms) if open_ else still_open(metric) - 1
        if value is None or value >= limit:
            return UNKNOWN
        tail = (1 - metric.level) / 2
        lower = bisect_left(range(n), tail, key=lambda below: float(special.bdtr(below, n, q)))
        upper = 1 + bisect_left(range(n), 1 - tail, key=lambda below: float(special.bdtr(below, n, q)))
        first = _at_rank(ranked, lower) if lower else None
        last = _at_rank(ranked, upper) if upper <= n else None
        hi = EDGES[LAST] if last is None or last >= limit else highest(last)
        return Estimate(middle(value), float(0 if first is None else lowest(first)), float(hi))


def still_open(metric: Metric) -> int:
    """Return the bin of messages that are open beyond the target."""
    return _class_of(metric.memory_ms) + 2


def lowest(bin_: int) -> int:
    """Return the shortest time of a class, in ms."""
    return 0 if bin_ == 0 else least_of((bin_ + FIRST) * WIDTH)


def highest(bin_: int) -> int:
    """Return the longest time of a class, in ms."""
    return EDGES[(bin_ + FIRST) * WIDTH + WIDTH - 1]


def middle(bin_: int) -> float:
    """Return the time that stands for a class: the harmonic mean of its ends; of the first class, its end."""
    lo, hi = lowest(bin_), highest(bin_)
    return float(hi) if bin_ == 0 else 2 * lo * hi / (lo + hi)


def _class_of(ms: int) -> int:
    return max(0, bucket_of(ms) // WIDTH - FIRST)


def _at_rank(ranked: list[tuple[int, int]], rank: int) -> int | None:
    """Return the class that holds the answer of this rank; None where it is beyond the answered ones."""
    for bin_, count in ranked:
        rank -= count
        if rank <= 0:
            return bin_
    return None
