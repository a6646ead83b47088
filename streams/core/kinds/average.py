"""What all means have in common: exact sums, and how sure they are."""

from typing import Protocol

from schemas.metrics import Metric
from streams.core.adjusted_mean import adjusted_mean
from streams.core.anytime import mean_sequence
from streams.core.kinds.kind import Counts, Estimate, Kind


class Average(Kind, Protocol):
    """A kind that is a mean of bins."""

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "anytime_mean" if metric.bounds == "anytime" else "adjusted_mean"


def average(metric: Metric, counts: Counts, scale: tuple[int, int]) -> Estimate:
    """Return the mean bin with its interval, within the scale; some counts above 0."""
    n = sum(counts.values())
    total = sum(bin_ * count for bin_, count in counts.items())
    if metric.bounds == "anytime":
        return Estimate(total / n, *mean_sequence(counts, metric.level, scale))
    squares = sum(bin_ * bin_ * count for bin_, count in counts.items())
    return Estimate(total / n, *adjusted_mean(total, squares, n, metric.level, scale))
