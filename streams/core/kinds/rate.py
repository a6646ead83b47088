"""Events per exposing event, where one exposure may bring several: complaints per order.

Bin 1 holds the events, bin 0 the exposure; without exposure there is no data. The interval takes the exposure as known.
"""

from schemas.metrics import Metric
from streams.core.anytime import rate_sequence
from streams.core.intervals import poisson_exact
from streams.core.kinds.kind import Counts, Estimate
from streams.core.kinds.part import Part


class Rate(Part):
    """Events per exposure."""

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "anytime_rate" if metric.bounds == "anytime" else "poisson_exact"

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return events per exposure."""
        events, exposure = counts.get(1, 0), counts[0]
        if metric.bounds == "anytime":
            return Estimate(events / exposure, *rate_sequence(events, exposure, metric.level))
        lo, hi = poisson_exact(events, metric.level)
        return Estimate(events / exposure, lo / exposure, hi / exposure)
