"""Mean gap: perceived minus expected quality, of those who answered both questions on one scale.

Source: the disconfirmation of expectations (Oliver 1980). A bin is a gap, from -(width) to width.
"""

import numpy as np

from schemas.metrics import Metric
from streams.core.columns import Asked, Columns
from streams.core.kinds.asked import scale_of
from streams.core.kinds.average import Average, average
from streams.core.kinds.kind import Counts, Estimate, Selected


class Gap(Average):
    """Mean gap."""

    def bins(self, metric: Metric) -> range:
        """Return the gaps that the scale allows."""
        low, high = scale_of(metric)
        return range(low - high, high - low + 1)

    def source(self, metric: Metric) -> tuple[str, Asked, Asked]:
        """Return both questions; `question_version` is that of the perceived one, of the expected one any counts."""
        assert metric.question is not None
        assert metric.expected_question is not None
        scale = scale_of(metric)
        perceived = Asked(metric.question, metric.question_version, scale, metric.probes)
        return "gap", perceived, Asked(metric.expected_question, None, scale, metric.probes)

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return who answered both, and their gaps."""
        _, *both = self.source(metric)
        perceived, expected = map(columns.answered, both)
        if perceived is None or expected is None:
            return None
        rows, at, against = np.intersect1d(perceived.rows, expected.rows, assume_unique=True, return_indices=True)
        return Selected(rows, perceived.scores[at] - expected.scores[against])

    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the mean gap."""
        widest = self.bins(metric)
        return average(metric, counts, (widest[0], widest[-1]))
