"""Quantiles of whole numbers (milliseconds, minor units of money) from counts by bucket.

A bucket holds what lies within 1 % of its middle, so a quantile is within 1 % of the true one at any size, and the
counts add, subtract and merge exactly like those of a scale. Source: DDSketch (Masson, Rim and Lee 2019).
"""

from bisect import bisect_left
from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core import special

ACCURACY = 0.01
"""The largest relative error of `middle` for a value within the buckets."""

LAST = 1_250
"""The last bucket. It ends at 7.2e10 (more than two years of milliseconds); whatever is larger is counted in it."""

EDGES: tuple[int, ...] = tuple(101**bucket // 99**bucket for bucket in range(LAST + 1))
"""Bucket -> the largest whole number in it. Growth is (1 + accuracy) / (1 - accuracy) = 101 / 99, in exact arithmetic:
no logarithm that another machine, numpy or SQL might round otherwise. In ClickHouse: arrayCount(e -> e < x, EDGES)."""

_EDGES = np.array(EDGES, dtype=np.int64)


class Quantile(NamedTuple):
    """A quantile with its interval, all in the unit of the values."""

    value: float
    lo: float
    hi: float


def bucket_of(value: int) -> int:
    """Return the bucket of a whole number: 0 for 1 and below, `LAST` for whatever lies beyond the last edge."""
    return min(LAST, bisect_left(EDGES, value))


def buckets_of(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the buckets of an array of whole numbers, each the same as from `bucket_of`."""
    return np.minimum(LAST, np.searchsorted(_EDGES, values, side="left"))


def least_of(bucket: int) -> int:
    """Return the smallest whole number of a bucket, 0 for the first; the largest is EDGES[bucket]."""
    return EDGES[bucket - 1] + 1 if bucket else 0


def middle(bucket: int) -> float:
    """Return the value that stands for a bucket: within 1 % of every number in it that is 1 or more."""
    centre = 2 * (101 / 99) ** bucket / (1 + 101 / 99)
    return min(float(EDGES[bucket]), max(float(least_of(bucket)), centre))


def quantile(bins: Mapping[int, int], q: float) -> float:
    """Return the q-quantile: the middle of the bucket that holds the value of rank ceil(q * n); n > 0, 0 <= q <= 1."""
    n = sum(bins.values())
    return middle(_bucket_of_rank(bins, max(1, ceil(q * n - 1e-9))))


def quantile_interval(bins: Mapping[int, int], q: float, level: float) -> Quantile:
    """Return the q-quantile and an interval that holds for any distribution, with at least this level; n > 0, 0 < q < 1.

    The ends are order statistics, chosen by the binomial distribution of how many of n answers lie below the true
    quantile, and widened to the ends of their buckets. Where n is too small for an end, it is 0 or the last edge.
    """
    n = sum(bins.values())
    tail = (1 - level) / 2
    lower = bisect_left(range(n), tail, key=lambda below: float(special.bdtr(below, n, q)))
    upper = 1 + bisect_left(range(n), 1 - tail, key=lambda below: float(special.bdtr(below, n, q)))
    lo = least_of(_bucket_of_rank(bins, lower)) if lower else 0
    hi = EDGES[_bucket_of_rank(bins, upper) if upper <= n else LAST]
    return Quantile(quantile(bins, q), float(lo), float(hi))


def _bucket_of_rank(bins: Mapping[int, int], rank: int) -> int:
    for bucket, count in sorted(bins.items()):
        rank -= count
        if rank <= 0:
            return bucket
    raise ValueError("the rank is beyond the number of values")
