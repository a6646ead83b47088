"""Score of an observation grid, as mystery shoppers and mystery mails fill it in: 0..100.

The score of one visit is the weighted mean of its answered questions as percent of the scale, rounded half up to a whole
number; what was not observed does not enter. A bin is such a score.
"""

import numpy as np

from schemas.metrics import Metric, whole_weights
from streams.core.columns import Asked, Columns
from streams.core.kinds.asked import scale_of
from streams.core.kinds.average import Average, average
from streams.core.kinds.kind import Counts, Estimate, Selected

BEST = 100


class Grid(Average):
    """Mean score of observation grids."""

    def bins(self, metric: Metric) -> range:
        """Return the percents."""
        return range(BEST + 1)

    def source(self, metric: Metric) -> tuple[str, frozenset[tuple[str, int]], Asked]:
        """Return the weights and how the questions are asked."""
        asked = Asked("", metric.question_version, scale_of(metric), metric.probes)
        return "grid", frozenset(whole_weights(metric.grid).items()), asked

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return the visits and their scores."""
        _, weights, asked = self.source(metric)
        low, high = asked.scale
        points, weight_of = np.zeros((2, len(columns)), dtype=np.int64)
        for question, weight in weights:
            found = columns.answered(asked._replace(question=question))
            if found is not None:
                points[found.rows] += weight * (found.scores - low)
                weight_of[found.rows] += weight
        rows = np.flatnonzero(weight_of)
        if not len(rows):
            return None
        most = weight_of[rows] * (high - low)
        return Selected(rows, (2 * BEST * points[rows] + most) // (2 * most))

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the mean score."""
        return average(metric, counts, (0, BEST))
