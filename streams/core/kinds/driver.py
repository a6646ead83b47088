"""Driver of satisfaction: Spearman's rank correlation of a dimension with the overall answer of the same people.

A bin is a pair of points: (point of the question) * (points of the overall scale) + (point of the overall question),
both from 0. It says what moves together, not what causes what.
"""

import numpy as np

from schemas.metrics import Metric
from streams.core.columns import Asked, Columns
from streams.core.kinds.asked import scale_of
from streams.core.kinds.kind import UNKNOWN, Counts, Estimate, Kind, Selected
from streams.core.rank_correlation import spearman


def _overall_points(metric: Metric) -> int:
    assert metric.overall_scale is not None
    return metric.overall_scale[1] - metric.overall_scale[0] + 1


class Driver(Kind):
    """Rank correlation of two questions."""

    def bins(self, metric: Metric) -> range:
        """Return the pairs of points."""
        low, high = scale_of(metric)
        return range((high - low + 1) * _overall_points(metric))

    def source(self, metric: Metric) -> tuple[str, Asked, Asked]:
        """Return both questions; `question_version` is that of the dimension, of the overall one any counts."""
        assert metric.question is not None
        assert metric.overall_question is not None
        assert metric.overall_scale is not None
        dimension = Asked(metric.question, metric.question_version, scale_of(metric), metric.probes)
        return "driver", dimension, Asked(metric.overall_question, None, metric.overall_scale, metric.probes)

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return who answered both, and their pairs of points."""
        _, first, second = self.source(metric)
        dimension, overall = columns.answered(first), columns.answered(second)
        if dimension is None or overall is None:
            return None
        rows, at, beside = np.intersect1d(dimension.rows, overall.rows, assume_unique=True, return_indices=True)
        points = (dimension.scores[at] - first.scale[0]) * _overall_points(metric)
        return Selected(rows, points + overall.scores[beside] - second.scale[0])

    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""
        return "spearman_fisher"

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return rho, -1..1; unknown where one side never varies."""
        points = _overall_points(metric)
        found = spearman({divmod(bin_, points): count for bin_, count in counts.items()}, metric.level)
        return UNKNOWN if found.rho is None else Estimate(found.rho, found.lo, found.hi)
