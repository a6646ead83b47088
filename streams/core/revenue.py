"""The interval of a total of amounts, from their sum and the sum of their squares.

Orders come as a Poisson process and each brings an amount, so the sum of squares estimates the variance of the total.
"""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

from streams.core import special
from streams.core.sketch import EDGES, middle


class Amounts(NamedTuple):
    """What the interval needs besides the exact total: both may come from the buckets of a sketch."""

    squares: float
    largest: int


def amounts_of(bins: Mapping[int, int]) -> Amounts:
    """Return sum of squares (within 2 %) and largest amount (at most 2 % too large) from counts by sketch bucket."""
    held = [(bucket, count) for bucket, count in sorted(bins.items()) if count]
    squares = sum(count * middle(bucket) ** 2 for bucket, count in held)
    return Amounts(squares, EDGES[held[-1][0]] if held else 0)


def total_interval(total: int, amounts: Amounts, level: float) -> tuple[float, float]:
    """Return the interval of the expected total of amounts >= 0 of a Poisson number of orders; lo is never below 0.

    Exact for equal amounts (Garwood's). Measured at 95 % for log-normal amounts of scale 1 and 1 to 150 orders: 95 to
    99 %, where total +- z * sqrt(squares) has 51 to 93 %; of scale 1.5, a tail that 20 orders do not show yet, 89 %.
    Where nothing was sold, `largest` must be what an order may bring at most; 0 gives (0, 0).
    Source: Fay and Feuer 1997, the gamma interval of a weighted sum of Poisson counts.
    """
    tail = (1 - level) / 2
    squares, largest = amounts
    lo = _gamma(total, squares, tail, upper=False) if total else 0.0
    return lo, _gamma(total + largest, squares + largest * largest, tail, upper=True) if largest else float(total)


def _gamma(mean: float, variance: float, tail: float, *, upper: bool) -> float:
    """Return the quantile of the gamma distribution with this mean and variance."""
    shape = (mean / sqrt(variance)) ** 2
    return variance / mean * float((special.gammainccinv if upper else special.gammaincinv)(shape, tail))
