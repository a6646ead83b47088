"""Spearman's rank correlation of two ordinal scales: which dimension moves with overall satisfaction.

From the joint counts by (bin of the one, bin of the other) alone: they add and subtract like all other counts.
"""

from collections.abc import Mapping
from math import atanh, sqrt, tanh
from typing import NamedTuple

from streams.core.intervals import two_sided, z_of


class Correlation(NamedTuple):
    """Spearman's rho, None where one side never varies, with its interval and the number of pairs."""

    rho: float | None
    lo: float
    hi: float
    n: int


def spearman(joint: Mapping[tuple[int, int], int], level: float) -> Correlation:
    """Return rho with midranks for ties, and its interval, from `joint`: (bin, bin) -> pairs counted.

    Interval: Fisher's z with the variance (1 + rho^2 / 2) / (n - 3) of Bonett and Wright 2000. Below 4 pairs, or where
    one side never varies, it is -1..1: nothing is known. At rho of 1 or -1, where z has no value, the near end is that
    of the rho half a smallest step of n untied ranks away. Measured for a level of 95 %: 92 to 97 % for 20 to 300
    answers on 5 and 7 points, 90 to 95 % on 3 points, where ties are most of the data.
    """
    n = sum(joint.values())
    first, second = (_ranks(_margin(joint, side), n) for side in (0, 1))
    both = sum(count * first[x] * second[y] for (x, y), count in joint.items())
    spread = [
        sum(count * ranks[bin_] ** 2 for bin_, count in _margin(joint, side).items())
        for side, ranks in enumerate((first, second))
    ]
    if not all(spread):
        return Correlation(None, -1.0, 1.0, n)
    rho = max(-1.0, min(1.0, both / sqrt(spread[0] * spread[1])))
    if n < 4:
        return Correlation(rho, -1.0, 1.0, n)
    farthest = 1 - 6 / (n * n * n - n)
    held = max(-farthest, min(farthest, rho))
    half = z_of(two_sided(level)) * sqrt((1 + held * held / 2) / (n - 3))
    lo, hi = tanh(atanh(held) - half), tanh(atanh(held) + half)
    return Correlation(rho, min(lo, rho), max(hi, rho), n)


def _margin(joint: Mapping[tuple[int, int], int], side: int) -> dict[int, int]:
    counts: dict[int, int] = {}
    for bins, count in joint.items():
        counts[bins[side]] = counts.get(bins[side], 0) + count
    return counts


def _ranks(counts: Mapping[int, int], n: int) -> dict[int, int]:
    """Return bin -> twice its midrank, less n + 1: whole numbers that sum to 0 over all answers."""
    ranks, before = {}, 0
    for bin_, count in sorted(counts.items()):
        ranks[bin_] = 2 * before + count - n
        before += count
    return ranks
