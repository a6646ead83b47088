"""Charts of shares: p-chart, Laney's p', and the Wilson threshold, with what each of them costs."""

from collections.abc import Sequence
from itertools import pairwise
from math import floor, sqrt
from typing import NamedTuple

from scipy.special import bdtrc

from streams.core.intervals import wilson_upper

_RANGE_TO_SIGMA = 1.128  # mean of |difference| of two standard normal values (d2 for samples of two)


def p_limits(p0: float, n: int, sigmas: float = 3.0) -> tuple[float, float]:
    """Return the limits of a p-chart for a batch of n, cut to 0..1; meaningful from n * p0 >= 5 on."""
    half = sigmas * sqrt(p0 * (1 - p0) / n)
    return max(0.0, p0 - half), min(1.0, p0 + half)


def answers_for_lower_limit(p0: float, sigmas: float = 3.0) -> int:
    """Return the smallest batch whose lower p-chart limit is above 0: n > sigmas^2 (1 - p0) / p0."""
    return floor(sigmas * sigmas * (1 - p0) / p0 + 1e-9) + 1


class Laney(NamedTuple):
    """A p'-chart: the p-chart with its limits widened by what varies between batches beyond chance."""

    mean: float
    spread: float
    """Sigma of the standardised shares from their moving range: 1 when there is only chance."""
    z: tuple[float, ...]

    def limits(self, n: int, sigmas: float = 3.0) -> tuple[float, float]:
        """Return the limits for a batch of n, cut to 0..1."""
        half = sigmas * self.spread * sqrt(self.mean * (1 - self.mean) / n)
        return max(0.0, self.mean - half), min(1.0, self.mean + half)


def laney(batches: Sequence[tuple[int, int]]) -> Laney:
    """Return the p'-chart of (n, bad) batches in order, at least two; neither none nor all answers bad.

    Source: Laney 2002, "Improved control charts for attributes"; sigma is the mean moving range of z over 1.128.
    """
    mean = sum(bad for _, bad in batches) / sum(n for n, _ in batches)
    z = tuple((bad / n - mean) / sqrt(mean * (1 - mean) / n) for n, bad in batches)
    moves = [abs(after - before) for before, after in pairwise(z)]
    return Laney(mean, sum(moves) / len(moves) / _RANGE_TO_SIGMA, z)


def wilson_count(n: int, p0: float, alpha: float) -> int:
    """Return the smallest count of bad answers among n whose one-sided lower Wilson bound exceeds p0; n + 1 if none.

    A count threshold in disguise: alpha is the chance at one look, not the false-alarm rate of looking at every answer.
    """
    for bad in range(floor(n * p0), n + 1):
        if 1 - wilson_upper(n - bad, n, 1 - alpha) > p0:
            return bad
    return n + 1


def tail(n: int, p0: float, count: int) -> float:
    """Return the exact chance of at least `count` bad answers among n."""
    return 1.0 if count <= 0 else float(bdtrc(count - 1, n, p0))
