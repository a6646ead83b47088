"""Bounds that hold at every look at once, for values that are watched while their answers come in.

With probability `level` or more the true value lies in the interval after the first answer, after the second, and so on
without end: whoever looks after each answer, and stops when it suits, is not misled more often than promised. A usual
interval promises this for one look at a fixed n only. The price is width: 1.7 times at n = 100, twice at 10,000.

Each interval inverts a mixture martingale: M(value) is the wealth of a gambler who bets against `value`, starts with 1
and cannot win on average if it is true, so M ever reaches 1 / (1 - level) with probability 1 - level at most (Ville
1939). The interval is the values whose M is below that. M is a function of the counts alone, so the order in which
answers came does not matter. Answers are counted from a fixed start: one window end, filling up, is such a sequence;
a sliding window is a new sequence at every end, and a retraction steps out of the promise.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import exp, lgamma, log, log1p, pi

import numpy as np
import numpy.typing as npt

from streams.core import special

Floats = npt.NDArray[np.float64]

PRIOR = 0.5
"""Both parameters of the beta mixture (Krichevsky and Trofimov 1981): no share costs more than log(pi n / 2) / 2."""

NODES = 512
"""Points of the mixture for means. Fewer would hold too; these keep the bounds tight to some 100,000 answers."""


def share_sequence(good: int, n: int, level: float) -> tuple[float, float]:
    """Return the interval of a share that holds at every n at once, within 0..1; n > 0.

    Source: Robbins 1970, with the beta mixture of Howard, Ramdas, McAuliffe and Sekhon 2021, inverted exactly.
    """
    least = float(special.betaln(PRIOR + good, PRIOR + n - good) - special.betaln(PRIOR, PRIOR)) + log(1 - level)
    return _share_floor(good, n, least), 1 - _share_floor(n - good, n, least)


def _share_floor(good: int, n: int, least: float) -> float:
    """Return the smaller share whose log likelihood is `least`; approached from below, so never too large."""
    if good == 0:
        return 0.0

    def beyond(at: float) -> tuple[float, float]:
        share = exp(at)
        if good == n:
            return good * at - least, good
        return good * at + (n - good) * log1p(-share) - least, good - (n - good) * share / (1 - share)

    return exp(_newton(beyond, least / good))


def mean_sequence(bins: Mapping[int, int], level: float, scale: tuple[int, int]) -> tuple[float, float]:
    """Return the interval of the mean answer that holds at every n at once, within the scale, from counts by bin; n > 0.

    Nothing is assumed but that answers lie on the scale and that each has the mean, given those before it.
    Source: the universal portfolio of Cover and Ordentlich 1996 as a bettor (Orabona and Jun 2021), its Beta(1/2, 1/2)
    mixture on `NODES` Chebyshev points: a discrete mixture is as valid as the continuous one. On two points it is
    `share_sequence`. It adapts to the variance, which neither the union of one bound a threshold nor the sub-Gaussian
    mixture with the variance of the range does: for satisfied answers on 5 points both are 1.4 to 2 times as wide.
    """
    least, most = scale
    held = sorted((bin_, count) for bin_, count in bins.items() if count)
    points = [(bin_ - least) / (most - least) for bin_, _ in held]
    mirrored = [(most - bin_) / (most - least) for bin_, _ in reversed(held)]
    counts = [count for _, count in held]
    bar = -log(1 - level)
    lo = _mean_floor(points, counts, bar)
    hi = 1 - _mean_floor(mirrored, counts[::-1], bar)
    return least + (most - least) * lo, least + (most - least) * hi


def nps_sequence(promoters: int, detractors: int, n: int, level: float) -> tuple[float, float]:
    """Return the interval of the NPS in points that holds at every n at once, within -100..100; n > 0.

    It is the mean of +100, 0 and -100, so the method is that of `mean_sequence`.
    """
    lo, hi = mean_sequence({-1: detractors, 0: n - promoters - detractors, 1: promoters}, level, (-1, 1))
    return 100 * lo, 100 * hi


@lru_cache(maxsize=1)
def _nodes() -> Floats:
    angles = (2 * np.arange(1, NODES + 1) - 1) * (pi / (2 * NODES))
    nodes: Floats = (1 + np.cos(angles)) / 2
    return nodes


def log_factors(point: float, mean: float) -> Floats:
    """Return for each node the log of what one answer at `point` multiplies its wealth by, if `mean` is bet against.

    Point and mean on a scale of 0..1, 0 < mean < 1. The wealth is the mean over nodes of the exponentiated sums.
    """
    node = _nodes()
    logs: Floats = np.log(node * (point / mean) + (1 - node) * ((1 - point) / (1 - mean)))
    return logs


def _mean_floor(points: Sequence[float], counts: Sequence[int], bar: float) -> float:
    """Return the smaller mean (scale 0..1) whose log wealth is `bar`; approached from below, so never too large.

    The log wealth is convex in the log of the mean, as a sum of products of log-convex factors.
    """
    if points[-1] == 0:
        return 0.0
    node = _nodes()

    def short(at: float) -> tuple[float, float]:
        mean = exp(at)
        logs, slopes = np.zeros(NODES), np.zeros(NODES)
        for point, count in zip(points, counts, strict=True):
            up, down = node * (point / mean), (1 - node) * ((1 - point) / (1 - mean))
            logs += count * np.log(up + down)
            slopes += count * ((down * (mean / (1 - mean)) - up) / (up + down))
        peak = float(logs.max())
        shares = np.exp(logs - peak)
        total = float(shares.sum())
        return bar - (peak + log(total / NODES)), -float((shares * slopes).sum()) / total

    return exp(_newton(short, _left_of_the_floor(points, counts, bar)))


def _left_of_the_floor(points: Sequence[float], counts: Sequence[int], bar: float) -> float:
    """Return the log of a mean below the floor: there the node nearest to the sample mean alone has won enough."""
    mean = sum(point * count for point, count in zip(points, counts, strict=True)) / sum(counts)
    node = float(_nodes()[np.argmin(np.abs(_nodes() - mean))])
    won, above = -log(NODES), 0
    for point, count in zip(points, counts, strict=True):
        won += count * log(node * point if point else 1 - node)
        above += count if point else 0
    return (won - bar) / above


def rate_sequence(count: int, exposure: float, level: float, expected: float = 1.0) -> tuple[float, float]:
    """Return the interval of a Poisson rate per unit of exposure that holds at every moment at once; exposure > 0.

    `expected` is a rate fixed beforehand, near which the interval is tightest; it holds whatever it is.
    Source: the gamma mixture of the Poisson likelihood ratio, Gamma(1/2) with mean `expected` (Howard et al. 2021).
    """
    prior = PRIOR / expected
    least = (
        PRIOR * log(prior)
        - lgamma(PRIOR)
        + lgamma(PRIOR + count)
        - (PRIOR + count) * log(prior + exposure)
        + log(1 - level)
    )
    if count == 0:
        return 0.0, -least / exposure

    def below(at: float) -> tuple[float, float]:
        return count * at - exposure * exp(at) - least, count - exposure * exp(at)

    def above(at: float) -> tuple[float, float]:
        return count * log(at) - exposure * at - least, count / at - exposure

    # Both starts lie outside: the log likelihood is at most count * log(rate), and at most its tangent at twice the rate.
    far = 2 * (count * log(2 * count / exposure) - count - least) / exposure
    return exp(_newton(below, least / count)), _newton(above, far)


def _newton(curve: Callable[[float], tuple[float, float]], at: float) -> float:
    """Return the root of a concave curve (value, slope), reached from the side where the curve is negative.

    From there every step falls short of the root, so the answer errs outwards, by rounding only.
    """
    for _ in range(200):
        value, slope = curve(at)
        if value >= 0:
            break
        step = value / slope
        at -= step
        if abs(step) <= 1e-13 * abs(at):
            break
    return at
