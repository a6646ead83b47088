"""Counts by bin -> value, interval, n, method and quality.

No answers is "no data", never 0.
"""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.metrics import Metric
from schemas.outputs import Quality
from streams.core.kinds import KINDS


class Value(NamedTuple):
    """A value with its interval; None where nobody answered, where answers do not tell, and where it is withheld."""

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    method: str
    quality: Quality


def value_of(metric: Metric, bins: Mapping[int, int], total: int = 0) -> Value:
    """Return the value of a metric from its counts by bin; shares in 0..1, NPS in -100..100, grids in 0..100.

    `total` is the exact sum of amounts. A count below 0 means that a retraction came before what it takes back: no data.
    """
    kind = KINDS[metric.kind]
    method = kind.method(metric)
    n = 0 if bins and min(bins.values()) < 0 else kind.n(bins)
    if n == 0:
        return Value(None, None, None, 0, method, Quality.NO_DATA)
    found = kind.estimate(metric, bins, total)
    quality = Quality.NO_DATA if found.value is None else Quality.LOW_N if n < metric.n_min else Quality.OK
    return Value(*found, n, method, quality)


def withheld(metric: Metric, value: Value, response: Value | None) -> Value:
    """Return the value, or none of it if fewer responded than `response_rate_min` asks.

    `response` is the value of the response metric for the same key and window; where it is unknown, or there is no data
    (nobody was asked by survey), nothing is withheld.
    """
    least = metric.response_rate_min
    if least is None or response is None or response.value is None or response.value >= least:
        return value
    return value._replace(value=None, lo=None, hi=None, quality=Quality.WITHHELD)
