"""The exponentially weighted moving average, for display: where the level stands, with its limits."""

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple


class Smoothed(NamedTuple):
    """The average after a value, and its limits at that moment."""

    value: float
    lower: float
    upper: float

    @property
    def outside(self) -> bool:
        """Tell whether the average has left its limits."""
        return not self.lower <= self.value <= self.upper


def ewma(
    values: Iterable[float], mean: float, sigma: float, smoothing: float, limit_sigmas: float, *, settled: bool = False
) -> list[Smoothed]:
    """Return z = smoothing * x + (1 - smoothing) * z from `mean`, with limits that widen as the average forgets its start.

    Limits: mean +- limit_sigmas * sigma * sqrt(s / (2 - s) * (1 - (1 - s)^(2t))), or the last ones throughout when
    `settled`. 0 < smoothing <= 1. Source: Roberts 1959; NIST handbook 6.3.2.4; Montgomery ch. 9.
    """
    out = []
    z = mean
    for count, value in enumerate(values, 1):
        z = smoothing * value + (1 - smoothing) * z
        part = 1.0 if settled else 1 - (1 - smoothing) ** (2 * count)
        half = limit_sigmas * sigma * sqrt(smoothing / (2 - smoothing) * part)
        out.append(Smoothed(z, mean - half, mean + half))
    return out
