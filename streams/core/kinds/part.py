"""Events per event of which they are a part, each whole having one part at most: answered per sent. In 0..1.

Bin 1 holds the parts, bin 0 the wholes. A part may fall into a window without its whole, so parts beyond the wholes do
not count; parts without any whole are no data.
"""

from schemas.metrics import Metric
from streams.core.intervals import wilson
from streams.core.kinds.happened import TwoSided
from streams.core.kinds.kind import Counts, Estimate


class Part(TwoSided):
    """Wholes that have their part."""

    def n(self, counts: Counts) -> int:
        """Return how many wholes there are."""
        return counts.get(0, 0)

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "wilson"

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the share of wholes that have their part."""
        whole = counts[0]
        held = min(counts.get(1, 0), whole)
        return Estimate(held / whole, *wilson(held, whole, metric.level))
