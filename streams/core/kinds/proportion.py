"""What all shares have in common: how sure they are."""

from typing import Protocol

from schemas.metrics import Metric
from streams.core.anytime import share_sequence
from streams.core.intervals import wilson
from streams.core.kinds.kind import Estimate, Kind


class Proportion(Kind, Protocol):
    """A kind that is a share."""

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "anytime_share" if metric.bounds == "anytime" else "wilson"


def proportion(metric: Metric, good: int, n: int) -> Estimate:
    """Return good / n with its interval; n > 0."""
    bounds = share_sequence if metric.bounds == "anytime" else wilson
    return Estimate(good / n, *bounds(good, n, metric.level))
