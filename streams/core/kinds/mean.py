"""Mean answer to a question, on its scale."""

from schemas.metrics import Metric
from streams.core.kinds.asked import OneQuestion, scale_of
from streams.core.kinds.average import Average, average
from streams.core.kinds.kind import Counts, Estimate


class Mean(Average, OneQuestion):
    """Mean answer."""

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the mean."""
        return average(metric, counts, scale_of(metric))
