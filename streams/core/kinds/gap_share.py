"""Share of answers whose gap is at least `at_least`: 0 says satisfied, more says delighted. In 0..1."""

from schemas.metrics import Metric
from streams.core.kinds.gap import Gap
from streams.core.kinds.kind import Counts, Estimate
from streams.core.kinds.proportion import Proportion, proportion


class GapShare(Proportion, Gap):
    """Share of gaps that are large enough."""

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the share."""
        reached = sum(count for gap, count in counts.items() if gap >= metric.at_least)
        return proportion(metric, reached, sum(counts.values()))
