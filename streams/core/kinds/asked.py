"""What the kinds that read the answers to one question share: a bin is a point of the scale."""

from typing import Protocol

from schemas.metrics import Metric
from streams.core.columns import Asked, Columns
from streams.core.kinds.kind import Kind, Selected


def scale_of(metric: Metric) -> tuple[int, int]:
    """Return the scale of the metric's question."""
    assert metric.scale is not None
    return metric.scale


class OneQuestion(Kind, Protocol):
    """A kind that reads one question."""

    def bins(self, metric: Metric) -> range:
        """Return the points of the scale."""
        low, high = scale_of(metric)
        return range(low, high + 1)

    def source(self, metric: Metric) -> Asked:
        """Return the question with its scale and version."""
        assert metric.question is not None
        return Asked(metric.question, metric.question_version, scale_of(metric), metric.probes)

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return who answered, and how."""
        found = columns.answered(self.source(metric))
        return found and Selected(found.rows, found.scores)
