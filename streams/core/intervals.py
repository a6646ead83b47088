"""Confidence intervals for the values of metrics, from exact integer counts.

Each function returns (lo, hi). An interval covers sampling noise among those who answered, nothing else.
"""

from functools import lru_cache
from math import sqrt

from streams.core import special


@lru_cache(maxsize=256)
def z_of(probability: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return float(special.ndtri(probability))


@lru_cache(maxsize=65_536)
def t_of(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution."""
    return float(special.stdtrit(freedom, probability))


def two_sided(level: float) -> float:
    """Return the probability whose quantile bounds the central `level` of a distribution."""
    return 0.5 + level / 2


def wilson(good: int, n: int, level: float) -> tuple[float, float]:
    """Return the Wilson interval of a share, within 0..1; n > 0.

    Source: Wilson 1927; Newcombe 1998, method 3.
    """
    return _wilson(good, n, z_of(two_sided(level)))


def wilson_upper(good: int, n: int, confidence: float) -> float:
    """Return the one-sided upper Wilson bound of a share: above the true share with about this confidence; n > 0."""
    return _wilson(good, n, z_of(confidence))[1]


def _wilson(good: int, n: int, z: float) -> tuple[float, float]:
    share, widening = good / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / widening
    half = z / widening * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    lo = 0.0 if good == 0 else max(0.0, centre - half)
    hi = 1.0 if good == n else min(1.0, centre + half)
    return lo, hi


def adjusted_wald_nps(promoters: int, detractors: int, n: int, level: float) -> tuple[float, float]:
    """Return the adjusted Wald interval of the NPS in points, within -100..100; n > 0.

    Source: Rocks 2016 (arXiv 1601.07235): three answers added, 3/4 to each of promoters and detractors.
    """
    wider = n + 3
    up, down = (promoters + 0.75) / wider, (detractors + 0.75) / wider
    centre = up - down
    half = z_of(two_sided(level)) * sqrt((up + down - centre * centre) / wider)
    return 100 * max(-1.0, centre - half), 100 * min(1.0, centre + half)


def t_mean(total: int, squares: int, n: int, level: float, scale: tuple[int, int]) -> tuple[float, float]:
    """Return the t interval of a mean from the exact sums of answers and of their squares, clipped to the scale; n > 0.

    One answer tells nothing about the spread: its interval is the whole scale.
    """
    least, most = scale
    if n == 1:
        return float(least), float(most)
    mean = total / n
    variance = (n * squares - total * total) / (n * (n - 1))  # integers up to the division: nothing cancels
    half = t_of(two_sided(level), n - 1) * sqrt(variance / n)
    return max(float(least), mean - half), min(float(most), mean + half)


def poisson_exact(count: int, level: float) -> tuple[float, float]:
    """Return the exact interval of a Poisson count; lo is 0 for a count of 0.

    Source: Garwood 1936; quantiles of chi-square, written as gamma quantiles.
    """
    tail = (1 - level) / 2
    lo = float(special.gammaincinv(count, tail)) if count else 0.0
    return lo, float(special.gammainccinv(count + 1, tail))
