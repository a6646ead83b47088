"""Counts by bin -> value, interval, n, method and quality: one rule a metric kind.

No answers is "no data", never 0.
"""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.catalogue import Metric, MetricKind
from schemas.outputs import Quality
from streams.core.intervals import adjusted_wald_nps, poisson_exact, t_mean, wilson

PROMOTER, PASSIVE = 9, 7

METHODS: Mapping[MetricKind, str] = {
    MetricKind.SHARE: "wilson",
    MetricKind.EVENT_SHARE: "wilson",
    MetricKind.NPS: "adjusted_wald",
    MetricKind.MEAN: "t",
    MetricKind.COUNT: "poisson_exact",
}


class Value(NamedTuple):
    """A value with its interval; None where nobody answered."""

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    method: str
    quality: Quality


def value_of(metric: Metric, bins: Mapping[int, int]) -> Value:
    """Return the value of a metric from its counts by bin; shares in 0..1, NPS in -100..100."""
    n = sum(bins.values())
    method = METHODS[metric.kind]
    if n == 0:
        return Value(None, None, None, 0, method, Quality.NO_DATA)
    value, (lo, hi) = _estimate(metric, bins, n)
    return Value(value, lo, hi, n, method, Quality.LOW_N if n < metric.n_min else Quality.OK)


def _estimate(metric: Metric, bins: Mapping[int, int], n: int) -> tuple[float, tuple[float, float]]:
    match metric.kind:
        case MetricKind.SHARE:
            good = sum(count for bin_, count in bins.items() if bin_ in metric.box)
            return good / n, wilson(good, n, metric.level)
        case MetricKind.EVENT_SHARE:
            counted = bins.get(1, 0)
            return counted / n, wilson(counted, n, metric.level)
        case MetricKind.NPS:
            up = sum(count for bin_, count in bins.items() if bin_ >= PROMOTER)
            down = sum(count for bin_, count in bins.items() if bin_ < PASSIVE)
            return 100 * (up - down) / n, adjusted_wald_nps(up, down, n, metric.level)
        case MetricKind.MEAN:
            assert metric.scale is not None
            total = sum(bin_ * count for bin_, count in bins.items())
            squares = sum(bin_ * bin_ * count for bin_, count in bins.items())
            return total / n, t_mean(total, squares, n, metric.level, metric.scale)
        case MetricKind.COUNT:
            return float(n), poisson_exact(n, metric.level)
