"""Share of answers in the box: top box, bottom box, share of easy. In 0..1."""

from schemas.metrics import Metric
from streams.core.kinds.asked import OneQuestion
from streams.core.kinds.kind import Counts, Estimate
from streams.core.kinds.proportion import Proportion, proportion


class Share(Proportion, OneQuestion):
    """Share of answers in the box."""

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the share."""
        good = sum(count for bin_, count in counts.items() if bin_ in metric.box)
        return proportion(metric, good, sum(counts.values()))
