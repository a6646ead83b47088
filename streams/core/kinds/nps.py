"""Net promoter score in points, -100..100: promoters (9, 10) minus detractors (0 to 6) of all who answered on 0..10."""

from schemas.metrics import Metric
from streams.core.anytime import nps_sequence
from streams.core.intervals import adjusted_wald_nps
from streams.core.kinds.asked import OneQuestion
from streams.core.kinds.kind import Counts, Estimate

PROMOTER, PASSIVE = 9, 7


class Nps(OneQuestion):
    """Net promoter score."""

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "anytime_nps" if metric.bounds == "anytime" else "adjusted_wald"

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the score."""
        answers = sum(counts.values())
        up = sum(count for bin_, count in counts.items() if bin_ >= PROMOTER)
        down = sum(count for bin_, count in counts.items() if bin_ < PASSIVE)
        bounds = nps_sequence if metric.bounds == "anytime" else adjusted_wald_nps
        return Estimate(100 * (up - down) / answers, *bounds(up, down, answers, metric.level))
